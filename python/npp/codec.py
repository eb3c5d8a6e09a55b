"""Encoding, decoding and probing of BPG files: tensors, arrays and PIL images to bytes and back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal, TypeAlias, overload

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Unpack

from npp import _bpg
from npp.device import DeviceTransfer
from npp.errors import BPGError, DecodeError, EncodeError
from npp.images import (
    Array,
    CodecImage,
    ImageOrBatch,
    SingleImage,
    as_batch,
    check_dtype,
    check_geometry,
    describe_range,
    pictures_or_errors,
)
from npp.limits import get_max_pixels, resolve_threads
from npp.metadata import ImageInfo, Metadata, image_info
from npp.options import CodecOptions, ResolvedOptions, resolve_options, resolve_qp
from npp.outcomes import OnError, check_on_error, indexed, named, picture_name, raise_first

BytesLike: TypeAlias = "bytes | bytearray | memoryview"

_MAX_TICKS = 0xFFFF
_MAX_PERIOD = 2**32 - 1
_NUMPY_OF: dict[torch.dtype, np.dtype[Any]] = {
    torch.uint8: np.dtype(np.uint8),
    torch.uint16: np.dtype(np.uint16),
    torch.float16: np.dtype(np.float16),
    torch.bfloat16: np.dtype(np.float32),
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
}


def _extensions(metadata: Metadata | None) -> list[tuple[int, bytes]]:
    if metadata is None:
        return []
    if not isinstance(metadata, Metadata):
        raise TypeError(f"metadata must be npp.Metadata or None, not {type(metadata).__name__}")
    return metadata.to_extensions()


def _alpha_qps(options: ResolvedOptions, qps: list[int]) -> list[int]:
    return qps if options.alpha_qp is None else [options.alpha_qp] * len(qps)


@overload
def encode(
    image: SingleImage,
    qp: Any = ...,
    *,
    metadata: Metadata | None = ...,
    threads: int | None = ...,
    errors: Literal["raise"] = ...,
    **options: Unpack[CodecOptions],
) -> bytes: ...
@overload
def encode(
    image: Sequence[SingleImage],
    qp: Any = ...,
    *,
    metadata: Metadata | None = ...,
    threads: int | None = ...,
    errors: Literal["raise"] = ...,
    **options: Unpack[CodecOptions],
) -> list[bytes]: ...
@overload
def encode(
    image: SingleImage,
    qp: Any = ...,
    *,
    metadata: Metadata | None = ...,
    threads: int | None = ...,
    errors: Literal["return"],
    **options: Unpack[CodecOptions],
) -> bytes | BPGError: ...
@overload
def encode(
    image: Sequence[SingleImage],
    qp: Any = ...,
    *,
    metadata: Metadata | None = ...,
    threads: int | None = ...,
    errors: Literal["return"],
    **options: Unpack[CodecOptions],
) -> list[bytes | BPGError]: ...
def encode(
    image: ImageOrBatch,
    qp: Any = 29,
    *,
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
            is above 8. Any strides and devices.
        qp: quantiser 0 (best) to 51 as bpgenc's ``-q``; an int, or one per image.
        metadata: written into every file.
        threads: codec threads, ``None`` for all usable cores. The bytes do not depend on it.
        errors: ``"raise"``, or ``"return"``: the error of a picture stands in its place, and the others are
            encoded. Errors of the whole call (types, options, qp) are raised all the same.
        **options: see :class:`npp.CodecOptions`.

    Returns:
        The file's bytes; for a batch a list of them.

    Raises:
        TypeError: wrong types, dtypes or option names.
        EncodeError: wrong shapes, sizes or values; the message names argument, value and what is allowed.
            From a batch, ``index`` says which picture it was. A wrong shape or size is raised before any
            work; of what comes later, ``results`` has a file or an error for each picture.
        UnsupportedError: a bit depth that x265 cannot write.
    """
    check_on_error(errors)
    resolved = resolve_options(options)
    pictures, is_batch = pictures_or_errors(image)
    if errors == "raise":
        raise_first(pictures, None)
    qps = resolve_qp(qp, len(pictures))
    good = {i: picture for i, picture in enumerate(pictures) if isinstance(picture, CodecImage)}
    good_qps = [qps[i] for i in good]
    handle = _bpg.start_encode(
        [picture.samples for picture in good.values()],
        good_qps,
        _alpha_qps(resolved, good_qps),
        [resolved.native(gray=picture.gray) for picture in good.values()],
        _extensions(metadata),
        resolve_threads(threads),
    )
    outcomes: list[Any] = list(pictures)
    for (i, picture), (file, error, outside, nan, *_) in zip(good.items(), handle.result(), strict=True):
        outcomes[i] = _encoded(picture, i, is_batch, file, error, outside or nan)
    if errors == "raise":
        raise_first(outcomes, outcomes if is_batch else None)
    return outcomes if is_batch else outcomes[0]


