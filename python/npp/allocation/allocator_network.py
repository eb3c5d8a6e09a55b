"""The network of the allocator: from a picture to the importance of its blocks for several networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from npp.allocation.maps import centred
from npp.allocation.trunk import Trunk
from npp.checks import MAX_QP, brief, number, wholes
from npp.codec.luma_weights import BT601
from npp.codec.qp_maps import MAP_BLOCK
from npp.hevc.picture_strips import around, goes_in_parts, groups_of, may_go_in_parts, strips_of
from npp.hevc.planes import CB_TO_BLUE, CR_TO_RED
from npp.hevc.quantiser import QP_FEATURES, qp_features
from npp.hevc.zero_start import start_at_zero
from npp.torch_state import full_precision

#: Networks whose importance the shipped weights were distilled from.
HEADS = ("efficientnet-lite0", "mobilenet-v2", "nanodet-plus", "deeplab-v3")

_MOST_HEADS = 256
_REACHES = 12  # the least height of a strip, in reaches: the trunk keeps little, so that strips may be high
_EMBEDDING = 32
_DILATIONS = (1, 2, 4)
_TRUNK_SCALE = 4.0  # of its output


@dataclass(frozen=True)
class AllocatorSettings:
    """The settings of an allocator and its network.

    Attributes:
        width: channels of the body, 8 to 512.
        depth: residual blocks of the body, 1 to 16.
        heads: names of the networks whose importance it learns, 1 to 256 different ones.
        mix: weights of the heads in the map, by name and 0 or more, those left out 0; ``None`` gives all
            the same.
        strength: of the map, 0 to 16; see :func:`npp.qp_map`.
        limit: of the map, 0 to 51; see there.
    """

    width: int = 96
    depth: int = 3
    heads: tuple[str, ...] = HEADS
    mix: dict[str, float] | None = None
    strength: float = 0.5
    limit: float = 6.0

    def __post_init__(self) -> None:
        for name, least, most in (("width", 8, 512), ("depth", 1, 16)):
            wholes(self, least, most, name)
        for name, most in (("strength", 16), ("limit", MAX_QP)):
            object.__setattr__(self, name, number(name, getattr(self, name), 0, most))
        heads = tuple(self.heads) if isinstance(self.heads, (list, tuple)) else ()
        named = all(isinstance(name, str) for name in heads) and len(set(heads)) == len(heads)
        if not named or not 1 <= len(heads) <= _MOST_HEADS:
            actual = f"{len(heads)} names" if named and heads else brief(self.heads)
            raise ValueError(f"heads must be 1 to {_MOST_HEADS} different names, not {actual}")
        object.__setattr__(self, "heads", heads)
        if self.mix is not None:
            object.__setattr__(self, "mix", _checked_mix(self.mix, heads))

    def as_mapping(self) -> dict[str, Any]:
        """All settings as JSON has them."""
        return {**asdict(self), "heads": list(self.heads)}


def _checked_mix(mix: object, heads: tuple[str, ...]) -> dict[str, float]:
    if not isinstance(mix, Mapping) or not set(mix) <= set(heads):
        raise ValueError(f"mix must be a mapping of {', '.join(heads)} to weights, not {brief(mix)}")
    weights = {str(name): number(f"mix[{name!r}]", value, 0, 1e6) for name, value in mix.items()}
    if not sum(weights.values()):
        raise ValueError(f"mix must have a weight above 0, not {brief(mix)}")
    return weights


class _ResidualBlock(nn.Module):
    """A residual block: dilated depthwise 3x3, scale and shift by qp and picture, two pointwise layers."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, groups=width)
        self.condition = nn.Linear(_EMBEDDING + width, 2 * width)
        self.widen = nn.Conv2d(width, 2 * width, 1)
        self.narrow = nn.Conv2d(2 * width, width, 1)
        start_at_zero(self.condition)
        start_at_zero(self.narrow)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        condition = self.condition(torch.cat([embedding, x.mean((2, 3))], dim=1))
        scale, shift = condition[:, :, None, None].chunk(2, dim=1)
        change: Tensor = self.narrow(F.relu(self.widen(torch.addcmul(shift, self.spread(x), 1 + scale))))
        return x + change


_STATISTICS = 6
_COORDINATES = 4
_BAND = 1 << 18  # pixels whose statistics are made at once, or one row of blocks
_RED, _GREEN, _BLUE = BT601
_CB_TO_BLUE, _CR_TO_RED = round(CB_TO_BLUE, 3), round(CR_TO_RED, 3)  # with the digits of BT.601


def _log(variance: Tensor) -> Tensor:
    return torch.log2(variance.clamp_min(0) + 1e-5) / 4 + 2


