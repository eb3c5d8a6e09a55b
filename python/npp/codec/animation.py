"""Encoding of animations: frames and how long each is shown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from fractions import Fraction
from typing import Any

from torch import Tensor
from typing_extensions import Unpack

import npp._bpg as _bpg
from npp._bpg import EncodeError
from npp.checks import DEFAULT_QP, brief, is_int
from npp.codec.errors import indexed
from npp.codec.image_inputs import SingleImage, as_batch, check_frames, describe_range
from npp.codec.metadata import Metadata, extensions_of
from npp.codec.option_signature import shows_options
from npp.codec.options import CodecOptions, resolve_options, resolve_qp, values_of
from npp.codec.pil_pictures import MOST_SHOWN, finite_positive
from npp.codec.qp_maps import Qp, QpMap, resolve_qp_maps
from npp.torch_state import runs_codec

#: Frames a second of film and video, 30 / 1.001 included, and milliseconds are whole numbers of it.
_FINE = 60_000
_LARGEST_DENOMINATOR = 10_000


def one_or_each(name: str, value: Any, count: int) -> list[Any]:
    """A list with one value for each frame, from one for all or one each; arrays and tensors count as lists.

    Raises:
        EncodeError: another number of them, or as :func:`values_of`.
        UnsupportedError: as :func:`values_of`.
    """
    values = values_of(name, value)
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes)):
        return [values] * count
    listed = list(values)
    if len(listed) != count:
        raise EncodeError(f"{name} has {len(listed)} values for {count} frame(s)")
    return listed


def _seconds(name: str, value: Any) -> Fraction:
    number = finite_positive(value)
    if number is None or not number.limit_denominator(_LARGEST_DENOMINATOR):
        least = 0.5 / _LARGEST_DENOMINATOR
        raise EncodeError(f"{name} must be positive, finite seconds above {least:g}, not {value!r}")
    return number


def _common_period(seconds: Sequence[Fraction]) -> Fraction | None:
    """The longest period that all durations are multiples of; None where the file cannot hold it."""
    denominator = math.lcm(*(value.denominator for value in seconds))
    period = Fraction(math.gcd(*(int(value * denominator) for value in seconds)), denominator)
    period /= math.ceil(Fraction(period.numerator, MOST_SHOWN))  # parts of a long one fit
    fits = max(period.numerator, period.denominator) <= MOST_SHOWN and max(seconds) / period <= MOST_SHOWN
    return period if fits else None


def _grid(seconds: Sequence[Fraction]) -> Fraction:
    """A period for durations without a common one: the finest at which the longest duration still fits."""
    shortest, longest = min(seconds), max(seconds)
    coarser = math.ceil(longest * _FINE / MOST_SHOWN)
    period = Fraction(coarser, _FINE)
    if coarser > MOST_SHOWN:
        raise EncodeError(
            f"durations without a common period must be at most {MOST_SHOWN**2 // _FINE} s, not "
            f"{float(longest):g} s"
        )
    if round(shortest / period) < 1:
        raise EncodeError(
            f"durations from {float(shortest):g} s to {float(longest):g} s are too far apart; the longest "
            f"may be {MOST_SHOWN} times as long as the shortest"
        )
    return period


def _timing(durations: Any, count: int) -> tuple[tuple[int, int], list[int]]:
    """The frame period (numerator, denominator) and each frame's number of periods."""
    values = one_or_each("durations", durations, count)
    exact = [_seconds(f"durations[{i}]", value) for i, value in enumerate(values)]
    rounded = [value.limit_denominator(_LARGEST_DENOMINATOR) for value in exact]
    # What a float says exactly is rarely what was meant, but a Fraction's may be: 1001/30000 s.
    for seconds in (exact, rounded):
        if (period := _common_period(seconds)) is not None:
            return (period.numerator, period.denominator), [int(value / period) for value in seconds]
    period = _grid(exact)
    return (period.numerator, period.denominator), [round(value / period) for value in exact]


