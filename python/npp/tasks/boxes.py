"""Operations on boxes: overlap, matching and non-maximum suppression."""

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
    """The values of these names for the boxes of a picture that have an area.

    A box without area overlaps nothing, not even itself.

    Args:
        detections: ``boxes`` (K, 4) and values (K, ...) that belong to them.
        names: names of the wanted values, which may include ``"boxes"``.
    """
    solid = area(detections["boxes"]) > 0
    return {name: detections[name][solid] for name in names}


def is_clean_output(target: Mapping[str, Any]) -> bool:
    """Whether a target is a detector's output for the clean picture, with scores, and no real labels."""
    return "scores" in target


def corners_of(boxes: Tensor) -> Tensor:
    """Boxes (..., 4) of centre and size, x, y, width, height in any unit, as x1, y1, x2, y2."""
    half = boxes[..., 2:] / 2
    return torch.cat([boxes[..., :2] - half, boxes[..., :2] + half], -1)


def centre_and_size(boxes: Tensor) -> Tensor:
    """Boxes (..., 4) x1, y1, x2, y2 in any unit as centre and size, x, y, width, height."""
    return torch.cat([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], -1)


def sides(height: int, width: int, like: Tensor) -> Tensor:
    """Width, height, width, height (4,), the factors from boxes in fractions of the sides to pixels.

    Args:
        height, width: size of a picture or an input in pixels.
        like: boxes, which give the dtype and the device.
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
    """Raises ValueError unless labels (K,) are classes; the message names the first that is not.

    Args:
        name: name of the target in messages.
        labels: labels of the boxes of a target, whole numbers.
        classes: number of classes, ``None`` if unknown.
    """
    outside = labels < 0 if classes is None else (labels < 0) | (labels >= classes)
    if not bool(outside.any()):
        return
    wrong = int(outside.nonzero()[0])
    allowed = "of 0 or more" if classes is None else f"from 0 to {classes - 1}"
    raise ValueError(f"{name} must have labels {allowed}, not {int(labels[wrong])} (box {wrong})")


def matches(prediction: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> int:
    """Number of predicted boxes that match a target of their class with an IoU of at least a half.

    Boxes are matched in the order of their scores, the highest first; a target is matched once.
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
    """Harmonic mean of precision and recall of :func:`matches`; 1 if there are no boxes on either side."""
    total = len(prediction["boxes"]) + len(target["boxes"])
    return 2 * matches(prediction, target) / total if total else 1.0


def nms(boxes: Tensor, scores: Tensor, labels: Tensor, iou: float) -> Tensor:
    """Non-maximum suppression: drops boxes that overlap one of their class with a higher score.

    Uses torchvision's operators if they are available, else :func:`plain_nms`.

    Args:
        boxes, scores, labels: (K, 4) x1, y1, x2, y2, (K,), (K,).
        iou: boxes of one class with a larger IoU count as the same.

    Returns:
        Indices of the boxes that are kept, sorted by score, the highest first.
    """
    try:
        batched_nms = importlib.import_module("torchvision.ops").batched_nms
    except (ImportError, RuntimeError):  # RuntimeError: a build that does not fit torch's
        return plain_nms(boxes, scores, labels, iou)
    kept: Tensor = batched_nms(boxes, scores, labels, iou)
    return kept


def plain_nms(boxes: Tensor, scores: Tensor, labels: Tensor, iou: float) -> Tensor:
    """Non-maximum suppression without torchvision, with the result of :func:`nms` and memory for K * K."""
    order = scores.argsort(descending=True, stable=True)
    same = labels[order][:, None] == labels[order][None]
    rivals = (same & (iou_matrix(boxes[order], boxes[order]) > iou)).triu(1).cpu()
    kept = torch.ones(len(order), dtype=torch.bool, device="cpu")
    for rank in range(len(order)):
        if kept[rank]:
            kept &= ~rivals[rank]
    return order[kept.to(order.device)]


def without_negative_sides(boxes: Tensor) -> Tensor:
    """Boxes (..., 4), of which those with swapped corners get no area.

    Average precision ignores detections of negative area, as if they had not been made.
    """
    corner, opposite = boxes[..., :2], boxes[..., 2:]
    return torch.cat([corner, torch.maximum(corner, opposite)], -1)
