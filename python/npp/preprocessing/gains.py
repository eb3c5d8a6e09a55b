"""A filter by gains on blocks' DCT coefficients: it drops and boosts detail, never shifts brightness."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import npp.checks as checks
from npp.hevc.dct import forward_dct, frequencies, inverse_dct
from npp.hevc.planes import Planes, add_to_planes, split_planes
from npp.hevc.quantiser import QP_FEATURES, qp_features, slice_qp, step_size
from npp.preprocessing.blur import Blur, BlurSettings
from npp.preprocessing.filter_network import FilterNetwork
from npp.preprocessing.gains_body import Body, as_convolutions, without_gradient
from npp.torch_state import full_precision, made_once

_SIZES = (8, 4, 4)  # of the blocks of Y, Cb, Cr: one of each for 8x8 pixels
_BLOCK = _SIZES[0]
_COUNTS = tuple(size * size - 1 for size in _SIZES)
_CHANNELS = sum(_COUNTS)
_LEVEL_POWERS = 3
_TABLE_RATE = 10.0  # makes the few weights of the table move faster than the body's at one learning rate
_PEAK = 255.0
_STRIP = 2048  # blocks whose coefficients are a megabyte
_TOGETHER = 2 * _STRIP  # blocks of several small pictures
_MEAN_LUMA, _LUMA_SPREAD, _CHROMA_SPREAD = 0.5, 0.25, 0.1


@dataclass(frozen=True)
class GainsSettings:
    """Sizes of a ``Gains``.

    Attributes:
        width: channels of the body, 8 to 512.
        depth: residual blocks of the body, 0 to 32; 0 is no body, the table alone.
        table: gains by qp, frequency and the coefficient's own level, before the body's.
        luma_only: whether chroma is left as it is.
        floor: least gain, 0 to below 1; the greatest is 2 - floor.
        sigmas: a Gaussian blur before the gains, see :class:`~npp.preprocessing.blur.BlurSettings`. Training
            then starts at the blur instead of the identity, and learns what to do better.
    """

    width: int = 64
    depth: int = 6
    table: bool = True
    luma_only: bool = False
    floor: float = 0.0
    sigmas: dict[float, float] | None = None

    def __post_init__(self) -> None:
        for name, least, most in (("width", 8, 512), ("depth", 0, 32)):
            checks.wholes(self, least, most, name)
        checks.flags(self, "table", "luma_only")
        object.__setattr__(self, "floor", checks.number("floor", self.floor, 0, 0.99))
        if self.sigmas is not None:
            object.__setattr__(self, "sigmas", BlurSettings(self.sigmas).sigmas)
        if not self.depth and not self.table:
            raise ValueError("depth must be at least 1 without a table: nothing is left that could learn")


@made_once
def _pixels_of_coefficients(planes: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The matrix (192, C) from changes of a block's coefficients to those of its RGB pixels, by channel."""
    counts = _COUNTS[:planes]
    unit = torch.eye(sum(counts), dtype=torch.float64, device="cpu")[:, :, None, None]
    changed = add_to_planes(unit.new_zeros(len(unit), 3, 8, 8), _planes_of(unit, planes))
    return changed.flatten(1).T.contiguous().to(device=device, dtype=dtype)


def _planes_of(change: Tensor, planes: int) -> Planes:
    """The planes that have these AC coefficients and DCs of 0."""
    counts = list(_COUNTS[:planes])
    parts = [inverse_dct(c, s) for c, s in zip(torch.split(change, counts, dim=1), _SIZES, strict=False)]
    if planes == 1:
        still = torch.zeros_like(F.avg_pool2d(parts[0], 2))
        parts += [still, still]
    return Planes(*parts)


def _add_coefficients(x: Tensor, change: Tensor, planes: int) -> Tensor:
    """Changes the coefficients of RGB pictures by that much; a change of 0 gives x itself."""
    if as_convolutions(x):
        return add_to_planes(x, _planes_of(change, planes))
    matrix = _pixels_of_coefficients(planes, change.dtype, change.device)
    pixels = (matrix @ change.flatten(2)).view(len(x), -1, *change.shape[-2:])
    return x + F.pixel_shuffle(pixels, _BLOCK)


