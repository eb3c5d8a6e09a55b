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
from npp.torch_state import in_transform, made_once

_SIZES = (8, 4, 4)  # of the blocks of Y, Cb, Cr: one of each for 8x8 pixels
_COUNTS = tuple(size * size - 1 for size in _SIZES)
_CHANNELS = sum(_COUNTS)
_DILATIONS = (1, 2, 4)
_EMBEDDING = 32
_LEVEL_POWERS = 3
_TABLE_RATE = 10.0  # makes the few weights of the table move faster than the body's at one learning rate
_PEAK = 255.0
_PLACES = 1024  # half a megabyte of a body's widest layer
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


def _as_convolutions(x: Tensor) -> bool:
    """Whether layers must be what exporters, vmap and counters know; else they are faster matrix products."""
    return in_transform() or torch.compiler.is_compiling() or x.device.type == "meta"


def _pointwise(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """A 1x1 convolution of pictures with the channels of a place together: one matrix product.

    torch copies its input for the convolution, which takes longer than the product.
    """
    if _as_convolutions(x):
        found: Tensor = layer(x)
        return found
    places = F.linear(x.permute(0, 2, 3, 1), layer.weight.flatten(1), layer.bias)
    return places.permute(0, 3, 1, 2)


def _pointwise_in(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """The same of pictures with the places of a channel together; those that come out have it the other way.

    Most of the work is pointwise layers, which are faster with the channels of a place together.
    """
    if in_transform():  # vmap cannot be asked for an order of memory
        found: Tensor = layer(x)
        return found
    if _as_convolutions(x):
        ordered: Tensor = layer(x.contiguous(memory_format=torch.channels_last))
        return ordered
    places = F.linear(x.flatten(2).transpose(1, 2), layer.weight.flatten(1), layer.bias)
    return places.view(len(x), *x.shape[-2:], -1).permute(0, 3, 1, 2)


def _without_gradient(x: Tensor) -> bool:
    """Whether a part of the work may be done in place: on the CPU, with nobody looking on."""
    return (
        x.device.type == "cpu"
        and not torch.is_grad_enabled()
        and not _as_convolutions(x)
        and not torch.is_autocast_enabled("cpu")
    )


def _widened_and_narrowed(widen: nn.Conv2d, narrow: nn.Conv2d, x: Tensor, conditioned: Tensor) -> Tensor:
    """x + narrow(relu(widen(conditioned))), some places at a time: what is wide stays in the cache."""
    assert widen.bias is not None and narrow.bias is not None
    up, down = widen.weight.flatten(1).T, narrow.weight.flatten(1).T
    out = x.permute(0, 2, 3, 1) + narrow.bias
    for picture, given in zip(out.flatten(1, 2), conditioned.permute(0, 2, 3, 1).flatten(1, 2), strict=True):
        for places, rows in zip(picture.split(_PLACES), given.split(_PLACES), strict=True):
            places.addmm_(torch.addmm(widen.bias, rows, up).relu_(), down)
    return out.permute(0, 3, 1, 2)


def _pointwise_out(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """The same, with the places of a channel together in what comes out."""
    if _as_convolutions(x):
        found: Tensor = layer(x)
        return found
    places = x.permute(0, 2, 3, 1).flatten(1, 2)
    bias = None if layer.bias is None else layer.bias[:, None]
    channels = layer.weight.flatten(1) @ places.transpose(1, 2)
    moved = channels if bias is None else channels + bias
    return moved.view(len(x), -1, *x.shape[-2:])


@made_once
def _pixels_of_coefficients(planes: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(192, C): the change of a block's RGB pixels, channel by channel, that a coefficient's makes."""
    counts = _COUNTS[:planes]
    unit = torch.eye(sum(counts), dtype=torch.float64)[:, :, None, None]
    changed = add_to_planes(unit.new_zeros(len(unit), 3, 8, 8), _planes_of(unit, planes))
    return changed.flatten(1).T.contiguous().to(device=device, dtype=dtype)


def _planes_of(change: Tensor, planes: int) -> Planes:
    """The planes with those AC coefficients and DCs of 0."""
    counts = list(_COUNTS[:planes])
    parts = [inverse_dct(c, s) for c, s in zip(torch.split(change, counts, dim=1), _SIZES, strict=False)]
    if planes == 1:
        still = torch.zeros_like(F.avg_pool2d(parts[0], 2))
        parts += [still, still]
    return Planes(*parts)


def _add_coefficients(x: Tensor, change: Tensor, planes: int) -> Tensor:
    """RGB pictures whose coefficients have changed by that much; x itself where that is nothing."""
    if _as_convolutions(x):
        return add_to_planes(x, _planes_of(change, planes))
    matrix = _pixels_of_coefficients(planes, change.dtype, change.device)
    pixels = (matrix @ change.flatten(2)).view(len(x), -1, *change.shape[-2:])
    return x + F.pixel_shuffle(pixels, _SIZES[0])


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
        if _without_gradient(x):
            return _widened_and_narrowed(self.widen, self.narrow, x, conditioned)
        return x + _pointwise(self.narrow, F.relu(_pointwise(self.widen, conditioned)))


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
        x = _pointwise_in(self.enter, features)
        for block in self.blocks:
            x = block(x, embedding)
        return _pointwise_out(self.leave, F.relu(x))


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
        moving = sum(_COUNTS[: self._planes])
        logits: Tensor | float = 0.0
        if self.body is not None:
            luma = (y_dc - _MEAN_LUMA) / _LUMA_SPREAD
            features = torch.cat([luma, cb_dc / _CHROMA_SPREAD, cr_dc / _CHROMA_SPREAD, steps.log1p()], dim=1)
            dtype = self.body.enter.weight.dtype
            logits = self.body(features.to(dtype), conditions.to(dtype)).to(x.dtype)
        with _full_precision(x):
            if self.table is not None:
                level = steps[:, :moving]
                logits = logits + self.table(level / (1 + level), conditions)
            assert isinstance(logits, Tensor)  # there is a body or a table
            change = (1 - self._settings.floor) * _tanh_of_half(logits) * ac[:, :moving]
            return _add_coefficients(x, change, self._planes)


def _tanh_of_half(x: Tensor) -> Tensor:
    """tanh(x / 2), 0 of 0 to the bit; torch's sigmoid is five times as fast as its tanh."""
    return torch.sigmoid(x) * 2 - 1


def _full_precision(x: Tensor) -> torch.autocast | nullcontext[None]:
    """Switches autocast off where it is on."""
    device = x.device.type
    # Not is_autocast_available: torch 2.11 cannot compile it.
    if device != "meta" and torch.is_autocast_enabled(device):
        return torch.autocast(device_type=device, enabled=False)
    return nullcontext()
