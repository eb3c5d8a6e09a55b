"""A picture as the planes that the codec transforms, differentiable both ways.

The arithmetic is the codec's without its rounding: colour matrix, range and chroma filters of the BPG
specification 0.9.5 and bpgenc. Networks that prepare pictures see simpler planes of the same kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from npp.codec.luma_weights import BT601, LUMA_WEIGHTS
from npp.codec.options import ResolvedOptions
from npp.codec.qp_maps import MAP_BLOCK
from npp.hevc.chroma_filters import double, halve
from npp.hevc.quantiser import block_qp, chroma_qp, slice_qp, step_size
from npp.torch_state import made_once

_PEAK = 255.0
_LIMITED_LUMA, _LIMITED_CHROMA = 219 / 255, 224 / 255
_LOSSLESS_STEP = 1.0


@dataclass(frozen=True)
class Plane:
    """One plane of a batch.

    Attributes:
        samples: (N, h, w) on the scale of 8-bit samples, 0..255; chroma around 0.
        step: quantiser step on the same scale: (N,), or (N, rows, columns) by block.
        cell: height and width in samples of the blocks that have steps of their own.
    """

    samples: Tensor
    step: Tensor
    cell: tuple[int, int] = (MAP_BLOCK, MAP_BLOCK)

    def steps_of(self, size: int) -> Tensor:
        """The step of each transform block, broadcasting over :func:`npp.hevc.dct.block_dct`'s coefficients.

        A transform block over several cells has the geometric mean of their steps.
        """
        if self.step.dim() == 1:
            return self.step.view(-1, 1, 1, 1, 1)
        steps = self.step
        for dim, cell in zip((1, 2), self.cell, strict=True):
            steps = _resample(steps, dim, cell, size, -(-self.samples.shape[dim] // size))
        return steps[:, :, None, :, None]


def _resample(steps: Tensor, dim: int, cell: int, size: int, count: int) -> Tensor:
    """Steps of ``count`` transform blocks of ``size`` samples from those of cells; one divides the other."""
    if cell >= size:
        return steps.repeat_interleave(cell // size, dim).narrow(dim, 0, count)
    several = size // cell
    missing = count * several - steps.shape[dim]
    last = steps.narrow(dim, steps.shape[dim] - 1, 1)
    whole = torch.cat([steps, *[last] * missing], dim)
    return whole.log2().unflatten(dim, (count, several)).mean(dim + 1).exp2()  # type: ignore[no-untyped-call, no-any-return]


@made_once
def _color_matrix(color_space: str, limited: bool, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The matrix (3, 3) from R, G and B to the planes."""
    if color_space == "rgb":
        rows = [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
        scales = [_LIMITED_LUMA] * 3
    elif color_space == "ycgco":
        rows = [[0.25, 0.5, 0.25], [-0.25, 0.5, -0.25], [0.5, 0.0, -0.5]]
        scales = [_LIMITED_LUMA, _LIMITED_CHROMA, _LIMITED_CHROMA]
    else:
        k_r, k_b = LUMA_WEIGHTS[color_space]
        k_g = 1 - k_r - k_b
        rows = [
            [k_r, k_g, k_b],
            [-k_r / (2 * (1 - k_b)), -k_g / (2 * (1 - k_b)), 0.5],
            [0.5, -k_g / (2 * (1 - k_r)), -k_b / (2 * (1 - k_r))],
        ]
        scales = [_LIMITED_LUMA, _LIMITED_CHROMA, _LIMITED_CHROMA]
    matrix = torch.tensor(rows, dtype=torch.float64, device="cpu")
    if limited:
        matrix = matrix * torch.tensor(scales, dtype=torch.float64, device="cpu")[:, None]
    return matrix.to(device=device, dtype=dtype)


@made_once
def _inverse_matrix(color_space: str, limited: bool, dtype: torch.dtype, device: torch.device) -> Tensor:
    forward = _color_matrix(color_space, limited, torch.float64, torch.device("cpu"))
    inverse: Tensor = torch.linalg.inv(forward)
    return inverse.to(device=device, dtype=dtype)


class PictureLayout:
    """Splits pictures into planes and joins them again, for one set of codec options.

    Args:
        options: colour space, chroma sampling and range.
        shape: (N, C, H, W) with 1, 3 or 4 channels.
        qp: (N,) BPG qp of each picture.
        qp_map: (N, ceil(H / 16), ceil(W / 16)) offsets for blocks of 16x16 pixels, in units of the qp. They
            are rounded, with a straight-through gradient. Alpha is left alone.
    """

    def __init__(
        self, options: ResolvedOptions, shape: torch.Size, qp: Tensor, qp_map: Tensor | None = None
    ) -> None:
        self._channels, self._height, self._width = shape[1:]
        self._gray = self._channels == 1 or options.chroma == "400"
        self._color_space = options.color_space
        self._limited = options.limited_range
        self._mpeg2 = options.chroma.endswith("mpeg2")
        self._halve_width = options.chroma.startswith(("420", "422"))
        self._halve_height = options.chroma.startswith("420")
        self._premultiplied = options.premultiplied
        self._chroma_cell = (MAP_BLOCK >> self._halve_height, MAP_BLOCK >> self._halve_width)
        picture_qp = slice_qp(qp)
        alpha_qp = picture_qp if options.alpha_qp is None else slice_qp(torch.full_like(qp, options.alpha_qp))
        luma_qp = picture_qp if qp_map is None else block_qp(picture_qp[:, None, None], qp_map)
        color_qp = chroma_qp(luma_qp, options.used_chroma_qp_offset, halved=self._halve_height)
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
        planes = self._convert(color)
        first, second = self._subsample(planes[1:])
        return [
            Plane(planes[0], self._luma_step),
            Plane(first, self._chroma_step, self._chroma_cell),
            Plane(second, self._chroma_step, self._chroma_cell),
        ]

    def _convert(self, color: Tensor) -> Tensor:
        """Converts RGB (N, 3, H, W) to the planes (3, N, H, W)."""
        space = "ycbcr" if self._gray else self._color_space
        matrix = _color_matrix(space, self._limited, color.dtype, color.device)
        return torch.einsum("pc,nchw->pnhw", matrix, color)

    def _subsample(self, planes: Tensor) -> Tensor:
        """Shrinks planes (..., H, W) to the size of the chroma planes."""
        if self._halve_width:
            planes = halve(planes, -1, self._mpeg2)
        if self._halve_height:
            planes = halve(planes, -2, mpeg2=False)
        return planes

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
        full = torch.cat([planes[0][None], self._upsample(torch.stack(planes[1:]))])
        matrix = _inverse_matrix(self._color_space, self._limited, full.dtype, full.device)
        return torch.einsum("cp,pnhw->nchw", matrix, full)

    def _upsample(self, planes: Tensor) -> Tensor:
        """Enlarges planes to the size of luma: the inverse of :meth:`_subsample`, as far as there is one."""
        if self._halve_height:
            planes = double(planes, -2, self._height, mpeg2=False)
        if self._halve_width:
            planes = double(planes, -1, self._width, self._mpeg2)
        return planes


_RED, _GREEN, _BLUE = BT601
#: The factors from Cr to red minus luma, and from Cb to blue minus luma.
CR_TO_RED = 2 * (1 - _RED)
CB_TO_BLUE = 2 * (1 - _BLUE)


class Planes(NamedTuple):
    """Y (N, 1, H, W), Cb and Cr (N, 1, H/2, W/2), on the pictures' scale; chroma around 0."""

    y: Tensor
    cb: Tensor
    cr: Tensor


def split_planes(x: Tensor) -> Planes:
    """The planes of RGB pictures (N, 3, H, W) of even sizes; chroma is the mean of 2x2 pixels."""
    red, green, blue = torch.split(x, 1, dim=1)
    y = _RED * red + _GREEN * green + _BLUE * blue
    return Planes(y, F.avg_pool2d((blue - y) / CB_TO_BLUE, 2), F.avg_pool2d((red - y) / CR_TO_RED, 2))


def add_to_planes(x: Tensor, change: Planes) -> Tensor:
    """RGB pictures whose planes have changed by that much.

    What the planes do not show, which is the chroma's detail within 2x2 pixels, stays as it is. A change of
    zero gives x itself, bit for bit.
    """
    cb = CB_TO_BLUE * F.interpolate(change.cb, scale_factor=2.0, mode="nearest")
    cr = CR_TO_RED * F.interpolate(change.cr, scale_factor=2.0, mode="nearest")
    green = change.y - (_BLUE / _GREEN) * cb - (_RED / _GREEN) * cr
    return x + torch.cat([change.y + cr, green, change.y + cb], dim=1)