@made_once
def _profiles(planes: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The share (2 * planes, C) of each plane's two profiles in each coefficient, by its frequency.

    It is no buffer of the module, for one made on the device meta and filled with weights would lack it.
    """
    profiles = []
    for size in _SIZES[:planes]:
        square = frequencies(size, device).square().sum(1) / 2
        profiles.append(torch.stack([square, square.sqrt()]))
    matrix: Tensor = torch.block_diag(*profiles)  # type: ignore[no-untyped-call]
    return matrix.to(dtype)


class _Table(nn.Module):
    """Logits by qp, frequency and the coefficient's own level alone, which start at 0.

    A coefficient's logit is a quadratic in the qp times one in the level, plus profiles over the frequencies
    of its plane: a blur or a sharpening is one step along one weight.
    """

    def __init__(self, planes: int) -> None:
        super().__init__()
        self.by_profile = nn.Parameter(torch.zeros(QP_FEATURES, 2 * planes))
        self.by_coefficient = nn.Parameter(torch.zeros(_LEVEL_POWERS, QP_FEATURES, sum(_COUNTS[:planes])))

    def forward(self, level: Tensor, qp: Tensor) -> Tensor:
        """Logits for the levels (N, C, h, w), 0 to 1, and the qp's features."""
        by_coefficient, by_profile = (
            _TABLE_RATE * w.to(qp.dtype) for w in (self.by_coefficient, self.by_profile)
        )
        curve = qp @ by_coefficient
        planes = by_profile.shape[1] // 2
        constant = curve[0] + qp @ by_profile @ _profiles(planes, qp.dtype, qp.device)
        constant, linear, square = (c[:, :, None, None] for c in (constant, curve[1], curve[2]))
        return constant + level * (linear + level * square)


class Gains(FilterNetwork):
    """A filter that computes x + IDCT((gain - 1) * DCT).

    It gives x itself, bit for bit, while every gain is 1, as at the start. It works on the planes of
    :mod:`npp.hevc.planes` in blocks aligned with the codec's grid: 8x8 of Y and the 4x4 of Cb and Cr that
    lie under them. DC is left alone, so the mean of each 8x8 block of pixels stays. gain = 1 + (1 - floor) *
    tanh(z / 2), where z is the table's logit plus the body's.

    The body runs at an eighth of the size. It is shown log(1 + |c| / step) of each AC coefficient, with the
    quantiser step of the qp, and the DCs; its blocks are scaled and shifted by functions of the qp.
    """

    multiple = 8

    def __init__(self, settings: GainsSettings) -> None:
        super().__init__()
        self._settings = settings
        self._planes = 1 if settings.luma_only else len(_SIZES)
        outputs = sum(_COUNTS[: self._planes])
        self.blur = Blur(BlurSettings(settings.sigmas)) if settings.sigmas else None
        self.untraced_macs = self.blur.untraced_macs if self.blur else 0.0
        self.table = _Table(self._planes) if settings.table else None
        shown = _CHANNELS + len(_SIZES)
        self.body = Body(shown, settings.width, settings.depth, outputs) if settings.depth else None

    @property
    def settings(self) -> dict[str, Any]:
        """All settings by name, defaults filled in."""
        return asdict(self._settings)

    def forward(self, x: Tensor, qp: Tensor) -> Tensor:
        """Filters pictures (N, 3, H, W) for qps (N,); under autocast only the body runs in low precision."""
        with full_precision(x):
            if self.blur is not None:
                x = self.blur(x, qp)
            steps, conditions = step_size(slice_qp(qp)) / _PEAK, qp_features(qp)
        if without_gradient(x):
            together = max(1, _TOGETHER * _BLOCK**2 // x[0, 0].numel())
            filtered = [self._at_once(*group) for group in _groups(together, x, steps, conditions)]
            return torch.cat(filtered) if len(filtered) > 1 else filtered[0]
        return self._whole(x, steps, conditions)

    def _at_once(self, x: Tensor, steps: Tensor, conditions: Tensor) -> Tensor:
        """Filters a few small pictures, or a large one by strips, so that the work stays in the cache.

        Otherwise a third of the time goes into asking for much memory and giving it back.
        """
        if x[0, 0].numel() > _STRIP * _BLOCK**2:
            return self._by_strips(x, steps, conditions)
        return self._whole(x, steps, conditions)

    def _whole(self, x: Tensor, steps: Tensor, conditions: Tensor) -> Tensor:
        with full_precision(x):
            ac, level, features = self._see(x, steps)
        logits: Tensor | float = 0.0
        if self.body is not None:
            dtype = self.body.dtype
            logits = self.body(features.to(dtype), conditions.to(dtype)).to(x.dtype)
        with full_precision(x):
            return self._change(x, ac, level, logits, conditions)

    def _see(self, x: Tensor, steps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the AC coefficients, their sizes in quantiser steps, and the body's input."""
        pairs = [forward_dct(p, size) for p, size in zip(split_planes(x), _SIZES, strict=True)]
        y_dc, cb_dc, cr_dc = (dc / size for (dc, _), size in zip(pairs, _SIZES, strict=True))
        ac = torch.cat([ac for _, ac in pairs], dim=1)
        level = ac.abs() / steps[:, None, None, None]
        luma = (y_dc - _MEAN_LUMA) / _LUMA_SPREAD
        features = torch.cat([luma, cb_dc / _CHROMA_SPREAD, cr_dc / _CHROMA_SPREAD, level.log1p()], dim=1)
        return ac, level, features

    def _change(
        self, x: Tensor, ac: Tensor, level: Tensor, logits: Tensor | float, conditions: Tensor
    ) -> Tensor:
        """Applies the gains that follow from the body's logits and the table."""
        moving = sum(_COUNTS[: self._planes])
        if self.table is not None:
            level = level[:, :moving]
            logits = logits + self.table(level / (1 + level), conditions)
        assert isinstance(logits, Tensor)  # there is a body or a table
        change = (1 - self._settings.floor) * _tanh_of_half(logits) * ac[:, :moving]
        return _add_coefficients(x, change, self._planes)

    def _by_strips(self, x: Tensor, steps: Tensor, conditions: Tensor) -> Tensor:
        """Filters one large picture, some rows of blocks at a time where these depend on no others."""
        height, width = (side // _BLOCK for side in x.shape[-2:])
        rows, body = max(1, _STRIP // width), self.body
        strips = torch.split(x, _BLOCK * rows, dim=2)
        if body is None:
            return torch.cat([self._whole(strip, steps, conditions) for strip in strips], dim=2)
        dtype = body.dtype
        around, coefficients = x.new_empty(0), list[Tensor]()
        for index, strip in enumerate(strips):
            ac, _, features = self._see(strip, steps)
            taken = body.take_in(features.to(dtype))
            if not coefficients:
                around = taken.new_empty(1, height, width, taken.shape[1]).permute(0, 3, 1, 2)
            around[:, :, index * rows : (index + 1) * rows] = taken
            coefficients.append(ac)
        around = body.look_around(around, conditions.to(dtype))
        filtered = torch.empty_like(x)
        pieces = zip(strips, coefficients, torch.split(around, rows, dim=2), strict=True)
        for (strip, ac, seen), into in zip(pieces, torch.split(filtered, _BLOCK * rows, dim=2), strict=True):
            level = ac.abs() / steps[:, None, None, None]
            into.copy_(self._change(strip, ac, level, body.decide(seen).to(x.dtype), conditions))
        return filtered


def _groups(size: int, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Cuts tensors, each with N entries, into the same groups of pictures."""
    return zip(*(torch.split(tensor, size) for tensor in tensors), strict=True)


def _tanh_of_half(x: Tensor) -> Tensor:
    """Computes tanh(x / 2), exactly 0 at 0, by torch's sigmoid, which is five times as fast as its tanh."""
    return torch.sigmoid(x) * 2 - 1
