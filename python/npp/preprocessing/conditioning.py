"""How networks are told the qp."""

from __future__ import annotations

import torch
from torch import Tensor

_MIDDLE_QP, _QP_RANGE = 34.0, 12.0

#: Number of :func:`qp_features`.
QP_FEATURES = 3


def qp_features(qp: Tensor) -> Tensor:
    """(N, 3): 1, place and place², where the place of qp 22 to 46 is -1 to 1."""
    place = (qp - _MIDDLE_QP) / _QP_RANGE
    return torch.stack([torch.ones_like(place), place, place.square()], dim=1)
