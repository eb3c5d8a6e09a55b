"""How the output of a network of many cells is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from npp.checks import check_known_settings, flags, number, one_of, wholes

BOX_FORMATS = ("xyxy", "cxcywh")
JOINED_LAYOUTS = ("auto", "cells_first", "cells_last")
BACKGROUNDS = ("first", "last")
#: Pairs of cell and class, those of the highest scores, of which detections are made.
CANDIDATES = 2000


@dataclass(frozen=True)
class CellFormat:
    """What a network of cells puts out, and how detections are made of it.

    Attributes:
        boxes, scores: names of the outputs (N, K, 4), in pixels of the network's input, and (N, K, C), each
            class's probability by itself. Other outputs are passed over.
        objectness: name of an output (N, K, 1) that scores are still to be multiplied with, or ``None``.
        joined: name of one output that holds both, (N, K, 4 + C) or (N, 4 + C, K); replaces ``boxes`` and
            ``scores``. Many exports of YOLO call it ``output0``.
        joined_objectness: the fifth number of ``joined`` is the objectness.
        joined_layout: ``"cells_first"`` for ``joined`` (N, K, 4 + C), ``"cells_last"`` for (N, 4 + C, K);
            ``"auto"`` takes the longer side for the cells, which is wrong for small inputs of many classes.
        box_format: ``"xyxy"`` for x1, y1, x2, y2, ``"cxcywh"`` for centre and size.
        normalised: boxes are parts of the input's sides, 0 to 1, instead of pixels.
        logits: scores and objectness are logits.
        background: ``"first"`` or ``"last"``: where the background class stands among the scores, as
            networks with one softmax over all classes have it (DETR, SSD); ``None`` where there is none.
        peaks: only cells that are the maximum of their 3x3 neighbours in their class's map are detections;
            for networks of one heat map with equal strides, such as CenterNet.
        nms_iou: boxes of one class that overlap by more than this are the same, from 0 to 1; 1 suppresses
            nothing.
        least_score: of a detection, from 0 to 1.
        limit: most detections of a picture.

    Raises:
        ValueError: a value outside of these.
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
            ValueError: a name that is none of the attributes, or a wrong value.
        """
        check_known_settings("cells has no setting", settings, [field.name for field in fields(cls)])
        return cls(**settings)
