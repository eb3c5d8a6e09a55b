"""Detectors that output a box and scores for each of many cells, as exported files do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isqrt

import torch
from torch import Tensor
from torch.nn import functional as F

from npp.codec.sample_range import sample_range
from npp.tasks.boxes import area, check_labels, corners_of, iou_matrix, nms, paired_iou, sides
from npp.tasks.cell_format import CANDIDATES, CellFormat
from npp.tasks.dense_detector import Dense, DenseDetector
from npp.tasks.divergence import binary_kl
from npp.tasks.input_format import Prepared
from npp.torch_state import has_readable_values, widened

_DETECTION_NUMBERS = 6  # numbers in a finished detection: corners, score, label
_SAME_OBJECT = 0.5  # cells whose boxes have a larger IoU with a true one may detect it
_LEAST = 1e-6
_SCORE_TOLERANCE = 1e-3
_LARGEST_PART = 2.0  # fractions of a side beyond which boxes cannot be normalised
_BELIEVED = 0.3  # score of a cell that surely has an object
_LEAST_SIDE = 32  # least side of an input on which boxes in pixels exceed that
_CLASSES = {None: slice(None), "first": slice(1, None), "last": slice(-1)}


class CellDetector(DenseDetector):
    """A network of cells behind the interface of :class:`npp.tasks.Detector`.

    Labels are the indices of the classes, from 0.

    Args:
        prepared: a network for pictures of any size, with several output tensors.
        format: the meaning of the outputs.
        names: names of the outputs if the network returns a sequence; ``None`` if it returns a dict.
    """

    _format_is_known = False

    def __init__(
        self,
        prepared: Prepared,
        format: CellFormat,  # noqa: A002
        names: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.prepared = prepared
        self.format = format
        self.names = names
        for name in self._output_names():
            if names is not None and name not in names:
                raise ValueError(f"the network has no output {name!r}; cells can name {', '.join(names)}")

    def _output_names(self) -> list[str]:
        """Names of the outputs that are used."""
        cell_format = self.format
        names = (
            [cell_format.boxes, cell_format.scores] if cell_format.joined is None else [cell_format.joined]
        )
        return names if cell_format.objectness is None else [*names, cell_format.objectness]

    def _outputs(self, images: Tensor) -> Dense:
        """The used output tensors by name."""
        output = self.prepared(images)
        if self.names is not None:
            tensors = [output] if isinstance(output, Tensor) else list(output)
            output = dict(zip(self.names, tensors, strict=True))
        elif isinstance(output, Tensor) and self.format.joined is not None:
            output = {self.format.joined: output}
        names = self._output_names()
        if not isinstance(output, Mapping) or not set(names) <= set(output):
            description = f"{', '.join(output)}" if isinstance(output, Mapping) else type(output).__name__
            raise ValueError(
                f"the network must give tensors named {', '.join(names)}, not {description}; wrap one that "
                "gives more in a module whose forward picks them"
            )
        return {name: output[name].float() for name in names}

    def _rows(self, joined: Tensor) -> Tensor:
        """The joined output as (N, K, 4 + C)."""
        layout = self.format.joined_layout
        if joined.ndim != 3:
            shape = tuple(joined.shape)
            raise ValueError(f"{self.format.joined} must be (N, K, 4 + C) or (N, 4 + C, K), not {shape}")
        if layout == "auto":
            if joined.shape[1] == joined.shape[2]:
                raise ValueError(
                    f"{self.format.joined} has two sides of {joined.shape[1]}; cells must say which are the "
                    "cells (joined_layout: cells_first or cells_last)"
                )
            layout = "cells_last" if joined.shape[1] < joined.shape[2] else "cells_first"
        return joined.transpose(1, 2) if layout == "cells_last" else joined

    def _split(self, joined: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Boxes, scores and objectness from the joined output."""
        cells = self._rows(joined)
        if cells.shape[-1] == _DETECTION_NUMBERS and _are_detections(cells):
            raise ValueError(
                f"{self.format.joined} holds boxes already chosen (x1, y1, x2, y2, score, label), not the "
                "scores of all cells: export the network without the choosing of boxes (nms, end2end)"
            )
        if not self.format.joined_objectness:
            return cells[..., :4], cells[..., 4:], None
        return cells[..., :4], cells[..., 5:], cells[..., 4:5]

    def dense(self, images: Tensor) -> Dense:
        """``boxes`` (N, K, 4) x1, y1, x2, y2 in pixels of the input, ``scores`` (N, K, C), of all cells.

        Raises:
            ValueError: the output of the network has another form.
        """
        outputs, cell_format = self._outputs(images), self.format
        objectness = None if cell_format.objectness is None else outputs[cell_format.objectness]
        if cell_format.joined is None:
            boxes, scores = outputs[cell_format.boxes], outputs[cell_format.scores]
        else:
            boxes, scores, joined_objectness = self._split(outputs[cell_format.joined])
            objectness = joined_objectness if objectness is None else objectness
        scores = self._probabilities(scores)
        if cell_format.logits:
            objectness = None if objectness is None else widened(objectness).sigmoid()
        if objectness is not None:
            scores = scores * objectness.reshape(*objectness.shape[:2], 1)
        _check_cells(boxes, scores, len(images), cell_format)
        return {"boxes": self._in_pixels(boxes, scores, images.shape[-2:]), "scores": scores}

    def _probabilities(self, scores: Tensor) -> Tensor:
        """Probabilities (N, K, C) of the classes, without the background."""
        cell_format = self.format
        if cell_format.logits:
            wide = widened(scores)
            scores = wide.sigmoid() if cell_format.background is None else wide.softmax(-1)
        return scores[..., _CLASSES[cell_format.background]]

    def _in_pixels(self, boxes: Tensor, scores: Tensor, size: Sequence[int]) -> Tensor:
        """Boxes x1, y1, x2, y2 in pixels of the input.

        Raises:
            ValueError: the boxes are clearly in another format than the configured one.
        """
        cell_format = self.format
        rows, columns = self.prepared.fit(size[0], size[1]).size
        if not self._format_is_known and has_readable_values(boxes):
            self._check_format(boxes[scores.amax(-1) > _BELIEVED], rows, columns)
        if cell_format.normalised:
            boxes = boxes * sides(rows, columns, boxes)
        return corners_of(boxes) if cell_format.box_format == "cxcywh" else boxes

    def _check_format(self, believed: Tensor, rows: int, columns: int) -> None:
        """Raises ValueError unless boxes (K, 4) of cells that surely have an object are in the format.

        Other boxes may be anything. The check is repeated until it has succeeded on two different boxes.
        """
        if len(believed) < 2 or bool((believed == believed[0]).all()):
            return
        cell_format, most = self.format, float(believed.max())
        if not cell_format.normalised and min(rows, columns) >= _LEAST_SIDE and 0 < most <= _LARGEST_PART:
            raise ValueError(
                f"boxes must be in pixels of the input, {columns}x{rows}, not {most:.3g} at most; "
                "where they are parts of its sides, cells must say so (normalised: true)"
            )
        turned = float((believed[:, 2:] < believed[:, :2]).any(-1).float().mean())
        if cell_format.box_format == "xyxy" and turned > 0.5:
            raise ValueError(
                f"boxes must be x1, y1, x2, y2, and {turned:.0%} have x2 < x1 or y2 < y1; where they "
                "are centre and size, cells must say so (box_format: cxcywh)"
            )
        self._format_is_known = True

    def divergence(self, clean: Dense, now: Dense) -> Tensor:
        """Change (N,) of all cells: the KL of each class's score and the change of boxes, summed over cells.

        KL is in nats. The change of a box is 1 - IoU, weighted by the best score on the clean picture.
        """
        scores = binary_kl(clean["scores"], now["scores"]).sum(-1)
        boxes = 1 - paired_iou(clean["boxes"], now["boxes"])
        return (scores + clean["scores"].amax(-1) * boxes).sum(1)

    def _peaks(self, scores: Tensor) -> Tensor:
        """Scores (K, C), set to 0 if a neighbouring cell has a higher score of the class."""
        cells, classes = scores.shape
        maps = scores.T.reshape(classes, *self._grid(cells))
        highest = F.max_pool2d(maps, 3, 1, 1) == maps
        return scores * highest.flatten(1).T

    def _grid(self, cells: int) -> tuple[int, int]:
        """Rows and columns of a single map of this many cells over the input."""
        size = self.prepared.format.size
        if size is not None and None not in size:
            stride = isqrt(size[0] * size[1] // cells)
            if stride and (size[0] // stride) * (size[1] // stride) == cells:
                return size[0] // stride, size[1] // stride
        raise ValueError(
            f"peaks needs an input of fixed size and one map of equal strides, not {cells} cells on {size}"
        )

    def _detected(self, dense: Dense, height: int, width: int) -> dict[str, Tensor]:
        """Detections of one picture, from ``boxes`` (K, 4) and ``scores`` (K, C)."""
        scores = self._peaks(dense["scores"]) if self.format.peaks else dense["scores"]
        best, pairs = scores.flatten().topk(min(CANDIDATES, scores.numel()))  # of all pairs of cell and class
        pairs = pairs[best > self.format.least_score]
        best = best[: len(pairs)]
        cells, labels = pairs // scores.shape[1], pairs % scores.shape[1]
        fit = self.prepared.fit(height, width)
        boxes = fit.boxes_on_picture(dense["boxes"][cells], height, width)
        solid = area(boxes) > 0
        boxes, best, labels = boxes[solid], best[solid], labels[solid]
        kept = torch.arange(len(best), device=best.device)  # detections are sorted by score
        if self.format.nms_iou < 1:
            kept = nms(boxes, best, labels, self.format.nms_iou)
        kept = kept[: self.format.limit]
        return {"boxes": boxes[kept], "labels": labels[kept], "scores": best[kept]}

    def _losses(self, image: Tensor, target: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Losses of one picture: each true box is assigned to the cell whose box fits it best.

        Other cells whose boxes fit it well do not count for that class.
        """
        dense = self.dense(image[None])
        boxes, scores = dense["boxes"][0], dense["scores"][0].clamp(_LEAST, 1 - _LEAST)
        height, width = image.shape[-2:]
        fit = self.prepared.fit(height, width)
        truth = fit.boxes_on_input(target["boxes"].to(boxes), height, width)
        labels = target["labels"].to(boxes.device)
        check_labels("targets", labels, scores.shape[1])
        overlaps = iou_matrix(boxes.detach(), truth)
        class_targets, weights = torch.zeros_like(scores), torch.ones_like(scores)
        for index, label in enumerate(labels.tolist()):
            weights[overlaps[:, index] > _SAME_OBJECT, label] = 0
        best = overlaps.argmax(0) if len(truth) else labels
        class_targets[best, labels] = 1
        weights[best, labels] = 1
        count = max(1, len(truth))
        entropy = F.binary_cross_entropy(scores, class_targets, reduction="none")
        return {
            "scores": (entropy * weights).sum() / count,
            "boxes": (1 - paired_iou(boxes[best], truth)).sum() / count,
        }


def _are_detections(cells: Tensor) -> bool:
    """Whether rows of six numbers (N, K, 6) are finished detections with scores and labels.

    Their labels are whole numbers, and scores descend or labels exceed 1, unlike probabilities of cells."""
    scores, labels = cells[..., 4], cells[..., 5]
    descend = (scores[:, 1:] <= scores[:, :-1]).all()
    return bool((labels == labels.round()).all() & (descend | (labels > 1).any()))


def _check_cells(boxes: Tensor, scores: Tensor, count: int, cell_format: CellFormat) -> None:
    """Raises ValueError unless these are boxes (N, K, 4) and probabilities (N, K, C)."""
    if (
        boxes.ndim != 3
        or scores.ndim != 3
        or boxes.shape != (count, scores.shape[1], 4)
        or len(scores) != count
    ):
        raise ValueError(
            "the network must give boxes (N, K, 4) and scores (N, K, C), not "
            f"{tuple(boxes.shape)} and {tuple(scores.shape)} for {count} pictures"
        )
    least, most = sample_range(scores)
    if least < -_SCORE_TOLERANCE or most > 1 + _SCORE_TOLERANCE:
        layout = ""
        if cell_format.joined is not None:
            reading = f"{cell_format.joined} was read as {scores.shape[1]} cells of {scores.shape[2]} classes"
            layout = f"; {reading}, which joined_layout may change"
        raise ValueError(
            f"scores must be probabilities, not {least:.3g} to {most:.3g}; "
            f"where they are logits, cells must say so (logits: true){layout}"
        )