def _encoded(
    picture: CodecImage, index: int, is_batch: bool, file: bytes | None, error: BPGError | None, refused: bool
) -> bytes | BPGError:
    if error is not None:
        return named(error, "image", index, is_batch)
    if refused:
        message = describe_range(picture_name("image", index, is_batch), picture.samples)
        return indexed(EncodeError, message, index if is_batch else None)
    assert file is not None
    return file


def _as_bytes(data: object, name: str) -> bytes:
    if isinstance(data, bytes):
        return data
    if isinstance(data, (bytearray, memoryview)):
        return bytes(data)
    raise TypeError(f"{name} must be bytes, not {type(data).__name__}")


def _check_decode_dtype(dtype: torch.dtype) -> None:
    if dtype not in _NUMPY_OF:
        raise TypeError(f"dtype must be one of {', '.join(str(d) for d in _NUMPY_OF)}, not {dtype!r}")


@overload
def decode(
    data: BytesLike,
    *,
    dtype: torch.dtype = ...,
    threads: int | None = ...,
    errors: Literal["raise"] = ...,
) -> Tensor: ...
@overload
def decode(
    data: Sequence[BytesLike],
    *,
    dtype: torch.dtype = ...,
    threads: int | None = ...,
    errors: Literal["raise"] = ...,
) -> list[Tensor]: ...
@overload
def decode(
    data: BytesLike, *, dtype: torch.dtype = ..., threads: int | None = ..., errors: Literal["return"]
) -> Tensor | BPGError: ...
@overload
def decode(
    data: Sequence[BytesLike],
    *,
    dtype: torch.dtype = ...,
    threads: int | None = ...,
    errors: Literal["return"],
) -> list[Tensor | BPGError]: ...
def decode(
    data: BytesLike | Sequence[BytesLike],
    *,
    dtype: torch.dtype = torch.uint8,
    threads: int | None = None,
    errors: OnError = "raise",
) -> Any:
    """Decodes BPG files, to the bit as the reference decoder does.

    Args:
        data: a file's bytes, or a list of them.
        dtype: uint8 or uint16 (whole range), or a floating type: [0, 1], values of 8 bits for files of
            8 bits and of 16 bits for deeper ones.
        threads: codec threads, ``None`` for all usable cores.
        errors: ``"raise"``, or ``"return"``: the error of a file stands in its place.

    Returns:
        Tensor (C, H, W), for an animation (F, C, H, W); C is 1 for gray, 3 for colour, 4 with alpha
        (straight, even where the file holds premultiplied colour; gray with alpha included). A list of
        tensors for a list.

    Raises:
        DecodeError: not a BPG file, a damaged one, or one above the limit on pixels
            (:func:`npp.set_max_pixels`). From a list, ``index`` says which file it was and ``results`` has a
            tensor or an error for each file.
        UnsupportedError: 11, 13 or 14 bits.
    """
    _check_decode_dtype(dtype)
    check_on_error(errors)
    is_batch = isinstance(data, (list, tuple))
    files = [
        _as_bytes(d, picture_name("data", i, is_batch)) for i, d in enumerate(data if is_batch else [data])
    ]
    if not files:
        return []
    handle = _bpg.start_decode(files, _NUMPY_OF[dtype], None, get_max_pixels(), resolve_threads(threads))
    outcomes = [
        _decoded(array, dtype) if error is None else named(error, "data", i, is_batch)
        for i, (array, error) in enumerate(handle.result())
    ]
    if errors == "raise":
        raise_first(outcomes, outcomes if is_batch else None)
    return outcomes if is_batch else outcomes[0]


def _decoded(array: Array | None, dtype: torch.dtype) -> Tensor:
    assert array is not None
    return torch.from_numpy(array).to(dtype)


def _info(file: bytes, index: int) -> ImageInfo:
    try:
        return image_info(file)
    except DecodeError as error:
        raise indexed(DecodeError, f"bitstreams[{index}]: {error}", index) from error


