"""Rows of the picture strip: an arm and the anchor at about the same size, with a network's output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from npp.checks import MAX_QP
from npp.evaluation.arms import Arm
from npp.evaluation.coding import ArmFiles, Batch, code_batch
from npp.evaluation.judges import Judge
from npp.tasks.boxes import MATCH_IOU, iou_matrix
from npp.tasks.detection import Detection

_REACH = 16  # qps around the anchor's among which an arm's file of the same size is looked for


@dataclass(frozen=True)
class ShownBoxes:
    """Boxes that a detector finds.

    Attributes:
        boxes: (K, 4) x1, y1, x2, y2 in pixels.
        found: (K,) whether each is also found in the original.
    """

    boxes: Tensor
    found: Tensor


@dataclass(frozen=True)
class ShownFile:
    """A decoded file in the strip.

    Attributes:
        image: (3, H, W) floats in [0, 1].
        label: a line about it.
        boxes: boxes of the detector; ``None`` without one.
    """

    image: Tensor
    label: str
    boxes: ShownBoxes | None


@dataclass(frozen=True)
class StripRow:
    """A photo's row of the strip.

    Attributes:
        original: the photo, with its boxes.
        qp_map: (h, w) offsets of the arm, or ``None``.
        change: (3, H, W) the arm's changes before the codec, or ``None`` if there are none.
        files: files of the anchor and of the arm.
    """

    original: ShownFile
    qp_map: Tensor | None
    change: Tensor | None
    files: tuple[ShownFile, ShownFile]


def same_bytes(
    batch: Batch, arm: Arm, qp: int, most: int, judges: Sequence[Judge], threads: int | None
) -> ArmFiles:
    """An arm's largest file that does not exceed a size; its smallest file if all exceed it.

    Args:
        batch: one photo.
        arm: the arm.
        qp: the qp around which to search.
        most: the size in bytes.
        judges, threads: see :func:`npp.evaluation.coding.code_batch`.
    """

    @cache
    def coded(other_qp: int) -> ArmFiles:
        return code_batch(batch, arm, other_qp, judges, threads)

    qps = list(_qps_of(arm, qp))
    low, high = 0, len(qps) - 1
    while low < high:
        middle = (low + high) // 2
        if int(coded(qps[middle]).sizes[0]) <= most:
            high = middle
        else:
            low = middle + 1
    return coded(qps[low])


def _qps_of(arm: Arm, qp: int) -> Sequence[int]:
    """Qps near ``qp`` at which an arm can be run, for a chosen blur has sigmas for some qps only."""
    around = range(max(0, qp - _REACH), min(MAX_QP, qp + _REACH) + 1)
    sigmas = getattr(arm.prefilter, "sigmas", None)
    return around if sigmas is None else sorted(sigmas)


def _boxes(judge: Judge, image: Tensor, clean: dict[str, Tensor]) -> ShownBoxes:
    """Boxes in a picture (3, H, W), and whether each matches one of the same class in the original."""
    detections = judge.task.targets(image[None])[0]
    same = detections["labels"][:, None] == clean["labels"][None]
    near = (iou_matrix(detections["boxes"].float(), clean["boxes"].float()) >= MATCH_IOU) & same
    return ShownBoxes(detections["boxes"].cpu(), near.any(1).cpu())


def _quality_text(judges: Sequence[Judge], batch: Batch, image: Tensor) -> str:
    """The first network's quality of a decoded picture, in words."""
    judge = judges[0]
    scores = batch.task(judge).scores(image[None], batch.targets(judge))
    quality = judge.spec.quality
    name = quality if quality in scores else next(iter(scores))
    return f"{name} {float(scores[name][0]):.3g}"


@torch.no_grad()
def _file(name: str, coded: ArmFiles, batch: Batch, judges: Sequence[Judge]) -> ShownFile:
    image = coded.x_hat[0]
    detector = _detector(judges)
    boxes = None if detector is None else _boxes(detector, image, batch.targets(detector)[0])
    label = f"{name}: {int(coded.sizes[0]):,} bytes, {_quality_text(judges, batch, image)}"
    return ShownFile(image, label, boxes)


def _detector(judges: Sequence[Judge]) -> Judge | None:
    return next((judge for judge in judges if isinstance(judge.task, Detection)), None)


def strip_row(
    batch: Batch, arm: Arm, anchor: Arm, qp: int, judges: Sequence[Judge], threads: int | None
) -> StripRow:
    """The row of a photo: coded by the anchor at a qp, and by the arm with about as many bytes.

    Args:
        batch: one photo.
        arm, anchor: the two arms.
        qp: qp of the anchor.
        judges: networks; the quality of the first one and the boxes of the first detector are shown.
        threads: threads of the codec.
    """
    plain = code_batch(batch, anchor, qp, judges, threads)
    shown = plain
    if arm.name != anchor.name:
        shown = same_bytes(batch, arm, qp, int(plain.sizes[0]), judges, threads)
    original = batch.images[0]
    detector = _detector(judges)
    original_boxes = None if detector is None else _boxes(detector, original, batch.targets(detector)[0])
    changed = shown.filtered[0] - original
    return StripRow(
        ShownFile(original, "original", original_boxes),
        None if shown.offsets is None else shown.offsets.qp_map[0].detach().float().cpu(),
        changed if bool(changed.any()) else None,
        (_file(anchor.name, plain, batch, judges), _file(arm.name, shown, batch, judges)),
    )
