"""Decoding and probing: from the bytes of BPG files to tensors, and to the properties in their headers."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Literal, cast, overload

import numpy as np
import torch
from torch import Tensor

import npp._bpg as _bpg
from npp._bpg import BPGError, DecodeError
from npp.codec.errors import (
    OnError,
    check_on_error,
    given_back,
    in_words,
    indexed,
    named,
    picture_name,
    raise_first,
)
from npp.codec.file_inputs import File, file_bytes, is_several
from npp.codec.image_inputs import Array
from npp.codec.limits import get_max_pixels, resolve_threads, why_too_large
from npp.codec.metadata import ImageInfo, image_info
from npp.torch_state import memory_error_names, runs_codec

_NUMPY_OF: dict[torch.dtype, np.dtype[Any]] = {
    torch.uint8: np.dtype(np.uint8),
    torch.uint16: np.dtype(np.uint16),
    torch.float16: np.dtype(np.float16),
    torch.bfloat16: np.dtype(np.float32),
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
}


def _check_decode_dtype(dtype: torch.dtype) -> None:
    if not isinstance(dtype, torch.dtype) or dtype not in _NUMPY_OF:
        raise TypeError(f"dtype must be one of {', '.join(str(d) for d in _NUMPY_OF)}, not {dtype!r}")


@overload
def decode(  # type: ignore[overload-overlap]  # a str is a Sequence of str
    data: File,
    *,
    dtype: torch.dtype = ...,
    threads: int | None = ...,
    errors: Literal["raise"] = ...,
) -> Tensor: ...


@overload
def decode(
    data: Sequence[File],
    *,
    dtype: torch.dtype = ...,
    threads: int | None = ...,
    errors: Literal["raise"] = ...,
) -> list[Tensor]: ...


@overload
def decode(  # type: ignore[overload-overlap]  # a str is a Sequence of str
    data: File, *, dtype: torch.dtype = ..., threads: int | None = ..., errors: Literal["return"]
) -> Tensor | BPGError | OSError: ...


@overload
def decode(
    data: Sequence[File],
    *,
    dtype: torch.dtype = ...,
    threads: int | None = ...,
    errors: Literal["return"],
) -> list[Tensor | BPGError | OSError]: ...


@runs_codec("npp.decode")
def decode(
    data: File | Sequence[File],
    *,
    dtype: torch.dtype = torch.uint8,
    threads: int | None = None,
    errors: OnError = "raise",
) -> Any:
    """Decodes BPG files, to the bit as the reference decoder does.

    Args:
        data: a file: its bytes (``bytes``, a buffer, a uint8 array or tensor of one dimension), its path, or
            an open binary file; or a list of files.
        dtype: uint8 or uint16 (whole range), or a floating type: [0, 1], values of 8 bits for files of
            8 bits and of 16 bits for deeper ones.
        threads: codec threads, as in :func:`encode`.
        errors: ``"raise"``, or ``"return"``: the error of a file stands in its place.

    Returns:
        Tensor (C, H, W), for an animation (F, C, H, W); C is 1 for gray, 3 for colour, 4 with alpha
        (straight, even where the file holds premultiplied colour; gray with alpha included). A list of
        tensors for a list.

    Raises:
        DecodeError: not a BPG file, a damaged one, or one above the limit on pixels
            (:func:`npp.set_max_pixels`). From a list, ``index`` says which file it was and ``results`` has a
            tensor or an error for each file.
        UnsupportedError: 11, 13 or 14 bits, or a tensor without bytes in memory, as for :func:`encode`.
        OSError: a path that cannot be read.
        TypeError: data, dtype or threads is none of these.
        ValueError: threads below 1 or above 4096, or errors that are neither.
    """
    return decode_finished(data, lambda decoded, file: decoded, dtype=dtype, threads=threads, errors=errors)


def decode_finished(
    data: File | Sequence[File],
    finish: Callable[[Tensor, bytes], Tensor],
    *,
    dtype: torch.dtype,
    threads: int | None,
    errors: OnError,
) -> Any:
    """Decodes BPG files and passes each picture through a function, whose errors name the file as well.

    Args:
        finish: called with the decoded tensor and the file's bytes; may raise DecodeError and MemoryError,
            which count as errors of the file.
        data, dtype, threads, errors: as for :func:`decode`.

    Raises:
        What :func:`decode` raises.
    """
    _check_decode_dtype(dtype)
    check_on_error(errors)
    is_batch = is_several(data)
    files: Sequence[Any] = cast("Sequence[Any]", data) if is_batch else [data]
    outcomes = _files_or_errors(files, is_batch, errors)
    good = {i: file for i, file in enumerate(outcomes) if isinstance(file, bytes)}
    if good:
        handle = _bpg.start_decode(
            list(good.values()), _NUMPY_OF[dtype], None, get_max_pixels(), resolve_threads(threads)
        )
        for i, result in zip(good, handle.result(), strict=True):
            outcome = result.error or _finished(_decoded(result.picture, dtype), good[i], finish)
            outcomes[i] = (
                outcome if isinstance(outcome, Tensor) else _naming_file(outcome, files[i], i, is_batch)
            )
    return given_back(outcomes, is_batch, errors)


def _files_or_errors(data: Any, is_batch: bool, errors: OnError) -> list[Any]:
    """The bytes of every file, or, with ``errors="return"``, why it cannot be read."""
    outcomes: list[Any] = []
    for i, file in enumerate(data):
        try:
            outcomes.append(file_bytes(file, picture_name("data", i, is_batch)))
        except OSError as error:
            if errors == "raise":
                raise
            outcomes.append(error.with_traceback(None))
    return outcomes


def _naming_file(
    error: BPGError | MemoryError, file: object, index: int, is_batch: bool
) -> BPGError | MemoryError:
    """An error of a file that names it: its path, or its place in a list."""
    if isinstance(file, (str, os.PathLike)):
        return in_words(error, f"{os.fspath(file)}: {error}", index if is_batch else None)
    return named(error, "data", index, is_batch)


def _finished(
    decoded: Tensor, file: bytes, finish: Callable[[Tensor, bytes], Tensor]
) -> Tensor | BPGError | MemoryError:
    """The finished result of a decoded file, or the error where finishing it failed."""
    try:
        return finish(decoded, file)
    except BPGError as wrong:
        return wrong.with_traceback(None)
    except MemoryError as short:
        return MemoryError(str(short))  # without what it was raised from, whose traceback keeps pictures


def _decoded(array: Array | None, dtype: torch.dtype) -> Tensor:
    assert array is not None
    with memory_error_names("decoding", array.shape[-2], array.shape[-1]):
        return torch.from_numpy(array).to(dtype)


def _info(file: bytes, index: int) -> ImageInfo:
    try:
        return image_info(file)
    except DecodeError as error:
        raise indexed(DecodeError, f"bitstreams[{index}]: {error}", index) from error


def decode_batch(bitstreams: Sequence[File], *, dtype: torch.dtype, threads: int | None = None) -> Tensor:
    """Decodes still pictures of one size into one tensor (N, C, H, W); see :func:`npp.decompress`."""
    _check_decode_dtype(dtype)
    if not is_several(bitstreams):
        raise TypeError(f"bitstreams must be a list of files, not {type(bitstreams).__name__}")
    files = [file_bytes(b, f"bitstreams[{i}]") for i, b in enumerate(bitstreams)]
    if not files:
        raise DecodeError("bitstreams is empty; at least one file is needed")
    first = _one_shape([_info(file, i) for i, file in enumerate(files)])
    batch = _room((len(files), first.channels, first.height, first.width), _NUMPY_OF[dtype])
    places = None if batch is None else list(batch)
    results = _bpg.start_decode(
        files, _NUMPY_OF[dtype], places, get_max_pixels(), resolve_threads(threads)
    ).result()
    tensors = None if batch is None else torch.from_numpy(batch).to(dtype)
    outcomes = [
        named(result.error, "bitstreams", i, True)
        if result.error is not None
        else (_decoded(result.picture, dtype) if tensors is None else tensors[i])
        for i, result in enumerate(results)
    ]
    raise_first(outcomes, outcomes)
    return torch.stack(outcomes) if tensors is None else tensors  # type: ignore[arg-type]  # no errors are left


def _room(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array | None:
    """Memory for a batch, whose pages come when pictures are written to them.

    ``None`` where there is none: headers may lie, so each file is then decoded to memory of its own.
    """
    try:
        return np.empty(shape, dtype)
    except MemoryError:
        return None


def _one_shape(infos: Sequence[ImageInfo]) -> ImageInfo:
    """The first of several still pictures that have the same shape, within the limit on pixels."""
    first = infos[0]
    for i, info in enumerate(infos):
        if info.animation:
            message = f"bitstreams[{i}] is an animation of {info.frames} frame(s); use npp.decode"
            raise indexed(DecodeError, message, i)
        if (info.channels, info.height, info.width) != (first.channels, first.height, first.width):
            message = (
                f"bitstreams[{i}] is {info.channels}x{info.height}x{info.width} (CxHxW), bitstreams[0] is "
                f"{first.channels}x{first.height}x{first.width}; a batch needs one size (see npp.decode)"
            )
            raise indexed(DecodeError, message, i)
    if (why := why_too_large(1, first.width, first.height, "bitstreams[0] is")) is not None:
        raise indexed(DecodeError, why, 0)
    return first


def probe(data: File) -> ImageInfo:
    """Reads what a BPG file says about itself, without decoding it.

    Args:
        data: a file, as in :func:`decode`.

    Raises:
        DecodeError: not a BPG file, or its headers are damaged.
        OSError: a path that cannot be read.
        TypeError: data is none of these.
    """
    return image_info(file_bytes(data, "data"))
