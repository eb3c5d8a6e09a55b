"""Input formats of networks, and the layer that prepares pictures for them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Real
from types import NoneType
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from npp.checks import brief, check_known_settings, is_int, number, one_of, wholes
from npp.codec.luma_weights import BT601
from npp.tasks.boxes import centre_and_size, sides
from npp.tasks.frozen import dtype_of
from npp.torch_state import device_of

RESIZE_MODES = ("stretch", "crop", "letterbox", "edges")
PLACES = ("corner", "centre")
CHANNEL_ORDERS = ("rgb", "bgr", "gray")


def _listed(value: Any) -> Any:
    """Python's numbers for those of numpy and torch."""
    return value.tolist() if isinstance(value, (np.ndarray, np.generic, Tensor)) else value


def one_or_three(name: str, value: Any) -> Sequence[Any]:
    """One entry for all channels, or one for each: Python's numbers for those of numpy and torch.

    Args:
        name: name of the value in messages.
        value: a number, or a list, a tuple, an array or a tensor of numbers, which are not checked here.

    Raises:
        ValueError: there are neither one nor three entries.
    """
    plain = _listed(value)
    entries = [plain] if isinstance(plain, Real) else plain
    if not isinstance(entries, (list, tuple)) or len(entries) not in (1, 3):
        raise ValueError(f"{name} must be one number or three, not {brief(value)}")
    return entries


def _finite_channels(name: str, value: Any) -> tuple[float, ...]:
    return tuple(number(name, entry, -math.inf, math.inf) for entry in one_or_three(name, value))


def _size(value: Any) -> tuple[int | None, int | None] | None:
    if value is None:
        return None
    sides = _listed(value)
    pair = (sides, sides) if is_int(sides) else sides
    if not isinstance(pair, (list, tuple)) or len(pair) != 2 or pair[0] is pair[1] is None:
        raise ValueError(f"size must be a number or (height, width), one of which may be None, not {value!r}")
    if any(side is not None and (not is_int(side) or side < 1) for side in pair):
        raise ValueError(f"size must hold whole numbers of 1 or more, not {value!r}")
    rows, columns = (None if side is None else int(side) for side in pair)
    return rows, columns


@dataclass(frozen=True)
class InputFormat:
    """How a picture in [0, 1] becomes a network's input.

    Attributes:
        mean, std: subtracted, then divided by; one number or one a channel, in [0, 1] units.
        size: a number, or (height, width) with ``None`` for a side that follows the picture's shape;
            ``None`` leaves the picture's own size.
        resize: ``"stretch"`` scales the whole picture to ``size``, so that every coded pixel counts;
            ``"crop"`` scales the shorter side and takes the centre, as most classifiers are tested;
            ``"letterbox"`` scales the longer side, so that the picture keeps its shape, and fills the rest;
            ``"edges"`` keeps the shape too: ``size`` is (shorter, longer), the shorter side is scaled to the
            first unless the longer would pass the second (``None``: no limit), and nothing is filled.
            Bilinear with anti-aliasing; a picture of the right size is not touched.
        channels: ``"rgb"``, ``"bgr"`` or ``"gray"`` (one channel, BT.601 luma).
        crop_from: with ``"crop"``: the length that the shorter side is scaled to first, at least that of
            ``size``, such as 256 for a centre of 224; ``None`` loses as little of the picture as may be.
        fill: value of what is filled, in [0, 1] before normalising.
        place: where something is filled: the picture stands in the top left ``"corner"`` or in the
            ``"centre"``.
        multiple: the sides of the input are multiples of this: ``"letterbox"`` fills only up to the next
            ones, ``"edges"`` rounds the sides down, and without a size the rest up to them is filled. Not
            with ``"stretch"`` or ``"crop"`` to a size, which sets the sides itself.

    Raises:
        ValueError: a value is none of these.
    """

    mean: Any = 0.0
    std: Any = 1.0
    size: Any = None
    resize: str = "stretch"
    channels: str = "rgb"
    crop_from: int | None = None
    fill: float = 0.0
    place: str = "corner"
    multiple: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", _finite_channels("mean", self.mean))
        object.__setattr__(self, "std", _finite_channels("std", self.std))
        object.__setattr__(self, "size", _size(self.size))
        if not all(value > 0 for value in self.std):
            raise ValueError(f"std must be above 0, not {self.std}")
        one_of("resize", self.resize, RESIZE_MODES)
        one_of("channels", self.channels, CHANNEL_ORDERS)
        if self.channels == "gray" and len(self.mean) + len(self.std) > 2:
            raise ValueError(
                f"mean and std must be one number each with one channel, not {self.mean}, {self.std}"
            )
        one_of("place", self.place, PLACES)
        number("fill", self.fill, 0, 1)
        wholes(self, 1, 1024, "multiple")
        if self.multiple > 1 and self.size is not None and self.resize not in ("letterbox", "edges"):
            raise ValueError(
                f"multiple goes with resize 'letterbox' or 'edges', or without a size, not {self.resize!r}"
            )
        self._check_crop()
        self._check_edges()

    def _check_crop(self) -> None:
        """Raises ValueError unless ``crop_from`` comes with ``"crop"`` and a size that is not larger."""
        if self.crop_from is None:
            return
        if self.resize != "crop" or self.size is None or None in self.size:
            raise ValueError(
                f"crop_from goes with resize 'crop' and a whole size, not {self.resize!r} and {self.size}"
            )
        wholes(self, max(self.size), 65536, "crop_from")

    def _check_edges(self) -> None:
        """Raises ValueError unless the size for ``"edges"`` is a shorter and a longer edge."""
        if self.resize != "edges":
            return
        shorter, longer = self.size or (None, None)
        if shorter is None or (longer is not None and longer < shorter):
            raise ValueError(
                f"size must be (shorter, longer) or (shorter, None) with 'edges', not {self.size}"
            )

    def changed(self, settings: InputSettings | None) -> InputFormat:
        """This format with some attributes replaced, or the settings themselves where they are a format.

        Raises:
            ValueError: ``settings`` is neither of these, has a name that is no attribute, or a wrong value.
        """
        if isinstance(settings, InputFormat):
            return settings
        if not isinstance(settings, (Mapping, NoneType)):
            raise ValueError(
                "input must be a mapping of attributes of npp.tasks.InputFormat, one of these or None, not "
                f"{brief(settings)}"
            )
        attributes = {field.name: getattr(self, field.name) for field in fields(self)}
        check_known_settings("input has no setting", settings or {}, attributes)
        return InputFormat(**{**attributes, **(settings or {})})