def block_statistics(x: Tensor) -> Tensor:
    """Statistics (N, 6, H/16, W/16) of blocks: mean luma and chroma, and how busy luma and chroma are."""
    red, green, blue = torch.split(x, 1, dim=1)
    luma = _RED * red + _GREEN * green + _BLUE * blue
    chroma = torch.cat([(blue - luma) / _CB_TO_BLUE, (red - luma) / _CR_TO_RED], dim=1)
    small = F.avg_pool2d(luma, 4)
    mean, mean_chroma = F.avg_pool2d(luma, MAP_BLOCK), F.avg_pool2d(chroma, MAP_BLOCK)
    coarse = F.avg_pool2d(small.square(), MAP_BLOCK // 4)
    detail = F.avg_pool2d(luma.square(), MAP_BLOCK) - coarse
    colour = (F.avg_pool2d(chroma.square(), MAP_BLOCK) - mean_chroma.square()).sum(1, keepdim=True)
    busy = torch.cat([detail, coarse - mean.square(), colour], dim=1)
    return torch.cat([(mean - 0.5) * 4, mean_chroma * 10, _log(busy)], dim=1)


def _statistics_in_bands(x: Tensor) -> Tensor:
    """Computes :func:`block_statistics` some rows of blocks at a time, for it makes several planes."""
    rows = max(1, _BAND // (x.shape[0] * x.shape[3] * MAP_BLOCK)) * MAP_BLOCK
    return torch.cat([block_statistics(band) for band in torch.split(x, rows, dim=2)], dim=2)


def _places(count: int, like: Tensor) -> Tensor:
    """The middles of blocks along a side of the picture, -1 to 1."""
    return (torch.arange(count, device=like.device, dtype=like.dtype) + 0.5) / count * 2 - 1


def _coordinates(like: Tensor) -> Tensor:
    """The places (N, 4, h, w) of blocks: how high they are, and how far from the middle."""
    rows, columns = _places(like.shape[2], like)[:, None], _places(like.shape[3], like)[None]
    vertical, horizontal = rows.square() + 0 * columns, columns.square() + 0 * rows
    planes = torch.stack([rows + 0 * columns, vertical, horizontal, (vertical + horizontal).square()])
    return planes[None].expand(like.shape[0], -1, -1, -1)


class AllocatorNetwork(nn.Module):
    """Importance of blocks for each of several networks, from the picture and the qp alone.

    A trunk of inverted bottlenecks down to a sixteenth of the size, then residual blocks that see the whole
    picture, plain statistics of the blocks and where they lie. The map's logits start at 0.
    """

    def __init__(self, settings: AllocatorSettings) -> None:
        super().__init__()
        heads = len(settings.heads)
        self.trunk = Trunk()
        self.enter = nn.Conv2d(self.trunk.channels + _STATISTICS + _COORDINATES, settings.width, 1)
        self.embed = nn.Linear(QP_FEATURES, _EMBEDDING)
        dilations = islice(cycle(_DILATIONS), settings.depth)
        self.body = nn.ModuleList(_ResidualBlock(settings.width, dilation) for dilation in dilations)
        self.leave = nn.Conv2d(settings.width, heads, 1)
        self.level = nn.Linear(settings.width + _EMBEDDING + heads, heads)
        start_at_zero(self.leave)
        start_at_zero(self.level)

    def forward(self, x: Tensor, qp: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the log2 importance of blocks and of the picture.

        Args:
            x: (N, 3, H, W) in [0, 1], H and W multiples of 16.
            qp: (N,).

        Returns:
            (N, K, H/16, W/16) with mean 0 over each picture, and (N, K).
        """
        return self.finish(*self.seen(x), qp)

    def seen(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Computes what :meth:`finish` needs of pictures, which is the same at every qp.

        Args:
            x: (N, 3, H, W) in [0, 1], H and W multiples of 16.

        Returns:
            The trunk's features (N, C, H/16, W/16), and what :func:`block_statistics` gives.
        """
        return self._seen_in_parts(x) if goes_in_parts(x) else self._seen_at_once(x)

    def _seen_at_once(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.trunk(x), _statistics_in_bands(x) if may_go_in_parts() else block_statistics(x)

    def _seen_in_parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Computes what :meth:`_seen_at_once` does, up to rounding, by some pictures or a strip of one.

        The trunk is wide at its start. What comes after it sees the picture as a whole, at a sixteenth of its
        size.
        """
        groups = []
        for pictures in groups_of(x):
            strips = []
            for strip in strips_of(pictures, MAP_BLOCK, self.trunk.reach, reaches=_REACHES):
                extended, above = around(pictures, strip, self.trunk.reach)
                rows = slice(above // MAP_BLOCK, (above + strip.end - strip.first) // MAP_BLOCK)
                strips.append([seen[:, :, rows] for seen in self._seen_at_once(extended)])
            groups.append([torch.cat(rows, dim=2) for rows in zip(*strips, strict=True)])
        features, statistics = (torch.cat(pictures) for pictures in zip(*groups, strict=True))
        return features, statistics

    def finish(self, features: Tensor, statistics: Tensor, qp: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the log2 importance of blocks and of the picture from features and statistics.

        Args:
            features: the trunk's, (N, C, H/16, W/16).
            statistics: those of :func:`block_statistics`.
            qp: (N,).

        Returns:
            As :meth:`forward`.
        """
        embedding = F.silu(self.embed(qp_features(qp)))
        parts = [features / _TRUNK_SCALE, statistics, _coordinates(statistics)]
        y = self.enter(torch.cat(parts, dim=1))
        for block in self.body:
            y = block(y, embedding)
        with full_precision(y):  # in half precision logarithms would be too coarse
            y = F.relu(y).to(self.leave.weight.dtype)
            maps = centred(self.leave(y))
            uneven = torch.log2(torch.exp2(maps).mean((2, 3)))
            summary = torch.cat([y.mean((2, 3)), embedding.to(y.dtype), uneven], dim=1)
            return maps, self.level(summary)


def mixed(heads: Tensor, settings: AllocatorSettings) -> Tensor:
    """The mean over the heads, dimension 1, weighted by the settings' mix."""
    if settings.mix is None:
        return heads.mean(1)
    weights = heads.new_tensor([settings.mix.get(name, 0.0) for name in settings.heads])
    with full_precision(heads):
        mean: Tensor = torch.tensordot(heads, weights / weights.sum(), dims=([1], [0]))
    return mean
