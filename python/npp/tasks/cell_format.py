"""The format of the output of a detector of cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from npp.checks import check_known_settings, flags, number, one_of, wholes

BOX_FORMATS = ("xyxy", "cxcywh")
JOINED_LAYOUTS = ("auto", "cells_first", "cells_last")
BACKGROUNDS = ("first", "last")
#: Number of pairs of cell and class with the highest scores that become candidates for detections.
CANDIDATES = 2000


@dataclass(frozen=True)
class CellFormat:
    """The outputs of a network of cells, and how detections are made of them.

    Attributes:
        boxes, scores: names of the outputs (N, K, 4), in pixels of the network's input, and (N, K, C), each
            class's probability by itself. Other outputs are ignored.
        objectness: name of an output (N, K, 1) by which scores are multiplied, or ``None``.
        joined: name of one output that holds both, (N, K, 4 + C) or (N, 4 + C, K); replaces ``boxes`` and
            ``scores``. Many exports of YOLO call it ``output0``.
        joined_objectness: whether the fifth number of ``joined`` is the objectness.
        joined_layout: ``"cells_first"`` for ``joined`` (N, K, 4 + C), ``"cells_last"`` for (N, 4 + C, K);
            ``"auto"`` takes the longer side for the cells, which is wrong for small inputs with many classes.
        box_format: ``"xyxy"`` for x1, y1, x2, y2, ``"cxcywh"`` for centre and size.
        normalised: whether boxes are fractions of the input's sides, 0 to 1, instead of pixels.
        logits: whether scores and objectness are logits.
        background: ``"first"`` or ``"last"``: the place of the background class among the scores, in
            networks with one softmax over all classes (DETR, SSD); ``None`` without a background class.
        peaks: whether only cells that are the maximum of their 3x3 neighbours in their class's map are
            detections; for networks of one heat map with equal strides, such as CenterNet.
        nms_iou: boxes of one class with a larger IoU count as the same, from 0 to 1; 1 suppresses nothing.
        least_score: least score of a detection, from 0 to 1.
        limit: most detections of a picture.

    Raises:
        ValueError: a value is none of these.
    """

    boxes: str = "boxes"
    scores: str = "scores"
    objectness: str | None = None
    joined: str | None = None
    joined_objectness: bool = False
    joined_layout: str = "auto"
    box_format: str = "xyxy"
    normalised: bool = False
    logits: bool = False
    background: str | None = None
    peaks: bool = False
    nms_iou: float = 0.65
    least_score: float = 0.001
    limit: int = 100

    def __post_init__(self) -> None:
        flags(self, "joined_objectness", "normalised", "logits", "peaks")
        for name in ("nms_iou", "least_score"):
            number(name, getattr(self, name), 0, 1)
        wholes(self, 1, CANDIDATES, "limit")
        one_of("box_format", self.box_format, BOX_FORMATS)
        one_of("joined_layout", self.joined_layout, JOINED_LAYOUTS)
        if self.background is not None:
            one_of("background", self.background, BACKGROUNDS)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> CellFormat:
        """A format from its attributes by name.

        Raises:
            ValueError: a name is no attribute, or a value is wrong.
        """
        check_known_settings("cells has no setting", settings, [field.name for field in fields(cls)])
        return cls(**settings)