def decode_batch(
    bitstreams: Sequence[BytesLike], *, dtype: torch.dtype, threads: int | None = None
) -> Tensor:
    """Decodes still pictures of one size into one tensor (N, C, H, W); see :func:`npp.decompress`."""
    _check_decode_dtype(dtype)
    if isinstance(bitstreams, (bytes, bytearray, memoryview)) or not isinstance(bitstreams, Sequence):
        raise TypeError(f"bitstreams must be a list of bytes, not {type(bitstreams).__name__}")
    files = [_as_bytes(b, f"bitstreams[{i}]") for i, b in enumerate(bitstreams)]
    if not files:
        raise DecodeError("bitstreams is empty; at least one file is needed")
    infos = [_info(file, i) for i, file in enumerate(files)]
    for i, info in enumerate(infos):
        if info.animation:
            message = f"bitstreams[{i}] is an animation of {info.frames} frame(s); use npp.decode"
            raise indexed(DecodeError, message, i)
    first = infos[0]
    check_geometry("bitstreams[0]", first.channels, first.height, first.width)
    for i, info in enumerate(infos):
        if (info.channels, info.height, info.width) != (first.channels, first.height, first.width):
            message = (
                f"bitstreams[{i}] is {info.channels}x{info.height}x{info.width} (CxHxW), bitstreams[0] is "
                f"{first.channels}x{first.height}x{first.width}; a batch needs one size (see npp.decode)"
            )
            raise indexed(DecodeError, message, i)
    numpy_dtype = _NUMPY_OF[dtype]
    out = torch.from_numpy(np.empty((len(files), first.channels, first.height, first.width), numpy_dtype))
    handle = _bpg.start_decode(
        files, numpy_dtype, list(out.numpy()), get_max_pixels(), resolve_threads(threads)
    )
    found = [error for _, error in handle.result()]
    tensors = out.to(dtype)
    outcomes = [
        tensors[i] if error is None else named(error, "bitstreams", i, True) for i, error in enumerate(found)
    ]
    raise_first(outcomes, outcomes)
    return tensors


def probe(data: BytesLike) -> ImageInfo:
    """Reads what a BPG file says about itself, without decoding it.

    Args:
        data: the file's bytes.

    Raises:
        DecodeError: not a BPG file, or its headers are damaged.
    """
    return image_info(_as_bytes(data, "data"))


def _timing(durations: Any, count: int) -> tuple[tuple[int, int], list[int]]:
    """The frame period (numerator, denominator) and each frame's number of periods."""
    single = isinstance(durations, (int, float, Fraction)) and not isinstance(durations, bool)
    values = [durations] * count if single else list(durations)
    if len(values) != count:
        raise EncodeError(f"durations has {len(values)} values for {count} frame(s)")
    seconds = [Fraction(value).limit_denominator(10_000) for value in values]
    for i, value in enumerate(seconds):
        if value <= 0:
            raise EncodeError(f"durations[{i}] must be positive seconds, not {values[i]!r}")
    denominator = math.lcm(*(value.denominator for value in seconds))
    period = Fraction(math.gcd(*(int(value * denominator) for value in seconds)), denominator)
    ticks = [int(value / period) for value in seconds]
    if max(ticks) > _MAX_TICKS or max(period.numerator, period.denominator) > _MAX_PERIOD:
        raise EncodeError(
            f"durations from {float(min(seconds)):g} s to {float(max(seconds)):g} s are too far apart; one "
            f"lasts at most {_MAX_TICKS} times their common divisor, {float(period):g} s"
        )
    return (period.numerator, period.denominator), ticks


def encode_animation(
    frames: Tensor | Sequence[SingleImage],
    qp: Any = 29,
    *,
    durations: Any = Fraction(1, 25),
    loop_count: int = 0,
    metadata: Metadata | None = None,
    **options: Unpack[CodecOptions],
) -> bytes:
    """Encodes an animation: the first frame by itself, each later one from the one before.

    Args:
        frames: tensor (F, C, H, W), or a list of pictures of one size and number of channels.
        qp: as in :func:`encode`, one for all or one per frame.
        durations: seconds a frame (float or ``Fraction``), one for all or one per frame. Rounded to
            fractions with denominators up to 10,000.
        loop_count: how often it is shown, 0 for ever.
        metadata: written into the file.
        **options: see :class:`npp.CodecOptions`.

    Returns:
        The file's bytes.

    Raises:
        TypeError, EncodeError, UnsupportedError: as :func:`encode`.
    """
    resolved = resolve_options(options)
    images = as_batch(frames if isinstance(frames, Tensor) else list(frames), "frames")
    if isinstance(frames, Tensor) and frames.ndim != 4:
        raise EncodeError(f"frames has shape {tuple(frames.shape)}; a tensor of frames is (F, C, H, W)")
    for i, image in enumerate(images):
        if image.samples.shape != images[0].samples.shape or image.gray != images[0].gray:
            message = (
                f"frames[{i}] has shape {image.samples.shape}, frames[0] {images[0].samples.shape}; "
                "all frames need one (C, H, W) and kind"
            )
            raise indexed(EncodeError, message, i)
    if isinstance(loop_count, bool) or not 0 <= loop_count < 2**32:
        raise EncodeError(f"loop_count must be from 0 (for ever) to 2**32 - 1, not {loop_count!r}")
    qps = resolve_qp(qp, len(images))
    period, ticks = _timing(durations, len(images))
    file, error, outside, nan, frame = _bpg.start_animation(
        [image.samples for image in images],
        qps,
        _alpha_qps(resolved, qps),
        ticks,
        resolved.native(gray=images[0].gray),
        loop_count,
        period,
        _extensions(metadata),
    ).result()
    if error is not None:
        raise error
    if outside or nan:
        raise indexed(EncodeError, describe_range(f"frames[{frame}]", images[frame].samples), frame)
    assert file is not None
    return file


