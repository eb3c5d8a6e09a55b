"""What a recipe refuses before one of its parts could hide what is wrong with a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from npp.codec.batch_hints import floats_hint
from npp.codec.errors import EncodeError, indexed, picture_name
from npp.codec.image_inputs import CodecImage, PictureOrError, check_samples
from npp.codec.round_trip import check_batch
from npp.codec.sample_range import (
    on_other_scale,
    range_message,
    refuse_other_scale,
    sample_range,
)
from npp.torch_state import has_readable_values


def check_floats(x: object) -> None:
    """Refuses what is no batch of floating pictures.

    Raises:
        TypeError: no floating tensor.
        EncodeError, UnsupportedError: as :func:`npp.compress` for wrong shapes.
    """
    check_batch(x)
    assert isinstance(x, Tensor)
    if not x.is_floating_point():
        raise TypeError(f"x must be floating, in [0, 1], not {x.dtype}{floats_hint(x)}")


def check_values(x: Tensor) -> None:
    """Refuses values that clamping would hide, and NaN, which a map would spread.

    Raises:
        EncodeError: NaN or samples of another scale; ``index`` says in which picture.
    """
    if not x.numel() or not has_readable_values(x):
        return
    low, high = sample_range(x)
    if math.isnan(low):
        first = int(torch.isnan(x.detach()).flatten(1).any(1).nonzero()[0])
        raise indexed(EncodeError, f"x[{first}] holds NaN; floats must lie in [0, 1]", first)
    if on_other_scale(low, high):
        ranges = [sample_range(picture) for picture in x]
        first = next(row for row, extremes in enumerate(ranges) if on_other_scale(*extremes))
        raise indexed(EncodeError, f"x[{first}] holds {range_message(*ranges[first])}", first)
    refuse_other_scale("x", low, high, stacklevel=3)  # which warns of what is less wrong


def refused_or_not(pictures: Sequence[PictureOrError], is_batch: bool) -> list[PictureOrError]:
    """The pictures, an error in the place of each whose samples are NaN or of another scale."""
    outcomes: list[PictureOrError] = []
    for row, picture in enumerate(pictures):
        if isinstance(picture, CodecImage):
            name = picture_name("image", row, is_batch)
            outcomes.append(check_samples(picture, name, row if is_batch else None) or picture)
        else:
            outcomes.append(picture)
    return outcomes
