"""What a network wants to be fed, and the layer that makes it from a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

RESIZE_MODES = ("stretch", "crop")
CHANNEL_ORDERS = ("rgb", "bgr", "gray")
_GRAY = (0.299, 0.587, 0.114)  # ITU-R BT.601


def _triple(name: str, value: Any) -> tuple[float, ...]:
    numbers = (value,) if isinstance(value, (int, float)) else value
    if not isinstance(numbers, Sequence) or len(numbers) not in (1, 3):
        raise ValueError(f"{name} must be one number or three, not {value!r}")
    return tuple(float(number) for number in numbers)


def _size(value: Any) -> tuple[int | None, int | None] | None:
    if value is None:
        return None
    pair = (value, value) if isinstance(value, int) else value
    if not isinstance(pair, Sequence) or len(pair) != 2 or pair[0] is pair[1] is None:
        raise ValueError(f"size must be a number or (height, width), one of which may be None, not {value!r}")
    if any(side is not None and (not isinstance(side, int) or side < 1) for side in pair):
        raise ValueError(f"size must hold whole numbers of 1 or more, not {value!r}")
    return (pair[0], pair[1])


@dataclass(frozen=True)
class InputFormat:
    """From a picture in [0, 1] to a network's input.

    Attributes:
        mean, std: subtracted, then divided by; one number or one a channel, in [0, 1] units.
        size: a number, or (height, width) with ``None`` for a side that follows the picture's shape;
            ``None`` leaves the picture's own size.
        resize: ``"stretch"`` scales the whole picture to ``size``, so that every coded pixel counts;
            ``"crop"`` scales the shorter side and takes the centre, as most classifiers are tested.
            Bilinear with anti-aliasing; a picture of the right size is not touched.
        channels: ``"rgb"``, ``"bgr"`` or ``"gray"`` (one channel, BT.601 luma).

    Raises:
        ValueError: a value outside of these.
    """

    mean: Any = 0.0
    std: Any = 1.0
    size: Any = None
    resize: str = "stretch"
    channels: str = "rgb"

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", _triple("mean", self.mean))
        object.__setattr__(self, "std", _triple("std", self.std))
        object.__setattr__(self, "size", _size(self.size))
        if not all(value > 0 for value in self.std):
            raise ValueError(f"std must be above 0, not {self.std}")
        if self.resize not in RESIZE_MODES:
            raise ValueError(f"resize must be one of {', '.join(RESIZE_MODES)}, not {self.resize!r}")
        if self.channels not in CHANNEL_ORDERS:
            raise ValueError(f"channels must be one of {', '.join(CHANNEL_ORDERS)}, not {self.channels!r}")

    def changed(self, settings: Mapping[str, Any] | None) -> InputFormat:
        """The same with some attributes replaced.

        Raises:
            ValueError: a name that is none of the attributes, or a wrong value.
        """
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        unknown = sorted(set(settings or {}) - set(known))
        if unknown:
            raise ValueError(f"input has no setting {unknown[0]!r}; allowed are {', '.join(known)}")
        return InputFormat(**{**known, **(settings or {})})


def _resolved(size: tuple[int | None, int | None], height: int, width: int) -> tuple[int, int]:
    """Both sides, the open one from the picture's shape."""
    rows, columns = size
    if rows is None:
        assert columns is not None  # _size checked it
        rows = max(1, round(height * columns / width))
    if columns is None:
        columns = max(1, round(width * rows / height))
    return rows, columns


def _scaled(images: Tensor, size: tuple[int, int]) -> Tensor:
    if images.shape[-2:] == size:
        return images
    return F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)


def _cropped(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Covers ``size`` with the picture, then cuts its centre out."""
    height, width = images.shape[-2:]
    factor = max(size[0] / height, size[1] / width)
    cover = (max(size[0], round(height * factor)), max(size[1], round(width * factor)))
    top, left = (cover[0] - size[0]) // 2, (cover[1] - size[1]) // 2
    return _scaled(images, cover)[..., top : top + size[0], left : left + size[1]]


class Prepared(nn.Module):
    """A network behind its own resizing and normalisation.

    Attributes:
        network: what is wrapped.
        format: its input.
    """

    def __init__(self, network: nn.Module, format: InputFormat | None = None) -> None:  # noqa: A002
        super().__init__()
        self.network = network
        self.format = format or InputFormat()
        self.register_buffer("_mean", torch.tensor(self.format.mean)[:, None, None], persistent=False)
        self.register_buffer("_std", torch.tensor(self.format.std)[:, None, None], persistent=False)

    def prepare(self, images: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) in [0, 1] to the network's input (N, 3 or 1, h, w)."""
        mean, std = self.get_buffer("_mean"), self.get_buffer("_std")
        images = images.to(mean.dtype)
        if self.format.size is not None:
            size = _resolved(self.format.size, *images.shape[-2:])
            images = _scaled(images, size) if self.format.resize == "stretch" else _cropped(images, size)
        if self.format.channels == "bgr":
            images = images.flip(1)
        if self.format.channels == "gray":
            images = (images * images.new_tensor(_GRAY)[:, None, None]).sum(1, keepdim=True)
        return (images - mean) / std

    def forward(self, images: Tensor) -> Any:
        """The network's own output for pictures (N, 3, H, W) in [0, 1]."""
        return self.network(self.prepare(images))
