"""Encoding of animations: frames and how long each is shown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from torch import Tensor
from typing_extensions import Unpack

import npp._bpg as _bpg
from npp._bpg import EncodeError
from npp.checks import is_int
from npp.codec.encoding import _alpha_qps, _extensions
from npp.codec.errors import indexed
from npp.codec.image_inputs import SingleImage, as_batch, describe_range
from npp.codec.metadata import Metadata
from npp.codec.options import CodecOptions, resolve_options, resolve_qp
from npp.codec.pil_pictures import finite_positive
from npp.codec.qp_maps import QpMap, resolve_qp_maps

_MAX_TICKS = 0xFFFF
_MAX_PERIOD = 2**32 - 1


def one_or_each(name: str, given: Any, count: int) -> list[Any]:
    """A value for every frame, from one for all or one each; arrays and tensors count as lists.

    Raises:
        EncodeError: another number of them.
    """
    values = given.tolist() if hasattr(given, "tolist") else given
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes)):
        return [values] * count
    listed = list(values)
    if len(listed) != count:
        raise EncodeError(f"{name} has {len(listed)} values for {count} frame(s)")
    return listed


def _seconds(name: str, value: Any) -> Fraction:
    number = finite_positive(value)
    rounded = Fraction(0) if number is None else number.limit_denominator(10_000)
    if not rounded:
        raise EncodeError(f"{name} must be positive, finite seconds, not {value!r}")
    return rounded


def _timing(durations: Any, count: int) -> tuple[tuple[int, int], list[int]]:
    """The frame period (numerator, denominator) and each frame's number of periods."""
    values = one_or_each("durations", durations, count)
    seconds = [_seconds(f"durations[{i}]", value) for i, value in enumerate(values)]
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
    qp_map: QpMap | None = None,
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
        qp_map: as in :func:`encode`, (F, h, w) or a list with a map or ``None`` for each frame.
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
    if not is_int(loop_count) or not 0 <= loop_count < 2**32:
        raise EncodeError(f"loop_count must be an integer from 0 (for ever) to 2**32 - 1, not {loop_count!r}")
    qps = resolve_qp(qp, len(images))
    sizes = [image.samples.shape[-2:] for image in images]
    maps = resolve_qp_maps(qp_map, sizes, lossless=resolved.lossless, kind="frame")
    period, ticks = _timing(durations, len(images))
    file, error, outside, nan, frame = _bpg.start_animation(
        [image.samples for image in images],
        qps,
        _alpha_qps(resolved, qps),
        ticks,
        resolved.native(gray=images[0].gray),
        int(loop_count),
        period,
        _extensions(metadata),
        maps,
    ).result()
    if error is not None:
        raise error
    if outside or nan:
        raise indexed(EncodeError, describe_range(f"frames[{frame}]", images[frame].samples), frame)
    assert file is not None
    return file
