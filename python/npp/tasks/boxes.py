"""Boxes: their overlap, matches and non-maximum suppression."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from npp.torch_state import widened

_LEAST_AREA = 1e-9
MATCH_IOU = 0.5


def _intersection(a: Tensor, b: Tensor) -> Tensor:
    sides = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    return sides.clamp_min(0).prod(-1)


def area(boxes: Tensor) -> Tensor:
    """Areas (...) of boxes (..., 4)."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp_min(0).prod(-1)


def with_area(detections: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Values (K, ...) by these names of those of a picture's boxes (K, 4) that have an area.

    A box without one overlaps nothing, not even itself.

    Args:
        detections: ``boxes`` and the values that belong to them.
        names: which values, ``"boxes"`` among them where they are wanted.
    """
    solid = area(detections["boxes"]) > 0
    return {name: detections[name][solid] for name in names}


def is_clean_output(target: Mapping[str, Any]) -> bool:
    """Whether a target is what a detector said of the clean picture: that has scores, real labels none."""
    return "scores" in target


def corners_of(boxes: Tensor) -> Tensor:
    """Boxes (..., 4) of centre and size, x, y, width, height in any unit, as x1, y1, x2, y2."""
    half = boxes[..., 2:] / 2
    return torch.cat([boxes[..., :2] - half, boxes[..., :2] + half], -1)


def centre_and_size(boxes: Tensor) -> Tensor:
    """Boxes (..., 4) x1, y1, x2, y2 in any unit as centre and size, x, y, width, height."""
    return torch.cat([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], -1)


def sides(height: int, width: int, like: Tensor) -> Tensor:
    """Width, height, width, height (4,), by which boxes are multiplied from parts of the sides to pixels.

    Args:
        height, width: of a picture or an input, in pixels.
        like: boxes, whose dtype and device it has.
    """
    return like.new_tensor([width, height, width, height])


def paired_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes at the same places, float32 at least; differentiable, broadcasts."""
    a, b = widened(a), widened(b)
    intersection = _intersection(a, b)
    return intersection / (area(a) + area(b) - intersection).clamp_min(_LEAST_AREA)


def iou_matrix(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union (K, L) of every box of ``a`` (K, 4) with every one of ``b`` (L, 4)."""
    return paired_iou(a[:, None], b[None])


def check_labels(name: str, labels: Tensor, classes: int | None) -> None:
    """Raises ValueError for whole numbers (K,) of which one is no class; it names the first.

    Args:
        name: what messages call the target that has them.
        labels: of the boxes of a target.
        classes: how many there are, ``None`` where nobody knows.
    """
    outside = labels < 0 if classes is None else (labels < 0) | (labels >= classes)
    if not bool(outside.any()):
        return
    wrong = int(outside.nonzero()[0])
    allowed = "of 0 or more" if classes is None else f"from 0 to {classes - 1}"
    raise ValueError(f"{name} must have labels {allowed}, not {int(labels[wrong])} (box {wrong})")


def matches(prediction: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> int:
    """How many predicted boxes match a target of their class with IoU of at least a half.

    In the order of their scores, the highest first; a target is matched once.
    """
    overlaps = iou_matrix(prediction["boxes"].float(), target["boxes"].float())
    overlaps = overlaps * (prediction["labels"][:, None] == target["labels"][None])
    unmatched = torch.ones(overlaps.shape[1], dtype=torch.bool, device=overlaps.device)
    for row in prediction["scores"].argsort(descending=True).tolist():
        candidates = overlaps[row] * unmatched
        if len(candidates) and candidates.max() >= MATCH_IOU:
            unmatched[candidates.argmax()] = False
    return int((~unmatched).sum())


def f1(prediction: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> float:
    """Harmonic mean of precision and recall of :func:`matches`; 1 if there is nothing on both sides."""
    total = len(prediction["boxes"]) + len(target["boxes"])
    return 2 * matches(prediction, target) / total if total else 1.0


def nms(boxes: Tensor, scores: Tensor, labels: Tensor, iou: float) -> Tensor:
    """Non-maximum suppression: boxes that overlap one of their class with a higher score are dropped.

    With torchvision's operators where they can be had, else by :func:`plain_nms`.

    Args:
        boxes, scores, labels: (K, 4) x1, y1, x2, y2, (K,), (K,).
        iou: two boxes of one class that overlap by more are the same.

    Returns:
        Indices of those that are kept among the K, sorted by score, the highest first.
    """
    try:
        batched_nms = importlib.import_module("torchvision.ops").batched_nms
    except (ImportError, RuntimeError):  # the latter where its build does not fit torch's
        return plain_nms(boxes, scores, labels, iou)
    kept: Tensor = batched_nms(boxes, scores, labels, iou)
    return kept


def plain_nms(boxes: Tensor, scores: Tensor, labels: Tensor, iou: float) -> Tensor:
    """Non-maximum suppression without torchvision, with the boxes of :func:`nms` and K * K memory."""
    order = scores.argsort(descending=True, stable=True)
    same = labels[order][:, None] == labels[order][None]
    rivals = (same & (iou_matrix(boxes[order], boxes[order]) > iou)).triu(1).cpu()
    kept = torch.ones(len(order), dtype=torch.bool, device="cpu")
    for rank in range(len(order)):
        if kept[rank]:
            kept &= ~rivals[rank]
    return order[kept.to(order.device)]


def without_negative_sides(boxes: Tensor) -> Tensor:
    """Boxes (..., 4), those whose corners stand the wrong way round without an area.

    What computes average precision passes over detections of an area below 0, as if nobody had made them.
    """
    corner, opposite = boxes[..., :2], boxes[..., 2:]
    return torch.cat([corner, torch.maximum(corner, opposite)], -1)
