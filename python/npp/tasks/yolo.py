"""Networks of Ultralytics (YOLOv5u to YOLO26): detectors and classifiers. The package is under AGPL-3.0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from npp.extras import require
from npp.tasks.cell_detector import CellDetector
from npp.tasks.cell_format import CellFormat
from npp.tasks.input_format import InputFormat, Prepared

_FILL = 114 / 255  # Ultralytics' gray
_SIZES = {"detect": 640, "classify": 224}
_LOSSES = ("box", "cls", "dfl")


def is_network(network: nn.Module) -> bool:
    """Whether a network is a ``YOLO`` or the whole model inside one, and not just a layer."""
    return hasattr(network, "task") or hasattr(network, "stride") or _head(network) is not None


def _head(network: nn.Module) -> nn.Module | None:
    """The last layer of a model, which is built from a list of layers."""
    layers = getattr(network, "model", None)
    return layers[-1] if isinstance(layers, nn.Sequential) else None


def _model(network: nn.Module) -> Any:
    """The model inside a ``YOLO``, or the model itself."""
    return network if _head(network) is not None else network.model


def load(rest: str) -> tuple[nn.Module, InputFormat]:
    """A model by its weights or by a YAML file with its layers, and its input format.

    Raises:
        ValueError: the model is neither a detector nor a classifier.
    """
    library = require("ultralytics", f"ultralytics:{rest}")
    yolo = library.YOLO(rest)
    if yolo.task not in _SIZES:
        raise ValueError(f"ultralytics:{rest} must have the task detect or classify, not {yolo.task}")
    size = yolo.overrides.get("imgsz") or _SIZES[yolo.task]
    model = yolo.model.float()
    return model, format_of(model).changed({"size": size})


def format_of(network: nn.Module) -> InputFormat:
    """The input as Ultralytics makes it: a classifier's as it is, a detector's in a gray frame of whole
    strides."""
    head: Any = _head(_model(network))
    stride = getattr(head, "stride", None)
    if stride is None:
        return InputFormat()
    return InputFormat(resize="letterbox", place="centre", fill=_FILL, multiple=int(stride.max()))


class _ClassLogits(nn.Module):
    """A classifier with logits as its output."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, C) of pictures (N, 3, H, W), which the model returns with probabilities in eval mode."""
        output = self.model(images)
        logits: Tensor = output[1] if isinstance(output, (tuple, list)) else output
        return logits


def plain_network(network: nn.Module) -> nn.Module:
    """A classifier with its logits as the output.

    Raises:
        ValueError: the model is no classifier.
    """
    model = _model(network)
    if type(_head(model)).__name__ != "Classify":
        raise ValueError(f"model must be a classifier of ultralytics, not {type(model).__name__}")
    return _ClassLogits(model)


def _untouched(cells: Tensor, *args: Any) -> Tensor:
    """All cells (N, K, 4 + C) of a head that would select some of them."""
    return cells


class _Cells(nn.Module):
    """A detection model with the boxes and the probabilities of all cells as its output."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        head: Any = _head(model)
        self.chooses = bool(getattr(head, "end2end", False))
        if self.chooses:
            head.postprocess = _untouched

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """``boxes`` (N, K, 4) in pixels of the input and ``scores`` (N, K, C)."""
        decoded = self.model(images)[0]
        cells = decoded if self.chooses else decoded.transpose(1, 2)
        return {"boxes": cells[..., :4], "scores": cells[..., 4:]}


class Yolo(CellDetector):
    """A detection model of Ultralytics behind the interface of :class:`npp.tasks.Detector`.

    Labels are the model's classes, from 0. A head without suppression (YOLO26) gets none here either.

    Args:
        model: a ``DetectionModel`` that nobody else uses.
        format: of its input, whose sides must be whole multiples of the model's largest stride.
    """

    def __init__(self, model: nn.Module, format: InputFormat) -> None:  # noqa: A002
        cells = _Cells(model)
        boxes = "xyxy" if cells.chooses else "cxcywh"
        overlap = 1.0 if cells.chooses else 0.7
        cell_format = CellFormat(box_format=boxes, nms_iou=overlap, least_score=0.001, limit=300)
        super().__init__(Prepared(cells, format), cell_format)
        head: Any = _head(model)
        self.class_count = int(head.nc)
        defaults = require("ultralytics.cfg", "ultralytics").get_cfg()
        # The weights of the losses, which a model from a file lacks.
        model.args = defaults

    def _losses(self, image: Tensor, target: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``box``, ``cls`` and ``dfl`` of one picture with the model's own assignment of boxes to cells.

        Versions of the package that return no more give ``loss``, their sum.
        """
        model: Any = self.prepared.network.model
        height, width = image.shape[-2:]
        fit = self.prepared.fit(height, width)
        inputs = self.prepared.prepare(image[None])
        batch = {
            "img": inputs,
            "batch_idx": torch.zeros(len(target["boxes"]), device=image.device),
            "cls": target["labels"].to(image)[:, None],
            "bboxes": fit.unit_boxes_on_input(target["boxes"].to(image), height, width),
        }
        # Created for each call, for it keeps tables on the device of its creation.
        losses: Tensor = model.init_criterion()(model(inputs), batch)[0].reshape(-1)
        return dict(zip(_LOSSES if len(losses) > 1 else ("loss",), losses.unbind(), strict=True))


def detector(network: nn.Module, format: InputFormat) -> nn.Module:  # noqa: A002
    """The model as a detector.

    Raises:
        ValueError: the model is no detector.
    """
    model = _model(network)
    if type(model).__name__ != "DetectionModel":
        raise ValueError(f"model must be a detection model of ultralytics, not {type(model).__name__}")
    return Yolo(model, format)
