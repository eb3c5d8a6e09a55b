"""FastestDet, a small detector of the 80 classes of COCO.

Decoding and input as in the author's repository (github.com/dog-qiuqiu/FastestDet, BSD-3): BGR in [0, 1]
at 352 pixels; 22x22 cells, each with an objectness, a box and class probabilities.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from npp.gradient.kl_divergence import kl_divergence
from npp.tasks.boxes import nms, paired_iou, sides
from npp.tasks.dense_detector import Dense, DenseDetector
from npp.tasks.divergence import binary_kl
from npp.tasks.frozen import plain_torch
from npp.tasks.input_format import InputFormat, Prepared
from npp.tasks.onnx_files import convert_onnx, fix_sides
from npp.torch_state import widened

_INPUT = (352, 352)
_CHANNELS = 85  # objectness, box, 80 classes
_LEAST = 1e-6
_SCORE_POWERS = (0.6, 0.4)  # of objectness and class
_NMS_IOU = 0.45
_LEAST_SCORE = 0.01


def _boxes(cells: Tensor) -> Tensor:
    """Boxes (N, h, w, 4) in parts of the picture, from cells (N, 85, h, w)."""
    height, width = cells.shape[-2:]
    rows = torch.arange(height, device=cells.device)[:, None]
    columns = torch.arange(width, device=cells.device)[None]
    x = (columns + cells[:, 1].tanh()) / width
    y = (rows + cells[:, 2].tanh()) / height
    half_width, half_height = cells[:, 3].sigmoid() / 2, cells[:, 4].sigmoid() / 2
    return torch.stack([x - half_width, y - half_height, x + half_width, y + half_height], -1)


def _log_classes(cells: Tensor) -> Tensor:
    """Log-probabilities (N, h, w, 80)."""
    return cells[:, 5:].clamp_min(_LEAST).log().movedim(1, -1)


class FastestDet(DenseDetector):
    """FastestDet behind the interface of :class:`npp.tasks.Detector`.

    Labels are COCO's 80 classes in order, from 0. Pictures may have any size; they are stretched.

    Args:
        path: of FastestDet.onnx.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file holds another network.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        onnx_file = convert_onnx(path)
        if onnx_file.shape != (1, 3, *_INPUT):
            raise ValueError(
                f"{path} must be FastestDet.onnx with input (1, 3, 352, 352), not {list(onnx_file.shape)}"
            )
        with plain_torch():
            fix_sides(onnx_file.network, onnx_file.shape)
        self.class_count = _CHANNELS - 5
        self.prepared = Prepared(onnx_file.network, InputFormat(size=_INPUT, channels="bgr"))

    def dense(self, images: Tensor) -> Dense:
        """``{"cells": (N, 85, 22, 22)}`` of pictures (N, 3, H, W): probabilities, the box before decoding."""
        inputs = self.prepared.prepare(images)
        # The file's graph is fixed to one picture; vmap makes it a batch.
        cells: Tensor = torch.func.vmap(lambda image: self.prepared.network(image[None])[0])(inputs)
        if cells.shape[1] != _CHANNELS:
            raise ValueError(f"the network must give {_CHANNELS} channels, not {cells.shape[1]}")
        return {"cells": cells}

    def divergence(self, clean: Dense, now: Dense) -> Tensor:
        """Change (N,) of objectness, and of classes and boxes weighted by it, summed over the cells.

        KL is in nats; the change of a box is 1 - IoU.
        """
        before, after = clean["cells"], now["cells"]
        objects = binary_kl(before[:, 0], after[:, 0])
        classes = kl_divergence(_log_classes(before), _log_classes(after), dim=-1)
        boxes = 1 - paired_iou(_boxes(before), _boxes(after))
        return (objects + before[:, 0] * (classes + boxes)).sum((1, 2))

    def _detected(self, dense: Dense, height: int, width: int) -> dict[str, Tensor]:
        """One picture's boxes after non-maximum suppression, from cells (85, h, w)."""
        cells = dense["cells"]
        best, labels = cells[5:].max(0)
        labels = labels.flatten()
        scores = (cells[0] ** _SCORE_POWERS[0] * best ** _SCORE_POWERS[1]).flatten()
        boxes = widened(_boxes(cells[None])[0].flatten(0, 1).clamp(0, 1))
        boxes = boxes * sides(height, width, boxes)
        kept = (scores > _LEAST_SCORE).nonzero()[:, 0]
        kept = kept[nms(boxes[kept], scores[kept], labels[kept], _NMS_IOU)]
        return {"boxes": boxes[kept], "labels": labels[kept], "scores": scores[kept]}

    def _losses(self, image: Tensor, target: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Losses of one picture: each box is assigned to the cell that holds its centre."""
        cells = self.dense(image[None])["cells"][0]
        height, width = image.shape[-2:]
        truth = widened(target["boxes"].to(cells))
        truth = truth / sides(height, width, truth)
        rows, columns = cells.shape[-2:]
        centres = (truth[:, :2] + truth[:, 2:]) / 2
        column = (centres[:, 0] * columns).long().clamp(0, columns - 1)
        row = (centres[:, 1] * rows).long().clamp(0, rows - 1)
        objects = torch.zeros_like(cells[0])
        objects[row, column] = 1
        probability = cells[0].clamp(_LEAST, 1 - _LEAST)
        count = max(1, len(truth))
        boxes = _boxes(cells[None])[0, row, column]
        classes = _log_classes(cells[None])[0, row, column]
        return {
            "objectness": F.binary_cross_entropy(probability, objects, reduction="sum") / count,
            "boxes": (1 - paired_iou(boxes, truth)).sum() / count,
            "classes": -classes.gather(1, target["labels"].to(cells.device)[:, None]).sum() / count,
        }