class RoundTrip:
    """A batch on its way through the codec; the codec's threads work while the caller does other things.

    Made by :func:`start_round_trip`.

    Attributes:
        hevc_seconds, seconds: wall time of each picture within x265, and of all that C++ does for it; known
            after ``result``.
    """

    def __init__(self, x: Tensor, qps: list[int], options: ResolvedOptions, threads: int) -> None:
        self._x = x
        self._transfer = DeviceTransfer(x, deep=options.bit_depth > 8)
        samples = self._transfer.to_codec()
        self._x_hat = torch.empty_like(samples, memory_format=torch.contiguous_format)
        self._samples: Array = samples.numpy()
        native = options.native(gray=x.shape[1] == 1)
        self._handle = _bpg.start_round_trip(
            self._samples, qps, _alpha_qps(options, qps), native, self._x_hat.numpy(), threads
        )
        self.hevc_seconds: list[float] = []
        self.seconds: list[float] = []

    def result(self) -> tuple[Tensor, Tensor, list[bytes]]:
        """Joins the codec.

        Returns:
            x_hat like x, contiguous, values of the decoder; bpp (N,) float32 on x's device; the files.

        Raises:
            EncodeError: NaN in x, or an image that could not be encoded; the message and ``index`` say which,
                ``results`` has a file or an error for each picture.
        """
        found = self._handle.result()
        outcomes: list[Any] = [
            self._file(i, file, error, nan) for i, (file, error, _, nan, *_) in enumerate(found)
        ]
        for i, wrong in self._transfer.errors().items():
            outcomes[i] = wrong
        raise_first(outcomes, outcomes)
        bitstreams: list[bytes] = outcomes
        self.hevc_seconds = [hevc for *_, hevc, _ in found]
        self.seconds = [seconds for *_, seconds in found]
        height, width = self._x.shape[-2:]
        bpp = torch.tensor([8 * len(file) / (height * width) for file in bitstreams], device=self._x.device)
        return self._transfer.from_codec(self._x_hat), bpp, bitstreams

    def _file(self, index: int, file: bytes | None, error: BPGError | None, nan: bool) -> bytes | BPGError:
        if error is not None:
            return named(error, "x", index, True)
        if nan:
            return indexed(EncodeError, describe_range(f"x[{index}]", self._samples[index]), index)
        assert file is not None
        return file


def start_round_trip(
    x: Tensor, qp: Any, options: Mapping[str, Any] | None = None, threads: int | None = None
) -> RoundTrip:
    """Starts encoding a batch and returns at once; ``.result()`` joins.

    Args:
        x: tensor (N, C, H, W), uint8, uint16 or floating. Values outside [0, 1] are clamped.
        qp: an int, or one per image.
        options: see :class:`npp.CodecOptions`.
        threads: codec threads, ``None`` for all usable cores.

    Raises:
        TypeError, EncodeError, UnsupportedError: as :func:`encode`.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"x must be a torch tensor (N, C, H, W), not {type(x).__name__}")
    check_dtype("x", x.dtype)
    if x.ndim != 4:
        raise EncodeError(f"x has shape {tuple(x.shape)}; (N, C, H, W) is needed")
    if x.shape[0] == 0:
        raise EncodeError(f"x is an empty batch of shape {tuple(x.shape)}; at least one picture is needed")
    check_geometry("x", x.shape[1], x.shape[2], x.shape[3])
    resolved = resolve_options(options or {})
    return RoundTrip(x.detach(), resolve_qp(qp, x.shape[0]), resolved, resolve_threads(threads))
