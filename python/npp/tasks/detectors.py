"""The interface of detectors for the detection task, and loading of detectors."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from npp.files import named_path
from npp.tasks.boxes import iou_matrix
from npp.tasks.cell_detector import CellDetector
from npp.tasks.cell_format import CellFormat
from npp.tasks.dense_detector import Dense
from npp.tasks.divergence import dense_divergence
from npp.tasks.fastestdet import FastestDet
from npp.tasks.frozen import plain_torch, private_copy
from npp.tasks.input_format import InputFormat, InputSettings
from npp.tasks.name_prefixes import adapter_of_name, adapter_of_network
from npp.tasks.networks import own_network, private_network
from npp.tasks.onnx_files import load_onnx, prepared_for
from npp.tasks.python_objects import made_by_function, names_function
from npp.tasks.training_losses import TorchvisionDetector


class Detector(Protocol):
    """The interface of detectors; boxes are x1, y1, x2, y2 in pixels of the picture.

    ``dense(images)``, from (N, 3, H, W) to tensors (N, ...) by name, and ``divergence(clean, now)`` of two
    such dicts, (N,), are optional: the dense output and its change. So are
    ``class_count``, the number of classes, whose labels are from 0 to ``class_count - 1``, and
    ``says_category_ids``, whether labels are ids of categories as COCO's annotations have them.
    """

    def __call__(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        """``boxes`` (K, 4), ``labels`` (K,), ``scores`` (K,) of each picture (3, H, W) in [0, 1]."""

    def losses(self, images: list[Tensor], targets: list[dict[str, Tensor]]) -> Mapping[str, Tensor]:
        """Losses of pictures with ``boxes`` (K, 4) and ``labels`` (K,) each, scalars by name.

        The network is in eval mode. One picture is given at a time; a target may have no boxes.
        """


def has_dense_head(model: nn.Module) -> bool:
    """Whether a model is built like torchvision's FCOS, RetinaNet and SSD."""
    return all(
        hasattr(model, attribute) for attribute in ("transform", "backbone", "head", "postprocess_detections")
    )


def _loss_inputs(detector: Any) -> list[str] | None:
    """Further arguments of ``compute_loss`` besides targets, the head's output and anchors.

    ``None`` if it is unknown how the detector computes its losses.
    """
    is_torchvisions = type(detector).forward.__module__.startswith("torchvision.models.detection.")
    if not is_torchvisions or not hasattr(detector, "compute_loss"):
        return None
    further = list(inspect.signature(detector.compute_loss).parameters)[3:]
    return further if further in ([], ["num_anchors_per_level"], ["matched_idxs"]) else None


def _matched(detector: Any, target: Mapping[str, Tensor], anchors: Tensor) -> Tensor:
    """Index (A,) of the box that each anchor (A, 4) is assigned to; below 0 for none."""
    if not len(target["boxes"]):
        return torch.full((len(anchors),), -1, dtype=torch.int64, device=anchors.device)
    indices: Tensor = detector.proposal_matcher(iou_matrix(target["boxes"], anchors))
    return indices


class _OwnDense(TorchvisionDetector):
    """A detector of torchvision's interface that has ``dense`` and ``divergence`` of its own."""

    def dense(self, images: Tensor) -> Any:
        """The detector's own dense output for pictures (N, 3, H, W), tensors (N, ...) by name."""
        detector: Any = self.detector
        return detector.dense(images)

    def divergence(self, clean: Dense, now: Dense) -> Any:
        """Change (N,) of the dense output, as the detector itself measures it."""
        detector: Any = self.detector
        return detector.divergence(clean, now)


