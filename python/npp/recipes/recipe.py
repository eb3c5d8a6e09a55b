"""What is trained, evaluated, shipped and used under one name, from the scale to the restorer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast, overload

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from npp.allocation.allocator import Allocator
from npp.codec.decoding import decode
from npp.codec.errors import EncodeError, OnError, check_on_error, picture_name, raise_first
from npp.codec.file_inputs import File, file_bytes, is_several
from npp.codec.image_inputs import ImageOrBatch, pictures_or_errors
from npp.codec.metadata import Metadata
from npp.codec.options import CodecOptions, resolve_options, resolve_qp
from npp.gradient.pairing import Compressed, compress
from npp.gradient.prediction import PictureLoss
from npp.gradient.refine_objective import default_weight
from npp.gradient.refinement import Over, Refined, refine
from npp.gradient.surrogates import DEFAULT_SURROGATE, Surrogate
from npp.preprocessing.preprocessor import Preprocessor
from npp.recipes.checked_pictures import check_floats, check_values, plain_numbers, refused_or_not
from npp.recipes.parts import ALL_PARTS, CodecInput, Parts, check_parts
from npp.recipes.picture_floats import decoded_for_task, filtered, shown
from npp.recipes.prepared_files import encode_prepared
from npp.recipes.refined_files import looking_at_shown, told_all
from npp.recipes.scale import ScaleRule, shrink
from npp.recipes.stored_parts import allocator_tensors, recipe_arguments
from npp.restoration import Restorer
from npp.torch_state import device_of
from npp.weight_files import WeightFiles

_FILES = WeightFiles("recipe", Path(__file__).parent / "weights")
_KIND = "recipe"
_DEFAULT_QP = 37


class Recipe(nn.Module):
    """Prepares pictures for a task and codes them; what it writes is plain BPG.

    Any part may be absent. It is a module: ``.to(device)`` moves its networks, which are run where they are.

    Args:
        name: what it is called.
        scale: at which size pictures are coded.
        preprocessor: the learned filter.
        allocator: the learned map of quantiser offsets.
        restorer: the learned filter behind the decoder.
        options: of the codec, see :class:`npp.CodecOptions`.
        qp: where a user names none.
        card: what it was made from and for, for people.

    Raises:
        TypeError, ValueError: a part of another type, or options that the codec refuses.
    """

    def __init__(
        self,
        name: str = "",
        *,
        scale: ScaleRule | None = None,
        preprocessor: Preprocessor | None = None,
        allocator: Allocator | None = None,
        restorer: Restorer | None = None,
        options: CodecOptions | None = None,
        qp: int = _DEFAULT_QP,
        card: str = "",
    ) -> None:
        super().__init__()
        for key, value, kind in (
            ("scale", scale, ScaleRule),
            ("preprocessor", preprocessor, Preprocessor),
            ("allocator", allocator, Allocator),
            ("restorer", restorer, Restorer),
        ):
            if value is not None and not isinstance(value, kind):
                raise TypeError(f"{key} must be npp's {kind.__name__} or None, not {type(value).__name__}")
        resolve_options(options or {})
        self.name = name
        self.scale = scale
        self.preprocessor = preprocessor
        self.allocator = allocator
        self.restorer = restorer
        self.options: CodecOptions = plain_numbers(options or {})
        self.qp = resolve_qp(qp, 1)[0]
        self.card = card

    def changed(self, **parts: Any) -> Recipe:
        """A recipe with other arguments, that has this one's networks where they say nothing.

        Args:
            **parts: as in the constructor; ``None`` leaves a part out.

        Raises:
            As the constructor.
        """
        names = ("name", "scale", "preprocessor", "allocator", "restorer", "options", "qp", "card")
        return Recipe(**{**{name: getattr(self, name) for name in names}, **parts}).train(self.training)

    def prepare(self, x: Tensor, qp: int | Tensor, parts: Parts = ALL_PARTS) -> CodecInput:
        """Scales, filters and maps pictures that are coded at one size and qp each.

        Args:
            x: (N, C, H, W) floats in [0, 1]; 1, 3 or 4 channels, alpha is scaled only.
            qp: one for all: the size depends on it.
            parts: which parts are used.

        Raises:
            EncodeError: NaN or samples of another scale in x; ``index`` says which picture.
        """
        self._check(x, parts)
        return self._prepared(x, resolve_qp(qp, 1)[0], parts)

    def _check(self, x: Tensor, parts: Parts) -> None:
        """Refuses what scaling would clamp and NaN, which would be told of the map."""
        check_parts(parts)
        if (parts.scale and self.scale is not None) or (parts.qp_map and self.allocator is not None):
            check_values(x)

    def _prepared(self, x: Tensor, qp: int, parts: Parts) -> CodecInput:
        if parts.scale and self.scale is not None:
            x = shrink(x, self.scale.size(qp, x.shape[-2], x.shape[-1]))
        if parts.filter and self.preprocessor is not None:
            x = filtered(self.preprocessor, x, qp)
        allocator = self.allocator if parts.qp_map else None
        return CodecInput(x, None if allocator is None else allocator(x, qp))

    def _restorer(self, parts: Parts) -> Restorer | None:
        return self.restorer if parts.restorer else None

    def forward(self, x: Tensor, qp: int | Sequence[int] | Tensor | None = None) -> Compressed:
        """:meth:`compress`."""
        return self.compress(x, qp)

    def compress(
        self,
        x: Tensor,
        qp: int | Sequence[int] | Tensor | None = None,
        *,
        parts: Parts = ALL_PARTS,
        surrogate: str | Surrogate = DEFAULT_SURROGATE,
        threads: int | None = None,
        **options: Unpack[CodecOptions],
    ) -> Compressed:
        """A batch through the recipe and the real codec, back at its own size; differentiable throughout.

        Args:
            x: (N, C, H, W) floats in [0, 1].
            qp: 0 to 51, one or one per picture; the recipe's own by default.
            parts: which parts of the recipe are used.
            surrogate, threads: as in :func:`npp.compress`.
            **options: of the codec, instead of the recipe's.

        Returns:
            As :func:`npp.compress`, but x_hat is what the task's network shall see: restored, and of x's
            shape. bpp counts the pixels of x, not the coded ones. The files do not say which size x had;
            those of :meth:`encode` do.

        Raises:
            TypeError: x is no floating tensor.
            EncodeError, UnsupportedError, ValueError: as :func:`npp.compress`.
        """
        check_floats(x)
        self._check(x, parts)
        qps = resolve_qp(self.qp if qp is None else qp, x.shape[0])
        chosen: Any = {**self.options, **options}
        x_hat, bpp = [x] * len(x), [x] * len(x)  # every place is filled
        files: list[bytes] = [b""] * len(x)
        for value in sorted(set(qps)):
            rows = [row for row, one in enumerate(qps) if one == value]
            ready = self._prepared(x[rows], value, parts)
            found = compress(
                ready.x, value, qp_map=ready.qp_map, surrogate=surrogate, threads=threads, **chosen
            )
            pixels = ready.x.shape[-2] * ready.x.shape[-1] / (x.shape[-2] * x.shape[-1])
            large = shown(found.x_hat, (x.shape[-2], x.shape[-1]), self._restorer(parts))
            for place, row in enumerate(rows):
                x_hat[row], bpp[row] = large[place], found.bpp[place] * pixels
                files[row] = found.bitstreams[place]
        return Compressed(torch.stack(x_hat), torch.stack(bpp), files)

    @torch.inference_mode(False)
    def refine(
        self,
        x: Tensor,
        qp: int | None,
        task: PictureLoss | Sequence[PictureLoss],
        *,
        over: Over = "map",
        steps: int = 12,
        weight: float | Tensor | None = None,
        parts: Parts = ALL_PARTS,
        metadata: Metadata | None = None,
        search_effort: int | None = 0,
        surrogate: str | Surrogate = DEFAULT_SURROGATE,
        threads: int | None = None,
        **options: Unpack[CodecOptions],
    ) -> Refined:
        """:func:`npp.refine` from the recipe's size, filter and map on, with a network at the encoder.

        Args:
            x: (N, C, H, W) floats in [0, 1].
            qp: 0 to 51, one for all, for the size depends on it; None for the recipe's own.
            task: as in :func:`npp.refine`; looks at decoded pictures, restored and of x's size.
            over: ``"map"``, ``"pixels"`` or ``"both"``. What is found for the map serves other networks more.
            weight: bits that a unit of loss is worth, for each pixel of x; see :func:`npp.refine`.
            parts: which parts of the recipe are used.
            metadata: of the files.
            steps, search_effort, surrogate, threads: as in :func:`npp.refine`.
            **options: of the codec, instead of the recipe's.

        Returns:
            As :func:`npp.refine`: x_hat is restored and has x's shape, and bpp counts the pixels of x;
            ``x`` and ``qp_map`` are what was coded, and ``history`` counts the coded pixels. A file that is
            coded smaller carries the size in an extension, for :meth:`decode`.

        Raises:
            As :func:`npp.refine`.
        """
        check_floats(x)
        one = resolve_qp(self.qp if qp is None else qp, 1)[0]
        with torch.no_grad():
            ready = self.prepare(x, one, parts)
        chosen: Any = {**self.options, **options}
        size = x.shape[-2], x.shape[-1]
        if weight is None:
            weight = default_weight(x.new_tensor(one, dtype=torch.float32))
        shrunk = ready.x.shape[-2] * ready.x.shape[-1] / (size[0] * size[1])
        found = refine(
            ready.x,
            one,
            looking_at_shown(task, size, self._restorer(parts)),
            over=over,
            steps=steps,
            weight=weight / shrunk,
            qp_map=ready.qp_map,
            search_effort=search_effort,
            surrogate=surrogate,
            threads=threads,
            **chosen,
        )
        return told_all(found, one, size, metadata, chosen, threads, self._restorer(parts))

    @torch.no_grad()
    def encode(
        self,
        image: ImageOrBatch,
        qp: int | Sequence[int] | Tensor | None = None,
        *,
        parts: Parts = ALL_PARTS,
        metadata: Metadata | None = None,
        threads: int | None = None,
        errors: OnError = "raise",
        **options: Unpack[CodecOptions],
    ) -> Any:
        """Encodes pictures as :func:`npp.encode` does, prepared for the recipe's task.

        A picture that is coded smaller carries its size in an extension of the file, for :meth:`decode`.

        Args:
            image, metadata, threads, errors: as in :func:`npp.encode`.
            qp: 0 to 51, one or one per picture; the recipe's own by default.
            parts: which parts of the recipe are used.
            **options: of the codec, instead of the recipe's.

        Returns:
            The file's bytes; for a batch a list of them.

        Raises:
            As :func:`npp.encode`.
        """
        check_on_error(errors)
        check_parts(parts)
        chosen: dict[str, Any] = {**self.options, **options}
        resolved = resolve_options(chosen)
        if resolved.lossless:
            raise EncodeError("lossless must be False with a recipe, which changes what is coded")
        pictures, is_batch = pictures_or_errors(image)
        if errors == "raise":
            raise_first(pictures, None)
        qps = resolve_qp(self.qp if qp is None else qp, len(pictures))
        outcomes = encode_prepared(
            refused_or_not(pictures, is_batch),
            qps,
            resolved,
            scale=self.scale if parts.scale else None,
            prepare=lambda x, one: self._prepared(x, one, parts),
            device=device_of(self),
            metadata=metadata,
            threads=threads,
            is_batch=is_batch,
        )
        if errors == "raise":
            raise_first(outcomes, outcomes if is_batch else None)
        return outcomes if is_batch else outcomes[0]

    @overload
    def decode(  # type: ignore[overload-overlap]  # a str is a Sequence of str
        self, data: File, *, parts: Parts = ..., dtype: torch.dtype = ..., threads: int | None = ...
    ) -> Tensor: ...

    @overload
    def decode(
        self, data: Sequence[File], *, parts: Parts = ..., dtype: torch.dtype = ..., threads: int | None = ...
    ) -> list[Tensor]: ...

    def decode(
        self,
        data: File | Sequence[File],
        *,
        parts: Parts = ALL_PARTS,
        dtype: torch.dtype = torch.uint8,
        threads: int | None = None,
    ) -> Any:
        """Decodes files as :func:`npp.decode` does, as the task's network shall see them.

        They are restored, and those that were coded smaller are brought back. For a picture from another
        decoder, call ``recipe.restorer``.

        Args:
            data, dtype, threads: as in :func:`npp.decode`.
            parts: which parts of the recipe are used; the restorer is the one that counts here.

        Returns:
            As :func:`npp.decode`, at the size that the picture had.

        Raises:
            As :func:`npp.decode`; DecodeError too where the picture would be above the limit on pixels.
        """
        check_parts(parts)
        several = is_several(data)
        given = cast(Any, data) if several else [data]
        files = [file_bytes(one, picture_name("data", i, several)) for i, one in enumerate(given)]
        decoded = decode(files, dtype=dtype, threads=threads)
        restorer = self._restorer(parts)
        ready = [
            decoded_for_task(tensor, file, restorer) for tensor, file in zip(decoded, files, strict=True)
        ]
        return ready if several else ready[0]

    def save(self, path: str | os.PathLike[str], *, allocator_weights: str | None = None) -> None:
        """Writes a safetensors file with all parts.

        An existing file is replaced, once the new one is complete.

        Args:
            path: the file.
            allocator_weights: one of :meth:`npp.Allocator.available` that has the allocator's weights: the
                file then names it instead of holding them.

        Raises:
            ValueError: the allocator has other weights than those.
            OSError: it cannot be written.
        """
        settings, tensors = self._settings(), self.state_dict()
        if allocator_weights is not None:
            for name, tensor in allocator_tensors(allocator_weights).items():
                if name not in tensors or not torch.equal(tensors.pop(name).cpu(), tensor):
                    raise ValueError(f"allocator_weights {allocator_weights!r} are not the allocator's")
            settings["allocator_weights"] = allocator_weights
        _FILES.write(path, _KIND, settings, tensors)

    def _settings(self) -> dict[str, Any]:
        parts: dict[str, Any] = {"scale": None if self.scale is None else self.scale.as_mapping()}
        if self.preprocessor is not None:
            parts["preprocessor"] = {"network": self.preprocessor.network, **self.preprocessor.settings}
        if self.allocator is not None:
            parts["allocator"] = self.allocator.settings.as_mapping()
        if self.restorer is not None:
            parts["restorer"] = self.restorer.settings
        return {"name": self.name, "qp": self.qp, "options": self.options, "card": self.card, **parts}

    @classmethod
    def load(cls, name_or_path: str | os.PathLike[str], device: torch.device | str | None = None) -> Recipe:
        """Reads what :meth:`save` wrote, or a recipe that comes with the package.

        Args:
            name_or_path: one of :meth:`available`, or a file.
            device: where to put its networks, default the CPU.

        Returns:
            In evaluation mode and float32; it can be trained later even if it was read in inference_mode.

        Raises:
            FileNotFoundError: neither a name nor a file.
            ValueError: not such a file, damaged, of a newer version, or weights that do not fit.
        """
        return _FILES.load(
            name_or_path, device, lambda stored: cls(**recipe_arguments(stored)), lambda recipe: recipe
        )

    @staticmethod
    def available() -> list[str]:
        """Names of the recipes that come with the package."""
        return sorted(_FILES.named())
