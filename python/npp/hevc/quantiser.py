"""The quantiser of an HEVC intra picture, and the features by which networks know the qp.

Steps at a BPG qp are those of ITU-T H.265, 8.6.1 and 8.6.2.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from npp.checks import MAX_QP
from npp.torch_state import made_once

# bpgenc keeps x265's I-frame factor of 1.4: a picture asked for at qp is coded 6 * log2(1.4) below it.
_INTRA_OFFSET = 6 * math.log2(1.4)
_STEP_ONE_QP = 4.0
_MAX_SHIFTED_QP = 57  # of chroma, before the table

# QpC of 4:2:0 for qPi = 30 .. 42. Below, it is qPi itself, above, qPi - 6.
_CHROMA_TABLE_START = 30
_CHROMA_TABLE = (29, 30, 31, 32, 33, 33, 34, 34, 35, 35, 36, 36, 37)


def slice_qp(qp: Tensor) -> Tensor:
    """The slice QP of a BPG qp, floats of any shape: floor(qp - 6 log2(1.4) + 0.5), at least 0."""
    return (qp - _INTRA_OFFSET + 0.5).floor().clamp_min(0)


def block_qp(picture_qp: Tensor, offset: Tensor) -> Tensor:
    """The QP of blocks, 0 to 51: their picture's slice QP plus the rounded offset.

    Rounding has a straight-through gradient, clipping has none. Shapes broadcast.
    """
    rounded = offset.detach().round() + (offset - offset.detach())
    return (picture_qp + rounded).clamp(0, MAX_QP)


def chroma_qp(luma_qp: Tensor, offset: int = 0, *, halved: bool = True) -> Tensor:
    """The QP of the chroma planes (8.6.1 and table 8-10); where an offset leads below 0 it is that of 8 bits.

    Its gradient is 1, as if it ran parallel to luma's.

    Args:
        luma_qp: any shape, whole numbers as floats.
        offset: of the picture's chroma planes, from -12 to 12.
        halved: whether the picture is 4:2:0; the table is for those alone.
    """
    fixed = luma_qp.detach()
    shifted = (fixed + offset).clamp(0, _MAX_SHIFTED_QP)
    table_qp = _chroma_table(shifted) if halved else shifted.clamp_max(MAX_QP)
    return luma_qp + (table_qp - fixed)


@made_once
def _table_on(dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(_CHROMA_TABLE, dtype=dtype, device=device)


def _chroma_table(luma_qp: Tensor) -> Tensor:
    table = _table_on(luma_qp.dtype, luma_qp.device)
    index = (luma_qp - _CHROMA_TABLE_START).clamp(0, len(_CHROMA_TABLE) - 1).long()
    above = torch.where(luma_qp > _CHROMA_TABLE_START + len(_CHROMA_TABLE) - 1, luma_qp - 6, table[index])
    return torch.where(luma_qp < _CHROMA_TABLE_START, luma_qp, above)


def step_size(quantiser: Tensor) -> Tensor:
    """The quantiser step 2^((QP - 4) / 6) of an orthonormal transform, on the scale of samples 0..255."""
    return torch.exp2((quantiser - _STEP_ONE_QP) / 6)


_MIDDLE_QP, _QP_RANGE = 34.0, 12.0

#: The number of :func:`qp_features`.
QP_FEATURES = 3


def qp_features(qp: Tensor) -> Tensor:
    """Features (N, 3) of qps (N,): 1, t and t², where t maps qp 22 to 46 linearly to -1 to 1."""
    position = (qp - _MIDDLE_QP) / _QP_RANGE
    return torch.stack([torch.ones_like(position), position, position.square()], dim=1)