class OneStage(TorchvisionDetector):
    """A one-stage detector of torchvision's interface, with a dense output.

    Args:
        detector: FCOS, RetinaNet, SSD or one with the same parts.
    """

    def __init__(self, detector: nn.Module) -> None:
        super().__init__(detector)
        # Hard negative mining means a softmax over classes and background, as in SSD.
        self._background = 0 if hasattr(detector, "neg_to_pos_ratio") else None

    def dense(self, images: Tensor) -> Dense:
        """Logits (N, A, K), box regression (N, A, 4) and, with FCOS, centre-ness (N, A, 1) of all anchors."""
        detector: Any = self.detector
        batch, _ = detector.transform(list(images.unbind()))
        dense: Dense = detector.head(self._levels(batch.tensors))
        return dense

    def _levels(self, batch: Tensor) -> list[Tensor]:
        """The backbone's maps (N, C, h, w)."""
        detector: Any = self.detector
        features = detector.backbone(batch)
        return [features] if isinstance(features, Tensor) else list(features.values())

    def losses(self, images: Sequence[Tensor], targets: Sequence[Mapping[str, Tensor]]) -> Any:
        """Losses by name of pictures (3, H, W) with ``boxes`` and ``labels`` each, in eval mode throughout.

        Detectors whose forward pass is not torchvision's own are run in training mode instead.
        """
        detector: Any = self.detector
        further = _loss_inputs(detector)
        if further is None:
            return super().losses(images, targets)
        batch, scaled = detector.transform(list(images), [dict(target) for target in targets])
        levels = self._levels(batch.tensors)
        anchors = detector.anchor_generator(batch, levels)
        more: list[Any] = []
        if further == ["num_anchors_per_level"]:
            more = [[level.shape[2] * level.shape[3] for level in levels]]
        elif further == ["matched_idxs"]:
            more = [[_matched(detector, *pair) for pair in zip(scaled, anchors, strict=True)]]
        return detector.compute_loss(scaled, detector.head(levels), anchors, *more)

    def divergence(self, clean: Dense, now: Dense) -> Tensor:
        """Change (N,) of all anchors: the KL of classes and centre-ness, and the change of boxes.

        The change of a box is the smooth L1 distance of its regression, weighted by the clean scores.
        """
        return dense_divergence(
            classes=(clean["cls_logits"], now["cls_logits"]),
            boxes=(clean["bbox_regression"], now["bbox_regression"]),
            centres=(clean["bbox_ctrness"], now["bbox_ctrness"]) if "bbox_ctrness" in clean else None,
            background=self._background,
        )


def _with_losses(detector: nn.Module) -> nn.Module:
    """The detector with losses, and so with the whole interface."""
    if hasattr(detector, "losses"):
        return detector
    if offers_dense(detector):
        return _OwnDense(detector)
    return OneStage(detector) if has_dense_head(detector) else TorchvisionDetector(detector)


def offers_dense(detector: nn.Module) -> bool:
    """Whether the detector has a dense output and its divergence."""
    return hasattr(detector, "dense") and hasattr(detector, "divergence")


def _of_cells(model: str | nn.Module, cells: CellFormat, settings: InputSettings | None) -> nn.Module:
    names = None
    if isinstance(model, str) and model.startswith("onnx:"):
        network, input_format, names = load_onnx(model.removeprefix("onnx:"))
    elif isinstance(model, str) and names_function(model):
        network, input_format = private_network(model)
    else:
        network, input_format = own_network(model)
    return CellDetector(prepared_for(network, input_format, settings, model), cells, names)


def _of_package(model: str | nn.Module, settings: InputSettings | None) -> nn.Module | None:
    """A detector of one of the supported packages; ``None`` for all others."""
    if isinstance(model, str):
        named = adapter_of_name(model)
        if named is None:
            return None
        adapter, rest = named
        with plain_torch():
            network, input_format = adapter.load(rest)
            return adapter.detector(network, input_format.changed(settings))
    network_adapter = adapter_of_network(model) if isinstance(model, nn.Module) else None
    if network_adapter is None:
        return None
    return network_adapter.detector(private_copy(model), network_adapter.format_of(model).changed(settings))


def resolve_detector(
    model: str | nn.Module,
    settings: InputSettings | None = None,
    cells: Mapping[str, Any] | None = None,
) -> nn.Module:
    """A network with the interface of :class:`Detector` that nobody else uses.

    Args:
        model: a network, ``mmdet:CONFIG[:CHECKPOINT]``, ``transformers:NAME_OR_PATH``,
            ``ultralytics:WEIGHTS_OR_YAML``, ``onnx:PATH``, ``fastestdet:PATH`` (of FastestDet.onnx),
            ``torchvision:NAME[:WEIGHTS]`` or ``python:package.module:function``.
        settings: attributes of :class:`npp.tasks.InputFormat` that replace the network's own.
        cells: attributes of :class:`npp.tasks.CellFormat`, for a file or a network that outputs boxes and
            scores of many cells.

    Raises:
        ValueError: settings are given for a network that resizes pictures itself, or for one that takes a
            normalised batch.
        TypeError: ``model`` is neither a name nor a network.
    """
    if cells is not None or (isinstance(model, str) and model.startswith("onnx:")):
        return _of_cells(model, CellFormat.of(cells or {}), settings)
    if isinstance(model, str) and names_function(model):
        model = made_by_function(model)
    if (detector := _of_package(model, settings)) is not None:
        return detector
    if settings:
        raise ValueError(
            "input goes with onnx:PATH, with detectors of transformers and Ultralytics, or with cells; "
            "others fit pictures by themselves"
        )
    if isinstance(model, str) and model.startswith("fastestdet:"):
        return FastestDet(named_path(model.removeprefix("fastestdet:")))
    network, input_format = own_network(model)
    if input_format != InputFormat():
        raise ValueError(
            "model must be a detector of torchvision's interface, onnx:PATH or fastestdet:PATH; this one "
            f"wants {input_format}"
        )
    return _with_losses(network)
