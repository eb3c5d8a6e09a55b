"""Encoding: tensors, arrays and PIL images to the bytes of BPG files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, overload

from torch import Tensor
from typing_extensions import Unpack

import npp._bpg as _bpg
from npp._bpg import BPGError, EncodeError
from npp.checks import DEFAULT_QP
from npp.codec.errors import OnError, check_on_error, given_back, indexed, named, picture_name, raise_first
from npp.codec.image_inputs import (
    CodecImage,
    ImageOrBatch,
    PictureOrError,
    SingleImage,
    describe_range,
    pictures_or_errors,
)
from npp.codec.limits import resolve_threads
from npp.codec.metadata import Metadata, extensions_of
from npp.codec.option_signature import shows_options
from npp.codec.options import CodecOptions, ResolvedOptions, resolve_options, resolve_qp
from npp.codec.qp_maps import NativeMaps, Qp, QpMap, resolve_qp_maps
from npp.torch_state import runs_codec


@overload
def encode(  # a tensor is one picture or a batch, which its type does not say
    image: Tensor,
    qp: Qp = ...,
    *,
    qp_map: QpMap | None = ...,
    metadata: Metadata | None = ...,
    threads: int | None = ...,
    errors: OnError = ...,
    **options: Unpack[CodecOptions],
) -> Any: ...


@overload
def encode(
    image: SingleImage,
    qp: Qp = ...,
    *,
    qp_map: QpMap | None = ...,
    metadata: Metadata | None = ...,
    threads: int | None = ...,
    errors: Literal["raise"] = ...,
    **options: Unpack[CodecOptions],
) -> bytes: ...


@overload
def encode(
    image: Sequence[SingleImage],
    qp: Qp = ...,
    *,
    qp_map: QpMap | None = ...,
    metadata: Metadata | None = ...,
    threads: int | None = ...,
    errors: Literal["raise"] = ...,
    **options: Unpack[CodecOptions],
) -> list[bytes]: ...


@overload
def encode(
    image: SingleImage,
    qp: Qp = ...,
    *,
    qp_map: QpMap | None = ...,
    metadata: Metadata | None = ...,
    threads: int | None = ...,
    errors: Literal["return"],
    **options: Unpack[CodecOptions],
) -> bytes | BPGError | OSError: ...


@overload
def encode(
    image: Sequence[SingleImage],
    qp: Qp = ...,
    *,
    qp_map: QpMap | None = ...,
    metadata: Metadata | None = ...,
    threads: int | None = ...,
    errors: Literal["return"],
    **options: Unpack[CodecOptions],
) -> list[bytes | BPGError | OSError]: ...


@shows_options()
@runs_codec("npp.encode")
def encode(
    image: ImageOrBatch,
    qp: Qp = DEFAULT_QP,
    *,
    qp_map: QpMap | None = None,
    metadata: Metadata | None = None,
    threads: int | None = None,
    errors: OnError = "raise",
    **options: Unpack[CodecOptions],
) -> Any:
    """Encodes pictures as BPG files.

    Args:
        image: a PIL image, a numpy array (H, W) or (H, W, C), a tensor (C, H, W); or a batch of them, a
            tensor (N, C, H, W) or a list whose sizes may differ. 1 (gray), 3 (RGB) or 4 (RGBA) channels
            of uint8, uint16 or floats in [0, 1]. Floats are rounded to 8 bits, to 16 when ``bit_depth``
            is above 8. Any strides and devices. Of PIL images the modes I and I;16 count from 0 to 65535, F
            from 0 to 1.
        qp: quantiser 0 (best) to 51 as bpgenc's ``-q``; an int, or one per image.
        qp_map: offsets from the qp in QP units for each block of 16x16 pixels, floats of any dtype and
            device: (ceil(H/16), ceil(W/16)) for a picture; for a batch (N, h, w), or a list with a map or
            ``None`` for each. Rounded to whole QPs, halves to the even one; the sum with the slice's QP is
            clipped to 0..51. Alpha keeps its own QP. Not with ``lossless``.
        metadata: written into every file.
        threads: codec threads, 1 to 4096, or ``None`` for all usable cores (within a worker of a DataLoader
            for 1). The bytes do not depend on it.
        errors: ``"raise"``, or ``"return"``: the error of a picture stands in its place, and the others are
            encoded. Errors of the whole call (types, options, qp) are raised all the same.
        **options: see :class:`npp.CodecOptions`.

    Returns:
        The file's bytes; for a batch a list of them.

    Raises:
        TypeError: wrong types, dtypes or option names.
        ValueError: threads below 1 or above 4096, or errors that are neither (EncodeError is one, too).
        EncodeError: wrong shapes, sizes or values; the message names argument, value and what is allowed.
            From a batch, ``index`` says which picture it was. A wrong shape or size is raised before any
            work; of what comes later, ``results`` has a file or an error for each picture.
        UnsupportedError: a bit depth that x265 cannot write, or a tensor without values in memory: on the
            device meta, traced, sparse, nested, or within a transform of torch.func.
        OSError: a PIL image whose file cannot be read, raised before any work.
    """
    check_on_error(errors)
    resolved = resolve_options(options)
    pictures, is_batch = pictures_or_errors(image)
    if errors == "raise":
        raise_first(pictures, None)
    qps = resolve_qp(qp, len(pictures))
    maps = resolve_qp_maps(qp_map, _sizes(pictures), is_batch=is_batch, lossless=resolved.lossless)
    outcomes = encode_pictures(
        pictures, qps, resolved, qp_maps=maps, metadata=metadata, threads=threads, is_batch=is_batch
    )
    return given_back(outcomes, is_batch, errors)


def _sizes(pictures: Sequence[PictureOrError]) -> list[tuple[int, int] | None]:
    """Height and width of each picture that can be encoded."""
    return [picture.samples.shape[-2:] if isinstance(picture, CodecImage) else None for picture in pictures]


def encode_pictures(
    pictures: Sequence[PictureOrError],
    qps: Sequence[int],
    options: ResolvedOptions,
    *,
    qp_maps: NativeMaps | None = None,
    metadata: Metadata | None = None,
    threads: int | None = None,
    is_batch: bool = True,
) -> list[Any]:
    """Files of checked pictures; an error, one that is given included, stands in its picture's place.

    Args:
        pictures: of :func:`~npp.codec.image_inputs.pictures_or_errors`.
        qps: one each.
        options: for all of them.
        qp_maps: one each, or ``None``; checked.
        metadata: written into every file.
        threads: codec threads, ``None`` for all usable cores.
        is_batch: whether messages number the pictures.
    """
    good = {i: picture for i, picture in enumerate(pictures) if isinstance(picture, CodecImage)}
    good_qps = [qps[i] for i in good]
    good_maps = None if qp_maps is None else [qp_maps[i] for i in good]
    handle = _bpg.start_encode(
        [picture.samples for picture in good.values()],
        _bpg.BatchQps(good_qps, options.alpha_qps(good_qps), good_maps),
        [options.native(gray=picture.gray) for picture in good.values()],
        extensions_of(metadata),
        resolve_threads(threads),
    )
    outcomes: list[Any] = list(pictures)
    for (i, picture), result in zip(good.items(), handle.result(), strict=True):
        outcomes[i] = _encoded(picture, i, is_batch, result)
    return outcomes


def _encoded(picture: CodecImage, index: int, is_batch: bool, result: _bpg.EncodeOutcome) -> bytes | BPGError:
    if result.error is not None:
        return named(result.error, "image", index, is_batch)
    if result.outside or result.nan:
        message = describe_range(picture_name("image", index, is_batch), picture.samples)
        return indexed(EncodeError, message, index if is_batch else None)
    assert result.file is not None
    return result.file
