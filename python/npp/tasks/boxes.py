"""Boxes (K, 4) as x1, y1, x2, y2: overlap, and how well two sets of them match."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_LEAST_AREA = 1e-9

MATCH_IOU = 0.5


def _intersection(a: Tensor, b: Tensor) -> Tensor:
    sides = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    return sides.clamp_min(0).prod(-1)


def area(boxes: Tensor) -> Tensor:
    """Areas (...) of boxes (..., 4)."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp_min(0).prod(-1)


def paired_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes at the same places, differentiable; broadcasts."""
    both = _intersection(a, b)
    return both / (area(a) + area(b) - both).clamp_min(_LEAST_AREA)


def iou_matrix(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union (K, L) of every box of ``a`` (K, 4) with every one of ``b`` (L, 4)."""
    return paired_iou(a[:, None], b[None])


def matches(prediction: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> int:
    """How many predicted boxes find a target of their class with IoU of at least a half.

    The most certain ones choose first; a target is found once.
    """
    overlaps = iou_matrix(prediction["boxes"].float(), target["boxes"].float())
    overlaps = overlaps * (prediction["labels"][:, None] == target["labels"][None])
    free = torch.ones(overlaps.shape[1], dtype=torch.bool, device=overlaps.device)
    for row in prediction["scores"].argsort(descending=True).tolist():
        candidates = overlaps[row] * free
        if len(candidates) and candidates.max() >= MATCH_IOU:
            free[candidates.argmax()] = False
    return int((~free).sum())


def f1(prediction: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> float:
    """Harmonic mean of precision and recall of :func:`matches`; 1 if there is nothing on both sides."""
    together = len(prediction["boxes"]) + len(target["boxes"])
    return 2 * matches(prediction, target) / together if together else 1.0
