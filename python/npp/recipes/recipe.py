"""What is trained, evaluated, shipped and used under one name, from the scale to the restorer."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from npp.codec.metadata import Metadata
from npp.codec.option_signature import shows_options
from npp.codec.options import CodecOptions, resolve_options, resolve_qp
from npp.codec.qp_maps import Qp
from npp.gradient.pairing import Compressed
from npp.gradient.prediction import PictureLoss
from npp.gradient.refine_objective import RefineStep
from npp.gradient.refinement import Over, Refined
from npp.gradient.surrogates import DEFAULT_SURROGATE, Surrogate
from npp.recipes.coded_batches import compress_prepared
from npp.recipes.option_checks import RECIPE_ARGUMENTS, check_lossless, check_recipe_arguments
from npp.recipes.parts import ALL_PARTS, Parts
from npp.recipes.recipe_files import RecipeFiles
from npp.recipes.recipe_store import FILES
from npp.recipes.refined_files import refined_files
from npp.recipes.stored_parts import leave_out_named, part_settings, recipe_arguments
from npp.torch_state import memory_error_names, runs_codec


def recipe_file(name_or_path: str | os.PathLike[str]) -> Path:
    """The file that :meth:`Recipe.load` would read; nothing is read.

    Raises:
        FileNotFoundError: there is none; the message lists the names.
    """
    return FILES.find(name_or_path)


class Recipe(RecipeFiles):
    """Prepares pictures for a task and codes them; what it writes is plain BPG.

    Any part may be absent. It is a module: ``.to(device)`` moves its networks, which are run where they are.

    Args:
        name: what it is called.
        scale: at which size pictures are coded.
        preprocessor: the learned filter.
        allocator: the learned map of quantiser offsets.
        restorer: the learned filter behind the decoder.
        options: of the codec, see :class:`npp.CodecOptions`.
        qp: where a user names none, 37 unless given: a place to begin and no optimum, coarser than the 29 of
            :func:`npp.encode`, which is bpgenc's and meant for eyes. Those of the recipes that come with npp
            (docs/allocation.md lists them) lie amid the qps at which each was measured: lower ones keep
            more, higher ones save more.
        card: what it was made from and for, for people.

    Raises:
        TypeError, ValueError: a part of another type, or options that the codec refuses.
    """

    def changed(self, **parts: Any) -> Recipe:
        """A recipe with other arguments, that has this one's networks where they say nothing.

        Args:
            **parts: as in the constructor; ``None`` leaves a part out.

        Raises:
            As the constructor.
        """
        check_recipe_arguments(parts)
        kept = {name: getattr(self, name) for name in RECIPE_ARGUMENTS}
        return Recipe(**{**kept, **parts}).train(self.training)

    def forward(self, x: Tensor, qp: Qp | None = None) -> Compressed:
        """Compresses a batch; arguments and result are those of :meth:`compress`."""
        return self.compress(x, qp)

    @shows_options(defaults=False)
    @runs_codec("npp.Recipe.compress")
    def compress(
        self,
        x: Tensor,
        qp: Qp | None = None,
        *,
        parts: Parts = ALL_PARTS,
        surrogate: str | Surrogate = DEFAULT_SURROGATE,
        threads: int | None = None,
        **options: Unpack[CodecOptions],
    ) -> Compressed:
        """A batch through the recipe and the real codec, back at its own size; differentiable throughout.

        Args:
            x: (N, C, H, W) floats in [0, 1].
            qp: 0 to 51, one or one per picture; by default the recipe's own, ``recipe.qp``, which is not
                chosen for the picture: see :class:`npp.Recipe`.
            parts: which parts of the recipe are used, as :class:`npp.recipes.Parts` says.
            surrogate, threads: as in :func:`npp.compress`.
            **options: of the codec, instead of the recipe's.

        Returns:
            As :func:`npp.compress`, but x_hat is what the task's network shall see: restored, and of x's
            shape. bpp counts the pixels of x, not the coded ones. The files do not say which size x had;
            those of :meth:`encode` do.

        Raises:
            TypeError: x is no floating tensor.
            EncodeError, UnsupportedError, ValueError: as :func:`npp.compress`.
            MemoryError: memory ran out; the message says of which step and of which size.
        """
        self._check(x, parts)
        qps = resolve_qp(self.qp if qp is None else qp, x.shape[0])
        merged: Any = {**self.options, **options}
        check_lossless(merged, self.allocator if parts.qp_map else None)
        prepare = partial(self._prepared, parts=parts)
        with memory_error_names("compressing", x.shape[-2], x.shape[-1]):
            return compress_prepared(x, qps, prepare, self._restorer(parts), surrogate, threads, merged)

    @shows_options(defaults=False)
    @runs_codec("npp.Recipe.refine")
    @torch.inference_mode(False)
    def refine(
        self,
        x: Tensor,
        qp: int | None,
        task: PictureLoss | Sequence[PictureLoss],
        *,
        over: Over = "map",
        steps: int = 12,
        weight: float | Sequence[float] | Tensor | None = None,
        lr: float = 0.03,
        map_lr: float = 2.0,
        map_limit: float = 8.0,
        map_zero_mean: bool = False,
        parts: Parts = ALL_PARTS,
        metadata: Metadata | None = None,
        search_effort: int | None = 0,
        surrogate: str | Surrogate = DEFAULT_SURROGATE,
        patience: int | None = None,
        callback: Callable[[RefineStep], bool | None] | None = None,
        threads: int | None = None,
        **options: Unpack[CodecOptions],
    ) -> Refined:
        """:func:`npp.refine` from the recipe's size, filter and map on, with a network at the encoder.

        Args:
            x: (N, C, H, W) floats in [0, 1].
            qp: 0 to 51, one for all, for the size depends on it; None for the recipe's own.
            task: as in :func:`npp.refine`; looks at decoded pictures, restored and of x's size.
            over: ``"map"``, ``"pixels"`` or ``"both"``. It is the map by default, unlike in
                :func:`npp.refine`, since what is found for the map serves other networks more.
            weight: bits that a unit of loss is worth, for each pixel of x; see :func:`npp.refine`.
            map_limit: greatest offset; that of the recipe's own map where this is greater.
            parts: which parts of the recipe are used, as :class:`npp.recipes.Parts` says.
            metadata: of the files.
            steps, lr, map_lr, map_zero_mean, search_effort, surrogate, patience, callback, threads: as in
                :func:`npp.refine`.
            **options: of the codec, instead of the recipe's.

        Returns:
            As :func:`npp.refine`: x_hat is restored and has x's shape, and bpp counts the pixels of x;
            ``x`` and ``qp_map`` are what was coded, and ``history`` counts the coded pixels. A file that is
            coded smaller carries the size in an extension, for :meth:`decode`.

        Raises:
            As :func:`npp.refine`.
            MemoryError: memory ran out: the features of all networks, at the size that they see, are kept for
                the gradients.
        """
        resolved_qp = resolve_qp(self.qp if qp is None else qp, 1)[0]
        merged: Any = {**self.options, **options}
        resolve_options(merged)
        with torch.no_grad():
            ready = self.prepare(x, resolved_qp, parts)
        with memory_error_names("refining", x.shape[-2], x.shape[-1]):
            return refined_files(
                ready,
                resolved_qp,
                task,
                (x.shape[-2], x.shape[-1]),
                self._restorer(parts),
                weight=weight,
                metadata=metadata,
                threads=threads,
                options=merged,
                over=over,
                steps=steps,
                lr=lr,
                map_lr=map_lr,
                map_limit=map_limit,
                map_zero_mean=map_zero_mean,
                search_effort=search_effort,
                surrogate=surrogate,
                patience=patience,
                callback=callback,
            )

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
        settings = part_settings(self.scale, self.preprocessor, self.allocator, self.restorer)
        settings |= {"name": self.name, "qp": self.qp, "options": self.options, "card": self.card}
        tensors = self.state_dict()
        if allocator_weights is not None:
            leave_out_named(tensors, allocator_weights)
            settings["allocator_weights"] = allocator_weights
        FILES.write(path, "recipe", settings, tensors)

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
        return FILES.load(
            name_or_path, device, lambda stored: cls(**recipe_arguments(stored)), lambda recipe: recipe
        )

    @staticmethod
    def available() -> list[str]:
        """Names of the recipes that come with the package."""
        return sorted(FILES.named())
