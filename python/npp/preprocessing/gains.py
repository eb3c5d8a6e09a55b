"""Gains on the DCT coefficients of blocks: it can drop and boost detail, never shift brightness."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import cycle, islice
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
from npp.torch_state import in_transform

_SIZES = (8, 4, 4)  # of the blocks of Y, Cb, Cr: one of each for 8x8 pixels
_COUNTS = tuple(size * size - 1 for size in _SIZES)
_CHANNELS = sum(_COUNTS)
_DILATIONS = (1, 2, 4)
_EMBEDDING = 32
_LEVEL_POWERS = 3
_TABLE_RATE = 10.0  # makes the few weights of the table move faster than the body's at one learning rate
_PEAK = 255.0
_MEAN_LUMA, _LUMA_SPREAD, _CHROMA_SPREAD = 0.5, 0.25, 0.1


@dataclass(frozen=True)
class GainsSettings:
    """Sizes of a ``Gains``.

    Attributes:
        width: channels of the body, 8 to 512.
        depth: residual blocks of the body, 0 to 32; 0 is no body, the table alone.
        table: gains by qp, frequency and the coefficient's own level, before the body's.
        luma_only: leave chroma as it is.
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
        checks.whole("width", self.width, 8, 512)
        checks.whole("depth", self.depth, 0, 32)
        checks.flag("table", self.table)
        checks.flag("luma_only", self.luma_only)
        checks.number("floor", self.floor, 0, 0.99)
        if self.sigmas is not None:
            object.__setattr__(self, "sigmas", BlurSettings(self.sigmas).sigmas)
        if not self.depth and not self.table:
            raise ValueError("depth must be at least 1 without a table: nothing is left that could learn")


def _start_at_zero(layer: nn.Linear | nn.Conv2d) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


class _Block(nn.Module):
    """Residual: depthwise 3x3, scale and shift by qp, two pointwise layers."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, groups=width)
        self.condition = nn.Linear(_EMBEDDING, 2 * width)
        self.widen = nn.Conv2d(width, 2 * width, 1)
        self.narrow = nn.Conv2d(2 * width, width, 1)
        _start_at_zero(self.condition)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.condition(embedding)[:, :, None, None].chunk(2, dim=1)
        conditioned = torch.addcmul(shift, self.spread(x), 1 + scale)
        change: Tensor = self.narrow(F.relu(self.widen(conditioned)))
        return x + change


class _Body(nn.Module):
    """Logits of the gains from the coefficients around a block. Starts at 0."""

    def __init__(self, width: int, depth: int, outputs: int) -> None:
        super().__init__()
        self.embed = nn.Linear(QP_FEATURES, _EMBEDDING)
        self.enter = nn.Conv2d(_CHANNELS + len(_SIZES), width, 1)
        self.blocks = nn.ModuleList(_Block(width, d) for d in islice(cycle(_DILATIONS), depth))
        self.leave = nn.Conv2d(width, outputs, 1)
        _start_at_zero(self.leave)

    def forward(self, features: Tensor, qp: Tensor) -> Tensor:
        embedding = F.silu(self.embed(qp))
        # Most of the work is pointwise layers, which are faster with the channels of a place together.
        # (vmap cannot ask for that.)
        if not in_transform():
            features = features.contiguous(memory_format=torch.channels_last)
        x = self.enter(features)
        for block in self.blocks:
            x = block(x, embedding)
        logits: Tensor = self.leave(F.relu(x))
        return logits


class _Table(nn.Module):
    """Logits by qp, frequency and the coefficient's own level alone. Starts at 0.

    For each coefficient a quadratic in the qp times one in the level. Profiles over each plane's
    frequencies are added to it: a blur or a sharpening is one step along one weight.
    """

    def __init__(self, planes: int) -> None:
        super().__init__()
        profiles = []
        for size in _SIZES[:planes]:
            square = frequencies(size).square().sum(1) / 2
            profiles.append(torch.stack([square, square.sqrt()]))
        self.profiles: Tensor
        self.register_buffer("profiles", torch.block_diag(*profiles), persistent=False)  # type: ignore[no-untyped-call]
        self.by_profile = nn.Parameter(torch.zeros(QP_FEATURES, 2 * planes))
        self.by_coefficient = nn.Parameter(torch.zeros(_LEVEL_POWERS, QP_FEATURES, sum(_COUNTS[:planes])))

    def forward(self, level: Tensor, qp: Tensor) -> Tensor:
        """Logits for the levels (N, C, h, w), 0 to 1, and the qp's features."""
        by_coefficient, by_profile = (
            _TABLE_RATE * w.to(qp.dtype) for w in (self.by_coefficient, self.by_profile)
        )
        curve = qp @ by_coefficient
        constant = curve[0] + qp @ by_profile @ self.profiles.to(qp.dtype)
        constant, linear, square = (c[:, :, None, None] for c in (constant, curve[1], curve[2]))
        return constant + level * (linear + level * square)


