"""Floating samples on another scale than [0, 1], and how they differ from a filter's small overshoot."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

from npp._bpg import EncodeError
from npp.codec.batch_hints import batch_hint, floats_hint
from npp.codec.errors import indexed
from npp.torch_state import has_readable_values

# What a filter or an untrained network overshoots by is clamped in silence; beyond it, where normalised
# pictures and those of -1 to 1 lie, there is a warning; and what no network near [0, 1] gives is refused.
_LOW, _HIGH = -0.9, 2.0
_FAR_LOW, _FAR_HIGH = -16.0, 16.0


def range_message(low: float, high: float, nans: int = 0) -> str:
    """For messages: what a picture holds that was refused, the allowed range, and how to get there.

    Args:
        low, high: the least and the greatest sample; NaN where one of the samples is.
        nans: how many samples are NaN, where somebody counted them.
    """
    if nans or math.isnan(low):
        return f"{f'{nans} NaN value(s)' if nans else 'NaN'}; floats must lie in [0, 1]"
    if high > _FAR_HIGH and low >= 0:
        remedy = "divide samples of 0 to 255 by 255"
    else:
        remedy = "clamp what is a little outside, and normalise after the codec only"
    ends = [f"{end:.6g}" if float(f"{end:.6g}") not in (0.0, 1.0) else f"{end:.17g}" for end in (low, high)]
    return f"values from {ends[0]} to {ends[1]}; floats must lie in [0, 1]: {remedy}"


def on_other_scale(low: float, high: float) -> bool:
    """Whether samples from ``low`` to ``high`` are plainly on another scale, 0 to 255 above all."""
    return low < _FAR_LOW or high > _FAR_HIGH


def sample_range(x: Tensor) -> tuple[float, float]:
    """The least and the greatest sample of a tensor that is not empty."""
    low, high = x.detach().aminmax()
    if x.device.type != "cpu":
        low, high = torch.stack((low, high)).cpu()  # waited for once
    return float(low), float(high)  # torch 2.4 has no tolist() under torch.func


def range_error(name: str, low: float, high: float, index: int | None = None) -> EncodeError | None:
    """An error for a picture with NaN or plainly on another scale, 0 to 255 above all; None for all others.

    Args:
        name: what messages call the picture.
        low, high: its least and greatest sample; NaN where one of the samples is.
        index: of the picture in its batch.
    """
    if math.isnan(low) or on_other_scale(low, high):
        return indexed(EncodeError, f"{name} holds {range_message(low, high)}", index)
    return None


def warn_outside(name: str, low: float, high: float, *, stacklevel: int = 2) -> None:
    """Warns of values outside [0, 1] that are clamped: once at each place, as Python's warnings are.

    Args:
        name: what the warning calls the picture.
        low, high: its least and greatest sample.
        stacklevel: whose place the warning names: 2 is the caller's, 3 that of who called the caller.
    """
    if low < _LOW or high > _HIGH:
        # Without the picture's own numbers: the same text is shown once.
        warnings.warn(
            f"{name.split('[')[0]} holds values below {_LOW:g} or above {_HIGH:g}, which are clamped to "
            "[0, 1]; is it normalised, or on a scale of 0 to 255?",
            UserWarning,
            stacklevel=stacklevel,
        )


def check_scale(name: str, x: Tensor) -> None:
    """Refuses a tensor on another scale than [0, 1], where its values can be read.

    Values that are a little outside are warned about. NaN passes: what follows has NaN too.

    Raises:
        EncodeError: samples are plainly on another scale than [0, 1].
    """
    if not x.numel() or not has_readable_values(x):
        return
    low, high = sample_range(x)
    if on_other_scale(low, high):
        raise EncodeError(f"{name} holds {range_message(low, high)}")
    warn_outside(name, low, high, stacklevel=3)


def check_pictures(name: str, x: object) -> None:
    """Refuses what is no batch of colour pictures for a network.

    Raises:
        TypeError: no floating tensor.
        ValueError: not (N, 3, H, W), or samples of another scale than [0, 1].
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a tensor, not {type(x).__name__}{floats_hint(x, name)}")
    if not x.is_floating_point():
        raise TypeError(f"{name} must be floating, in [0, 1], not {x.dtype}{floats_hint(x, name)}")
    if x.dim() != 4 or x.shape[1] != 3 or not all(x.shape):
        raise ValueError(
            f"{name} must be (N, 3, H, W), none of them 0, not {tuple(x.shape)}{batch_hint(x, name)}"
        )
    check_scale(name, x)
