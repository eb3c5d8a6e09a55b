"""Checks of a recipe's pictures, before one of its parts could hide what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from npp.codec.batch_hints import floats_hint
from npp.codec.errors import picture_name
from npp.codec.image_inputs import CodecImage, PictureOrError, samples_error
from npp.codec.round_trip import check_batch
from npp.codec.sample_range import range_error, sample_range, warn_outside
from npp.torch_state import has_readable_values


def check_floats(x: object) -> None:
    """Refuses values that are no batch of floating pictures.

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
    if range_error("x", low, high) is not None:
        errors = (range_error(f"x[{i}]", *sample_range(picture), i) for i, picture in enumerate(x))
        raise next(error for error in errors if error is not None)
    warn_outside("x", low, high, stacklevel=3)


def with_sample_errors(pictures: Sequence[PictureOrError], is_batch: bool) -> list[PictureOrError]:
    """The pictures, with an error in the place of each that holds NaN or is on another scale."""
    outcomes: list[PictureOrError] = []
    for row, picture in enumerate(pictures):
        if isinstance(picture, CodecImage):
            name = picture_name("image", row, is_batch)
            outcomes.append(samples_error(picture, name, row if is_batch else None) or picture)
        else:
            outcomes.append(picture)
    return outcomes