class Gains(FilterNetwork):
    """x + IDCT((gain - 1) * DCT): x itself, bit for bit, as long as every gain is 1, and so at the start.

    Works on the planes of :mod:`npp.hevc.planes` in blocks aligned with the codec's grid: 8x8 of Y
    and the 4x4 of Cb and Cr that lie under them. DC is left alone, so the mean of each 8x8 block of pixels
    stays. gain = 1 + (1 - floor) * tanh(z / 2), where z is the table's logit plus the body's.

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
        self.body = _Body(settings.width, settings.depth, outputs) if settings.depth else None

    @property
    def settings(self) -> dict[str, Any]:
        """See :class:`FilterNetwork`."""
        return asdict(self._settings)

    def forward(self, x: Tensor, qp: Tensor) -> Tensor:
        """See :class:`FilterNetwork`. Under autocast only the body runs in low precision."""
        with _full_precision(x):
            if self.blur is not None:
                x = self.blur(x, qp)
            pairs = [forward_dct(p, size) for p, size in zip(split_planes(x), _SIZES, strict=True)]
            y_dc, cb_dc, cr_dc = (dc / size for (dc, _), size in zip(pairs, _SIZES, strict=True))
            ac = torch.cat([ac for _, ac in pairs], dim=1)
            steps = ac.abs() / (step_size(slice_qp(qp)) / _PEAK)[:, None, None, None]
            conditions = qp_features(qp)
        logits = torch.zeros_like(ac[:, : sum(_COUNTS[: self._planes])])
        if self.body is not None:
            luma = (y_dc - _MEAN_LUMA) / _LUMA_SPREAD
            features = torch.cat([luma, cb_dc / _CHROMA_SPREAD, cr_dc / _CHROMA_SPREAD, steps.log1p()], dim=1)
            dtype = self.body.enter.weight.dtype
            logits = logits + self.body(features.to(dtype), conditions.to(dtype)).to(x.dtype)
        with _full_precision(x):
            if self.table is not None:
                level = steps[:, : logits.shape[1]]
                logits = logits + self.table(level / (1 + level), conditions)
            change = (1 - self._settings.floor) * torch.tanh(logits / 2) * ac[:, : logits.shape[1]]
            return add_to_planes(x, self._planes_of(change))

    def _planes_of(self, change: Tensor) -> Planes:
        counts = list(_COUNTS[: self._planes])
        parts = [inverse_dct(c, s) for c, s in zip(torch.split(change, counts, dim=1), _SIZES, strict=False)]
        if self._planes == 1:
            still = torch.zeros_like(F.avg_pool2d(parts[0], 2))
            parts += [still, still]
        return Planes(*parts)


def _full_precision(x: Tensor) -> torch.autocast | nullcontext[None]:
    """Switches autocast off where it is on."""
    device = x.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.autocast(device_type=device, enabled=False)
    return nullcontext()