def times_shown(name: str, value: object, beside: str = "") -> int:
    """How often an animation is shown, 0 for ever.

    Args:
        name: what messages call the value.
        value: the number that somebody gave.
        beside: what else is allowed, the end of that part of the message.

    Raises:
        EncodeError: no integer from 0 to 65,535.
    """
    if not is_int(value) or not 0 <= value <= MOST_SHOWN:
        raise EncodeError(
            f"{name} must be an integer from 0 (for ever) to {MOST_SHOWN}{beside}, not {brief(value)}"
        )
    return int(value)


def _in_order(frames: Any) -> list[SingleImage]:
    if not isinstance(frames, Iterable) or isinstance(frames, (Mapping, Set)):
        raise TypeError(
            f"frames must be a tensor (F, C, H, W) or a list of pictures, not {type(frames).__name__}"
        )
    return list(frames)


@shows_options()
@runs_codec("npp.encode_animation")
def encode_animation(
    frames: Tensor | Sequence[SingleImage],
    qp: Qp = DEFAULT_QP,
    *,
    durations: Any = Fraction(1, 25),
    loop_count: int = 0,
    qp_map: QpMap | None = None,
    metadata: Metadata | None = None,
    **options: Unpack[CodecOptions],
) -> bytes:
    """Encodes an animation: the first frame by itself, each later one from the one before.

    At one qp x265 spends less on what it does not find in the frame before: after a cut a frame is about as
    coarse, and takes about as many bytes, as a picture of three qps more.

    Args:
        frames: tensor (F, C, H, W), or a list of pictures of one size and number of channels.
        qp: as in :func:`encode`, one for all or one per frame.
        durations: seconds a frame (float or ``Fraction``), one for all or one per frame. Kept as they are
            where the file can say so; else rounded to fractions with denominators up to 10,000, or, where
            these have no common period that fits, to 1/60,000 s, coarser if one is longer than a second.
        loop_count: how often it is shown, up to 65,535 times; 0 for ever.
        qp_map: as in :func:`encode`, (F, h, w) or a list with a map or ``None`` for each frame.
        metadata: written into the file.
        **options: see :class:`npp.CodecOptions`.

    Returns:
        The file's bytes.

    Raises:
        TypeError, EncodeError, UnsupportedError, OSError: as :func:`encode`; the limit on pixels
            (:func:`npp.set_max_pixels`) is that of all frames together.
    """
    resolved = resolve_options(options)
    images = as_batch(frames if isinstance(frames, Tensor) else _in_order(frames), "frames")
    if isinstance(frames, Tensor) and frames.ndim != 4:
        raise EncodeError(f"frames has shape {tuple(frames.shape)}; a tensor of frames is (F, C, H, W)")
    for i, image in enumerate(images):
        if image.samples.shape != images[0].samples.shape or image.gray != images[0].gray:
            message = (
                f"frames[{i}] has shape {image.samples.shape}, frames[0] {images[0].samples.shape}; "
                "all frames need one (C, H, W) and kind"
            )
            raise indexed(EncodeError, message, i)
    height, width = images[0].samples.shape[-2:]
    check_frames(len(images), height, width)
    times = times_shown("loop_count", loop_count)
    qps = resolve_qp(qp, len(images))
    sizes = [image.samples.shape[-2:] for image in images]
    maps = resolve_qp_maps(qp_map, sizes, lossless=resolved.lossless, kind="frame")
    period, ticks = _timing(durations, len(images))
    result = _bpg.start_animation(
        [image.samples for image in images],
        _bpg.BatchQps(qps, resolved.alpha_qps(qps), maps),
        ticks,
        resolved.native(gray=images[0].gray),
        times,
        period,
        extensions_of(metadata),
    ).result()
    if result.error is not None:
        raise result.error
    if result.outside or result.nan:
        frame = result.bad_frame
        raise indexed(EncodeError, describe_range(f"frames[{frame}]", images[frame].samples), frame)
    assert result.file is not None
    return result.file