#: Attributes by name that replace parts of a network's own format, or a format that replaces it.
InputSettings: TypeAlias = Mapping[str, Any] | InputFormat


def _resolved(size: tuple[int | None, int | None], height: int, width: int) -> tuple[int, int]:
    """Both sides of the input; an open one follows from the picture's shape."""
    rows, columns = size
    if rows is None:
        assert columns is not None  # _size checked it
        rows = max(1, round(height * columns / width))
    if columns is None:
        columns = max(1, round(width * rows / height))
    return rows, columns


class Fit(NamedTuple):
    """Where a picture lies in a network's input: scaled to ``scaled``, its corner at ``corner``.

    Attributes:
        size: (height, width) of the input.
        scaled: (height, width) of the whole picture in the input.
        corner: (top, left) of the picture in the input; negative if it is cropped.
    """

    size: tuple[int, int]
    scaled: tuple[int, int]
    corner: tuple[int, int]

    def boxes_on_picture(self, boxes: Tensor, height: int, width: int) -> Tensor:
        """Boxes (..., 4) x1, y1, x2, y2 from pixels of the input to those of the picture, cut at its edge."""
        top, left = self.corner
        ends = sides(height, width, boxes)
        scale = ends / sides(*self.scaled, boxes)
        return ((boxes - boxes.new_tensor([left, top, left, top])) * scale).clamp_min(0).minimum(ends)

    def boxes_on_input(self, boxes: Tensor, height: int, width: int) -> Tensor:
        """Boxes (..., 4) x1, y1, x2, y2 from pixels of the picture to pixels of the input."""
        top, left = self.corner
        scale = sides(*self.scaled, boxes) / sides(height, width, boxes)
        return boxes * scale + boxes.new_tensor([left, top, left, top])

    def unit_boxes_on_input(self, boxes: Tensor, height: int, width: int) -> Tensor:
        """Boxes (..., 4) x1, y1, x2, y2 in pixels of the picture to centre and size in parts of the input's
        sides, as many networks are trained with them."""
        return centre_and_size(self.boxes_on_input(boxes, height, width) / sides(*self.size, boxes))


def _scaled_edges(format: InputFormat, height: int, width: int) -> tuple[int, int]:  # noqa: A002
    """The size with the format's shorter side, or with its longer side if that would be exceeded."""
    least, most = min(height, width), max(height, width)
    shorter, longer = format.size
    exact = float(shorter)
    if longer is not None and most / least * exact > longer:
        exact = longer * least / most
    sides = (max(1, round(exact)), max(1, int(exact * most / least)))
    step = format.multiple
    rows, columns = (max(step, side - side % step) for side in (sides if height <= width else sides[::-1]))
    return rows, columns


