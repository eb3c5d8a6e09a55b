"""Object detectors of transformers, with a class and a box for each query (DETR, RT-DETR, YOLOS)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from npp.tasks.boxes import area, corners_of, paired_iou, sides
from npp.tasks.dense_detector import Dense, DenseDetector
from npp.tasks.divergence import class_divergence
from npp.tasks.input_format import InputFormat, Prepared

_BACKGROUND = -1  # index of the class for no object, in a softmax
_RIM = 0.5  # pixels added around compared boxes, so that a box without area overlaps itself


def _everywhere(output: Any) -> tuple[Tensor, Tensor]:
    """Logits and boxes of all places of the encoder, for a detector that chooses its queries among them.

    RT-DETR and similar ones decode the places with the best scores, whose order changes with the picture. The
    result has the decoder's output for chosen places and the encoder's for others, so that the same
    places are compared on both pictures.
    """
    logits, boxes = output.enc_outputs_class, output.enc_outputs_coord_logits.sigmoid()
    indices = logits.amax(-1).topk(output.logits.shape[1], dim=1).indices[..., None]
    return (
        logits.scatter(1, indices.expand_as(output.logits), output.logits),
        boxes.scatter(1, indices.expand_as(output.pred_boxes), output.pred_boxes),
    )


class QueryDetector(DenseDetector):
    """A detector of transformers behind the interface of :class:`npp.tasks.Detector`.

    Classes either share a softmax whose last class stands for no object (DETR, YOLOS), or have a sigmoid each
    (RT-DETR, Deformable DETR); the number of logits tells which. Labels are the model's own, from 0.

    Args:
        model: a ``...ForObjectDetection``.
        format: its input format.
    """

    def __init__(self, model: nn.Module, format: InputFormat) -> None:  # noqa: A002
        super().__init__()
        config: Any = model.config
        self.class_count = int(config.num_labels)
        #: Name of unused labels: DETR uses COCO's ids, whose gaps have this name, 0 included.
        self.says_category_ids = dict(config.id2label or {}).get(0) == "N/A"
        self.prepared = Prepared(model, format)

    def _has_background(self, logits: Tensor) -> bool:
        """Whether the last logit is that for no object."""
        return logits.shape[-1] == self.class_count + 1

    def dense(self, images: Tensor) -> Dense:
        """The dense output for pictures (N, 3, H, W), boxes x1, y1, x2, y2 in pixels of the input.

        It holds ``logits`` (N, Q, C) and ``boxes`` (N, Q, 4) of the queries, with no object as the last class
        if the detector has it. A detector that chooses its queries by the picture also has ``place_logits``
        and ``place_boxes`` of all places to choose from.
        """
        output = self.prepared(images)
        rows, columns = self.prepared.fit(*images.shape[-2:]).size
        boxes = corners_of(output.pred_boxes.float())
        pixels = sides(rows, columns, boxes)
        dense = {"logits": output.logits.float(), "boxes": boxes * pixels}
        if getattr(output, "enc_topk_logits", None) is not None:
            logits, boxes = _everywhere(output)
            dense |= {"place_logits": logits.float(), "place_boxes": corners_of(boxes.float()) * pixels}
        return dense

    def divergence(self, clean: Dense, now: Dense) -> Tensor:
        """Change (N,) of all queries or places: the KL of the classes and 1 - IoU of the boxes, summed.

        Boxes are weighted by the probability of an object on the clean picture. KL is in nats.
        """
        which = "place_" if "place_logits" in clean else ""
        before, after = clean[f"{which}logits"], now[f"{which}logits"]
        background = _BACKGROUND if self._has_background(before) else None
        classes, weight = class_divergence(before, after, background)
        rim = weight.new_tensor([-_RIM, -_RIM, _RIM, _RIM])
        boxes = 1 - paired_iou(clean[f"{which}boxes"] + rim, now[f"{which}boxes"] + rim)
        return (classes + weight * boxes).sum(1)

    def _detected(self, dense: Dense, height: int, width: int) -> dict[str, Tensor]:
        """Detections of one picture, from ``logits`` (Q, C) and ``boxes`` (Q, 4)."""
        logits, boxes = dense["logits"], dense["boxes"]
        if self._has_background(logits):
            scores, labels = logits.softmax(-1)[:, :-1].max(-1)
            scores, order = scores.sort(descending=True)
            labels, boxes = labels[order], boxes[order]
        else:
            scores, pairs = logits.sigmoid().flatten().topk(len(logits))  # of all pairs of query and class
            labels, boxes = pairs % logits.shape[1], boxes[pairs // logits.shape[1]]
        boxes = self.prepared.fit(height, width).boxes_on_picture(boxes, height, width)
        solid = area(boxes) > 0
        return {"boxes": boxes[solid], "labels": labels[solid], "scores": scores[solid]}

    def _losses(self, image: Tensor, target: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The model's own loss of one picture, after its matching."""
        height, width = image.shape[-2:]
        fit = self.prepared.fit(height, width)
        boxes = fit.unit_boxes_on_input(target["boxes"].to(image), height, width)
        truth = {"class_labels": target["labels"].to(image.device), "boxes": boxes}
        loss = self.prepared.network(self.prepared.prepare(image[None]), labels=[truth]).loss
        return {"loss": loss.reshape(())}
