"""Files of pictures that a recipe prepares, and pictures of files that it restores."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, overload

import torch
from torch import Tensor
from typing_extensions import Unpack

from npp._bpg import BPGError
from npp.codec.decoding import decode_finished
from npp.codec.errors import OnError, check_on_error, given_back, raise_first
from npp.codec.file_inputs import File
from npp.codec.image_inputs import ImageOrBatch, SingleImage, pictures_or_errors
from npp.codec.metadata import Metadata, check_metadata
from npp.codec.option_signature import shows_options
from npp.codec.options import CodecOptions, resolve_qp
from npp.codec.qp_maps import Qp
from npp.recipes.input_checks import with_sample_errors
from npp.recipes.option_checks import lossy_options
from npp.recipes.parts import ALL_PARTS, Parts, check_parts
from npp.recipes.picture_floats import decoded_for_task
from npp.recipes.prepared_files import encode_prepared
from npp.recipes.recipe_stages import RecipeStages
from npp.torch_state import device_of, runs_codec


class RecipeFiles(RecipeStages):
    """The methods of :class:`npp.Recipe` that write and read files."""

    @overload
    def encode(  # a tensor is one picture or a batch, which its type does not say
        self,
        image: Tensor,
        qp: Qp | None = ...,
        *,
        parts: Parts = ...,
        metadata: Metadata | None = ...,
        threads: int | None = ...,
        errors: OnError = ...,
        **options: Unpack[CodecOptions],
    ) -> Any: ...

    @overload
    def encode(
        self,
        image: SingleImage,
        qp: Qp | None = ...,
        *,
        parts: Parts = ...,
        metadata: Metadata | None = ...,
        threads: int | None = ...,
        errors: Literal["raise"] = ...,
        **options: Unpack[CodecOptions],
    ) -> bytes: ...

    @overload
    def encode(
        self,
        image: Sequence[SingleImage],
        qp: Qp | None = ...,
        *,
        parts: Parts = ...,
        metadata: Metadata | None = ...,
        threads: int | None = ...,
        errors: Literal["raise"] = ...,
        **options: Unpack[CodecOptions],
    ) -> list[bytes]: ...

    @overload
    def encode(
        self,
        image: SingleImage,
        qp: Qp | None = ...,
        *,
        parts: Parts = ...,
        metadata: Metadata | None = ...,
        threads: int | None = ...,
        errors: Literal["return"],
        **options: Unpack[CodecOptions],
    ) -> bytes | BPGError | OSError | MemoryError: ...

    @overload
    def encode(
        self,
        image: Sequence[SingleImage],
        qp: Qp | None = ...,
        *,
        parts: Parts = ...,
        metadata: Metadata | None = ...,
        threads: int | None = ...,
        errors: Literal["return"],
        **options: Unpack[CodecOptions],
    ) -> list[bytes | BPGError | OSError | MemoryError]: ...

    @shows_options(defaults=False)
    @runs_codec("npp.Recipe.encode")
    @torch.no_grad()
    def encode(
        self,
        image: ImageOrBatch,
        qp: Qp | None = None,
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
            qp: 0 to 51, one or one per picture; by default the recipe's own, ``recipe.qp``, which is not
                chosen for the picture: see :class:`npp.Recipe`.
            parts: which parts of the recipe are used, as :class:`npp.recipes.Parts` says.
            **options: of the codec, instead of the recipe's.

        Returns:
            The file's bytes; for a batch a list of them.

        Raises:
            As :func:`npp.encode`.
            MemoryError: memory ran out; of a network that prepares a picture it is that picture's error.
        """
        check_on_error(errors)
        check_parts(parts)
        check_metadata(metadata)
        resolved = lossy_options({**self.options, **options})
        pictures, is_batch = pictures_or_errors(image)
        if errors == "raise":
            raise_first(pictures, None)
        qps = resolve_qp(self.qp if qp is None else qp, len(pictures))
        outcomes = encode_prepared(
            with_sample_errors(pictures, is_batch),
            qps,
            resolved,
            scale=self.scale if parts.scale else None,
            prepare=partial(self._prepared, parts=parts),
            device=device_of(self),
            metadata=metadata,
            threads=threads,
            is_batch=is_batch,
        )
        return given_back(outcomes, is_batch, errors)

    @overload
    def decode(  # type: ignore[overload-overlap]  # a str is a Sequence of str
        self,
        data: File,
        *,
        parts: Parts = ...,
        dtype: torch.dtype = ...,
        threads: int | None = ...,
        errors: Literal["raise"] = ...,
    ) -> Tensor: ...

    @overload
    def decode(
        self,
        data: Sequence[File],
        *,
        parts: Parts = ...,
        dtype: torch.dtype = ...,
        threads: int | None = ...,
        errors: Literal["raise"] = ...,
    ) -> list[Tensor]: ...

    @overload
    def decode(  # type: ignore[overload-overlap]  # a str is a Sequence of str
        self,
        data: File,
        *,
        parts: Parts = ...,
        dtype: torch.dtype = ...,
        threads: int | None = ...,
        errors: Literal["return"],
    ) -> Tensor | BPGError | OSError | MemoryError: ...

    @overload
    def decode(
        self,
        data: Sequence[File],
        *,
        parts: Parts = ...,
        dtype: torch.dtype = ...,
        threads: int | None = ...,
        errors: Literal["return"],
    ) -> list[Tensor | BPGError | OSError | MemoryError]: ...

    @runs_codec("npp.Recipe.decode")
    def decode(
        self,
        data: File | Sequence[File],
        *,
        parts: Parts = ALL_PARTS,
        dtype: torch.dtype = torch.uint8,
        threads: int | None = None,
        errors: OnError = "raise",
    ) -> Any:
        """Decodes files as :func:`npp.decode` does, in the form that the task's network needs.

        Pictures are restored, and those that were coded smaller are brought back to their own size. For a
        picture from another decoder, call ``recipe.restorer``.

        Args:
            data, dtype, threads, errors: as in :func:`npp.decode`.
            parts: which parts of the recipe are used, as :class:`npp.recipes.Parts` says; the restorer is the
                one that counts here.

        Returns:
            As :func:`npp.decode`, at the size that the picture had.

        Raises:
            As :func:`npp.decode`; DecodeError too where the picture would be above the limit on pixels.
            MemoryError: memory ran out; where a picture is restored or enlarged it is that picture's error.
        """
        check_parts(parts)
        finish = partial(decoded_for_task, restorer=self._restorer(parts))
        return decode_finished(data, finish, dtype=dtype, threads=threads, errors=errors)