def _round_up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def _framed(scaled: tuple[int, int], size: tuple[int, int], place: str) -> Fit:
    """The fit of a picture of the size ``scaled``, at its place in a frame of ``size``."""
    gap = ((size[0] - scaled[0]) // 2, (size[1] - scaled[1]) // 2)
    return Fit(size, scaled, gap if place == "centre" else (0, 0))


def fit_of(format: InputFormat, height: int, width: int) -> Fit:  # noqa: A002
    """The fit of a picture of this size to the format."""
    step = format.multiple
    if format.size is None:
        return _framed((height, width), (_round_up(height, step), _round_up(width, step)), format.place)
    if format.resize == "edges":
        scaled = _scaled_edges(format, height, width)
        return Fit(scaled, scaled, (0, 0))
    rows, columns = _resolved(format.size, height, width)
    if format.resize == "stretch":
        return Fit((rows, columns), (rows, columns), (0, 0))
    if format.resize == "letterbox":
        factor = min(rows / height, columns / width)
        scaled = min(rows, max(1, round(height * factor))), min(columns, max(1, round(width * factor)))
        frame = (rows, columns) if step == 1 else (_round_up(scaled[0], step), _round_up(scaled[1], step))
        return _framed(scaled, frame, format.place)
    factor = max(rows / height, columns / width)
    if format.crop_from is not None:
        factor = format.crop_from / min(height, width)
    scaled = max(rows, round(height * factor)), max(columns, round(width * factor))
    return Fit((rows, columns), scaled, (-((scaled[0] - rows) // 2), -((scaled[1] - columns) // 2)))


def _fitted(images: Tensor, fit: Fit, fill: float) -> Tensor:
    """Pictures that are scaled, then cropped or padded."""
    if images.shape[-2:] != fit.scaled:
        images = F.interpolate(images, fit.scaled, mode="bilinear", antialias=True, align_corners=False)
    (rows, columns), (top, left) = fit.size, fit.corner
    if fit.scaled == fit.size:
        return images
    if fit.scaled[0] >= rows and fit.scaled[1] >= columns:
        return images[..., -top : rows - top, -left : columns - left]
    right, bottom = columns - left - fit.scaled[1], rows - top - fit.scaled[0]
    return F.pad(images, (left, right, top, bottom), value=fill)


class Prepared(nn.Module):
    """A network with its resizing and normalisation in front.

    Attributes:
        network: the wrapped network.
        format: its input format.
    """

    def __init__(self, network: nn.Module, format: InputFormat | None = None) -> None:  # noqa: A002
        super().__init__()
        self.network = network
        self.format = format or InputFormat()
        # In float32, for half precision would round them, and the CPU cannot resize in it.
        dtype, device = torch.promote_types(dtype_of(network), torch.float32), device_of(network)
        with torch.inference_mode(False):
            for name, values in (("_mean", self.format.mean), ("_std", self.format.std)):
                table = torch.tensor(values, dtype=dtype, device=device)[:, None, None]
                self.register_buffer(name, table, persistent=False)

    def fit(self, height: int, width: int) -> Fit:
        """The fit of a picture of this size to the input."""
        return fit_of(self.format, height, width)

    def on_the_picture(self, maps: Tensor, size: Sequence[int]) -> Tensor:
        """The part of maps (N, K, h, w) of the input that belongs to a letterboxed picture of ``size``."""
        fit = self.fit(size[0], size[1])
        if fit.scaled == fit.size:
            return maps
        if maps.shape[-2:] != fit.size:
            maps = F.interpolate(maps, fit.size, mode="bilinear", align_corners=False)
        top, left = fit.corner
        return maps[..., top : top + fit.scaled[0], left : left + fit.scaled[1]]

    def prepare(self, images: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) in [0, 1] to the network's input (N, 3 or 1, h, w), of its dtype."""
        mean, std = self.get_buffer("_mean"), self.get_buffer("_std")
        dtype = dtype_of(self.network, mean.dtype)
        images = images.to(torch.promote_types(dtype, torch.float32))
        images = _fitted(images, self.fit(*images.shape[-2:]), self.format.fill)
        if self.format.channels == "bgr":
            images = images.flip(1)
        if self.format.channels == "gray":
            images = (images * images.new_tensor(BT601)[:, None, None]).sum(1, keepdim=True)
        return ((images - mean) / std).to(dtype)

    def forward(self, images: Tensor) -> Any:
        """The network's own output for pictures (N, 3, H, W) in [0, 1]."""
        return self.network(self.prepare(images))


def fed(network: nn.Module, images: Tensor) -> Tensor:
    """Pictures in a network's dtype, which it may change in place; one that prepares them itself takes them
    as they are."""
    prepares_itself = isinstance(network, Prepared) or isinstance(
        getattr(network, "prepared", None), Prepared
    )
    return images if prepares_itself else images.to(dtype_of(network), copy=True)
