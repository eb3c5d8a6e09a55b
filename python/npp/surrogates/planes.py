"""A picture as the planes that the codec transforms, differentiable both ways.

The arithmetic is the codec's without its rounding: colour matrix, range and chroma filters of the BPG
specification 0.9.5 and bpgenc.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from npp.options import ResolvedOptions
from npp.surrogates.quantiser import chroma_qp, slice_qp, step_size

_PEAK = 255.0
_LIMITED_LUMA, _LIMITED_CHROMA = 219 / 255, 224 / 255
_LOSSLESS_STEP = 1.0

_LUMA_WEIGHTS = {  # K_r, K_b
    "ycbcr": (0.299, 0.114),
    "ycbcr_bt709": (0.2126, 0.0722),
    "ycbcr_bt2020": (0.2627, 0.0593),
}

# Down-sampling taps over 128. JPEG siting: around the pair; MPEG-2 siting: around the even sample.
_DOWN_JPEG = (2, -4, -8, 17, 57, 57, 17, -8, -4, 2)
_DOWN_MPEG2 = (-1, 0, 4, 0, -11, 0, 40, 64, 40, 0, -11, 0, 4, 0, -1)
# Up-sampling taps over 64 as (even output, odd output), both over samples i-3 .. i+4.
_UP_JPEG = ((2, -6, 18, 57, -10, 4, -1, 0), (-1, 4, -10, 57, 18, -6, 2, 0))
_UP_MPEG2 = ((0, 0, 0, 64, 0, 0, 0, 0), (-1, 4, -11, 40, 40, -11, 4, -1))


@dataclass(frozen=True)
class Plane:
    """One plane of a batch.

    Attributes:
        samples: (N, h, w) on the scale of 8-bit samples, 0..255; chroma around 0.
        step: (N,) quantiser step on the same scale.
    """

    samples: Tensor
    step: Tensor


@lru_cache(maxsize=32)
def _color_matrix(color_space: str, limited: bool, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(3, 3): planes from R, G, B."""
    if color_space == "rgb":
        rows = [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
        scales = [_LIMITED_LUMA] * 3
    elif color_space == "ycgco":
        rows = [[0.25, 0.5, 0.25], [-0.25, 0.5, -0.25], [0.5, 0.0, -0.5]]
        scales = [_LIMITED_LUMA, _LIMITED_CHROMA, _LIMITED_CHROMA]
    else:
        k_r, k_b = _LUMA_WEIGHTS[color_space]
        k_g = 1 - k_r - k_b
        rows = [
            [k_r, k_g, k_b],
            [-k_r / (2 * (1 - k_b)), -k_g / (2 * (1 - k_b)), 0.5],
            [0.5, -k_g / (2 * (1 - k_r)), -k_b / (2 * (1 - k_r))],
        ]
        scales = [_LIMITED_LUMA, _LIMITED_CHROMA, _LIMITED_CHROMA]
    matrix = torch.tensor(rows, dtype=torch.float64)
    if limited:
        matrix = matrix * torch.tensor(scales, dtype=torch.float64)[:, None]
    return matrix.to(device=device, dtype=dtype)


@lru_cache(maxsize=32)
def _inverse_matrix(color_space: str, limited: bool, dtype: torch.dtype, device: torch.device) -> Tensor:
    forward = _color_matrix(color_space, limited, torch.float64, torch.device("cpu"))
    inverse: Tensor = torch.linalg.inv(forward)
    return inverse.to(device=device, dtype=dtype)


@lru_cache(maxsize=32)
def _taps(taps: tuple[tuple[int, ...], ...], scale: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return (torch.tensor(taps, dtype=torch.float64) / scale).to(device=device, dtype=dtype)[:, None]


def _halve(plane: Tensor, mpeg2: bool) -> Tensor:
    """Every second sample of the last dimension, filtered; the edge repeats."""
    taps = _DOWN_MPEG2 if mpeg2 else _DOWN_JPEG
    kernel = _taps((taps,), 128, plane.dtype, plane.device)
    before = 7 if mpeg2 else 4
    after = len(taps) - 1 - before + plane.shape[-1] % 2
    lines = F.pad(plane.reshape(-1, 1, plane.shape[-1]), (before, after), mode="replicate")
    return F.conv1d(lines, kernel, stride=2).view(*plane.shape[:-1], -1)


def _double(plane: Tensor, size: int, mpeg2: bool) -> Tensor:
    """Twice the samples of the last dimension, interpolated and cropped to ``size``."""
    kernel = _taps(_UP_MPEG2 if mpeg2 else _UP_JPEG, 64, plane.dtype, plane.device)
    lines = F.pad(plane.reshape(-1, 1, plane.shape[-1]), (3, 4), mode="replicate")
    both = F.conv1d(lines, kernel).transpose(1, 2)
    return both.reshape(*plane.shape[:-1], -1)[..., :size]


class PictureLayout:
    """Splits pictures into planes and joins them again, for one set of codec options.

    Args:
        options: colour space, chroma sampling and range.
        shape: (N, C, H, W) with 1, 3 or 4 channels.
        qp: (N,) BPG qp of each picture.
    """

    def __init__(self, options: ResolvedOptions, shape: torch.Size, qp: Tensor) -> None:
        self._channels, self._height, self._width = shape[1:]
        self._gray = self._channels == 1 or options.chroma == "400"
        self._color_space = options.color_space
        self._limited = options.limited_range
        self._mpeg2 = options.chroma.endswith("mpeg2")
        self._halve_width = options.chroma.startswith(("420", "422"))
        self._halve_height = options.chroma.startswith("420")
        self._premultiplied = options.premultiplied
        luma_qp = slice_qp(qp)
        alpha_qp = luma_qp if options.alpha_qp is None else slice_qp(torch.full_like(qp, options.alpha_qp))
        color_qp = chroma_qp(luma_qp) if self._halve_height else luma_qp
        steps = [step_size(q) for q in (luma_qp, color_qp, alpha_qp)]
        self._luma_step, self._chroma_step, self._alpha_step = (
            [torch.full_like(s, _LOSSLESS_STEP) for s in steps] if options.lossless else steps
        )

    def split(self, x: Tensor) -> list[Plane]:
        """Planes of pictures (N, C, H, W) in [0, 1]: luma, two of chroma, alpha, as far as there are."""
        color = x[:, :3] * _PEAK
        if self._channels == 4 and self._premultiplied:
            color = color * x[:, 3:]
        planes = self._split_gray(color) if self._gray else self._split_color(color)
        if self._channels == 4:
            planes.append(Plane(x[:, 3] * _PEAK, self._alpha_step))
        return planes

    def _split_gray(self, color: Tensor) -> list[Plane]:
        if color.shape[1] == 1:
            gray = color[:, 0] * (_LIMITED_LUMA if self._limited else 1.0)
        else:
            gray = self._convert(color)[0]
        return [Plane(gray, self._luma_step)]

    def _split_color(self, color: Tensor) -> list[Plane]:
        luma, first, second = self._convert(color)
        return [
            Plane(luma, self._luma_step),
            Plane(self._subsample(first), self._chroma_step),
            Plane(self._subsample(second), self._chroma_step),
        ]

    def _convert(self, color: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        space = "ycbcr" if self._gray else self._color_space
        matrix = _color_matrix(space, self._limited, color.dtype, color.device)
        luma, first, second = torch.einsum("pc,nchw->pnhw", matrix, color)
        return luma, first, second

    def _subsample(self, plane: Tensor) -> Tensor:
        if self._halve_width:
            plane = _halve(plane, self._mpeg2)
        if self._halve_height:
            plane = _halve(plane.transpose(1, 2), mpeg2=False).transpose(1, 2)
        return plane

    def join(self, planes: list[Tensor]) -> Tensor:
        """Pictures (N, C, H, W) from the samples of the planes, in the order of :meth:`split`.

        Premultiplied colour is divided by alpha where alpha is not nearly nothing.
        """
        color = self._join_gray(planes[0]) if self._gray else self._join_color(planes[:3])
        if self._channels != 4:
            return color / _PEAK
        alpha = planes[-1][:, None] / _PEAK
        if self._premultiplied:
            color = color / alpha.clamp_min(1 / _PEAK)
        return torch.cat([color / _PEAK, alpha], dim=1)

    def _join_gray(self, luma: Tensor) -> Tensor:
        gray = luma / (_LIMITED_LUMA if self._limited else 1.0)
        return gray[:, None].expand(-1, 1 if self._channels == 1 else 3, -1, -1)

    def _join_color(self, planes: list[Tensor]) -> Tensor:
        full = torch.stack([planes[0], self._upsample(planes[1]), self._upsample(planes[2])])
        matrix = _inverse_matrix(self._color_space, self._limited, full.dtype, full.device)
        return torch.einsum("cp,pnhw->nchw", matrix, full)

    def _upsample(self, plane: Tensor) -> Tensor:
        if self._halve_height:
            plane = _double(plane.transpose(1, 2), self._height, mpeg2=False).transpose(1, 2)
        if self._halve_width:
            plane = _double(plane, self._width, self._mpeg2)
        return plane
