"""Object detectors of transformers: a class and a box for each of some queries (DETR, RT-DETR, YOLOS)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from npp.tasks.boxes import area, centred, corners_of, paired_iou
from npp.tasks.divergence import class_divergence
from npp.tasks.input_format import InputFormat, Prepared
from npp.tasks.training_losses import mean_losses

Dense = dict[str, Tensor]
_NOTHING = -1  # the place of the class for no object, under a softmax
_RIM = 0.5  # pixels around each box when two are compared: one without area overlaps itself, too


def _everywhere(output: Any) -> tuple[Tensor, Tensor]:
    """Logits and boxes of every place of the encoder, of a detector that chooses queries among them.

    RT-DETR and its kin decode the places with the best scores, whose order changes with the picture. Where a
    place is chosen this is what the decoder says of it, elsewhere what the encoder says: so the same place
    is compared on both pictures.
    """
    logits, boxes = output.enc_outputs_class, output.enc_outputs_coord_logits.sigmoid()
    chosen = logits.amax(-1).topk(output.logits.shape[1], dim=1).indices[..., None]
    return (
        logits.scatter(1, chosen.expand_as(output.logits), output.logits),
        boxes.scatter(1, chosen.expand_as(output.pred_boxes), output.pred_boxes),
    )


class QueryDetector(nn.Module):
    """A detector of transformers behind the interface of :class:`npp.tasks.Detector`.

    Classes are either under one softmax whose last one stands for no object (DETR, YOLOS) or have a sigmoid
    each (RT-DETR, Deformable DETR); the number of logits tells. Labels are the model's own, from 0.

    Args:
        model: a ``...ForObjectDetection``.
        format: of its input.
    """

    def __init__(self, model: nn.Module, format: InputFormat) -> None:  # noqa: A002
        super().__init__()
        config: Any = model.config
        self.class_count = int(config.num_labels)
        #: DETR and its kin are trained with COCO's ids, whose gaps they name so, and 0 is the first of them.
        self.says_category_ids = dict(config.id2label or {}).get(0) == "N/A"
        self.prepared = Prepared(model, format)

    def _has_nothing(self, logits: Tensor) -> bool:
        """Whether the last logit stands for no object."""
        return logits.shape[-1] == self.class_count + 1

    def dense(self, images: Tensor) -> Dense:
        """What it says of pictures (N, 3, H, W), boxes x1, y1, x2, y2 in pixels of the input.

        ``logits`` (N, Q, C) and ``boxes`` (N, Q, 4) of the queries, with no object as the last class if the
        detector has it; of a detector that chooses its queries by the picture also ``place_logits`` and
        ``place_boxes`` of all places to choose from.
        """
        output = self.prepared(images)
        rows, columns = self.prepared.fit(*images.shape[-2:]).size
        sides = torch.tensor([columns, rows, columns, rows], dtype=torch.float32, device=images.device)
        dense = {"logits": output.logits.float(), "boxes": corners_of(output.pred_boxes.float()) * sides}
        if getattr(output, "enc_topk_logits", None) is not None:
            logits, boxes = _everywhere(output)
            dense |= {"place_logits": logits.float(), "place_boxes": corners_of(boxes.float()) * sides}
        return dense

    def divergence(self, clean: Dense, now: Dense) -> Tensor:
        """Change of all queries or places (N,): KL of the classes, and 1 - IoU of the boxes.

        A box counts as far as the clean picture had something there. KL is in nats; summed over places.
        """
        which = "place_" if "place_logits" in clean else ""
        before, after = clean[f"{which}logits"], now[f"{which}logits"]
        background = _NOTHING if self._has_nothing(before) else None
        classes, weight = class_divergence(before, after, background)
        rim = weight.new_tensor([-_RIM, -_RIM, _RIM, _RIM])
        boxes = 1 - paired_iou(clean[f"{which}boxes"] + rim, now[f"{which}boxes"] + rim)
        return (classes + weight * boxes).sum(1)

    def _detected(self, logits: Tensor, boxes: Tensor, size: Sequence[int]) -> dict[str, Tensor]:
        """Of one picture, from logits (Q, C) and boxes (Q, 4)."""
        if self._has_nothing(logits):
            scores, labels = logits.softmax(-1)[:, :-1].max(-1)
            scores, order = scores.sort(descending=True)
            labels, boxes = labels[order], boxes[order]
        else:
            scores, places = logits.sigmoid().flatten().topk(len(logits))
            labels, boxes = places % logits.shape[1], boxes[places // logits.shape[1]]
        fit = self.prepared.fit(size[0], size[1])
        found = fit.boxes_on_picture(boxes, size[0], size[1])
        solid = area(found) > 0
        return {"boxes": found[solid], "labels": labels[solid], "scores": scores[solid]}

    def detections(self, dense: Dense, images: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """``boxes`` in pixels of the picture, ``labels``, ``scores``, the surest first, of each picture.

        Args:
            dense: of these pictures.
            images: (3, H, W) each; only their sizes count.
        """
        sizes = [image.shape[-2:] for image in images]
        return [self._detected(*each) for each in zip(dense["logits"], dense["boxes"], sizes, strict=True)]

    def _true(self, image: Tensor, target: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A target as the model wants it: boxes of centre and size, in parts of the input's sides."""
        height, width = image.shape[-2:]
        fit = self.prepared.fit(height, width)
        rows, columns = fit.size
        boxes = fit.boxes_on_input(target["boxes"].to(image), height, width)
        sides = boxes.new_tensor([columns, rows, columns, rows])
        return {"class_labels": target["labels"].to(image.device), "boxes": centred(boxes / sides)}

    def losses(self, images: Sequence[Tensor], targets: Sequence[Mapping[str, Tensor]]) -> Dense:
        """The model's own loss after its matching, mean over pictures (3, H, W) of any sizes."""
        model = self.prepared.network
        each = [
            model(self.prepared.prepare(image[None]), labels=[self._true(image, target)]).loss
            for image, target in zip(images, targets, strict=True)
        ]
        return mean_losses([{"loss": loss.reshape(())} for loss in each])

    def forward(self, images: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """A dict of detections for each picture (3, H, W)."""
        return [found for image in images for found in self.detections(self.dense(image[None]), [image])]
