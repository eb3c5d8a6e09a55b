"""Detectors of MMDetection behind the interface of :class:`npp.tasks.Detector`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from npp.extras import require
from npp.files import named_path
from npp.tasks.dense_detector import Dense
from npp.tasks.divergence import dense_divergence
from npp.tasks.frozen import evaluation_mode
from npp.tasks.input_format import InputFormat
from npp.tasks.layers import attribute_at
from npp.tasks.openmmlab_models import UNTRAINED, build_model, read_model_config
from npp.tasks.training_losses import loss_branch
from npp.torch_state import device_of

_PACKAGE = "mmdet"
_PEAK = 255.0
_TRIAL_SIDE = 64  # side of the picture for trying a head
_BOX = 4
_BACKGROUND = -1  # MMDetection's index of it among classes under a softmax


class Sizes(NamedTuple):
    """The scaling of a configuration's test pipeline.

    Attributes:
        sides: two sides in pixels.
        keep_ratio: whether the sides are limits for the picture's longer and shorter side; else they are
            width and height.
    """

    sides: tuple[int, int]
    keep_ratio: bool

    def of(self, height: int, width: int) -> tuple[int, int]:
        """Height and width that a picture of this size is scaled to."""
        if not self.keep_ratio:
            return self.sides[1], self.sides[0]
        factor = min(
            max(self.sides) / max(height, width),
            min(self.sides) / min(height, width),
        )
        return int(height * factor + 0.5), int(width * factor + 0.5)


class MMDetDetector(nn.Module):
    """A detector of MMDetection on RGB pictures in [0, 1] of any size.

    Args:
        model: the detector with its own data preprocessor.
        sizes: how pictures are scaled first; ``None`` for no scaling.
    """

    def __init__(self, model: nn.Module, sizes: Sizes | None = None) -> None:
        super().__init__()
        self.model: Any = evaluation_mode(model)
        self.sizes = sizes
        self.class_count = _class_count(model)

    def _input(self, image: Tensor) -> Tensor:
        """A picture (3, H, W) in [0, 1] as the pipeline prepares it: scaled, BGR, 0 to 255."""
        size = None if self.sizes is None else self.sizes.of(*image.shape[-2:])
        if size is not None and size != tuple(image.shape[-2:]):
            image = F.interpolate(image[None], size, mode="bilinear", align_corners=False)[0]
        return image.flip(0) * _PEAK

    def _data(
        self,
        images: Sequence[Tensor],
        targets: Sequence[Mapping[str, Tensor]] | None = None,
    ) -> Any:
        """The output of the detector's own data preprocessor for pictures and boxes."""
        structures = require("mmdet.structures", _PACKAGE)
        instances = require("mmengine.structures", _PACKAGE).InstanceData
        inputs = [self._input(image) for image in images]
        samples = []
        for number, (image, x) in enumerate(zip(images, inputs, strict=True)):
            (height, width), (before_h, before_w) = x.shape[-2:], image.shape[-2:]
            metainfo = {"img_id": number, "img_shape": (height, width), "ori_shape": (before_h, before_w)}
            factors = width / before_w, height / before_h
            sample = structures.DetDataSample(metainfo={**metainfo, "scale_factor": factors})
            if targets is not None:
                boxes = targets[number]["boxes"].to(x)
                scaled = boxes * boxes.new_tensor(factors * 2)
                labels = targets[number]["labels"].to(x.device)
                sample.gt_instances = instances(bboxes=scaled, labels=labels)
            samples.append(sample)
        preprocessor = self.model.data_preprocessor
        # The preprocessor only learns of a new device by the model's own to(), not if the task is moved.
        preprocessor._device = inputs[0].device
        return preprocessor({"inputs": inputs, "data_samples": samples}, targets is not None)

    def forward(self, images: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """Detections of pictures (3, H, W), a dict each."""
        samples = self.model._run_forward(self._data(images), mode="predict")
        return [
            {
                "boxes": sample.pred_instances.bboxes,
                "labels": sample.pred_instances.labels,
                "scores": sample.pred_instances.scores,
            }
            for sample in samples
        ]

    def losses(self, images: Sequence[Tensor], targets: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """The detector's losses by name, those of several levels added up; its layers stay in eval mode."""
        data = self._data(images, targets)
        with loss_branch(self.model):
            losses = self.model._run_forward(data, mode="loss")
        return {name: _total(value) for name, value in losses.items() if "loss" in name}


class MMDetOneStage(MMDetDetector):
    """A one-stage detector with a dense output: FCOS, RetinaNet, ATSS, SSD and similar ones.

    Its head outputs classes and boxes of all priors, which are anchors or points."""

    def _levels(self, images: Sequence[Tensor]) -> Any:
        """The output of the head: lists over levels of class scores, boxes and perhaps centre-nesses."""
        features = self.model.extract_feat(self._data(images)["inputs"])
        return self.model.bbox_head(features)

    def _strides(self, levels: Sequence[Tensor]) -> list[float]:
        """Divisors of the boxes of each level, by which distances in pixels become distances in cells."""
        head = self.model.bbox_head
        if type(head.bbox_coder).__name__ != "DistancePointBBoxCoder":
            return [1.0] * len(levels)
        return [float(stride[0]) for stride in head.prior_generator.strides]

    def fits(self) -> bool:
        """Whether the output of the head has the form for :meth:`dense`, tried with one small picture."""
        head = self.model.bbox_head
        with torch.no_grad():
            try:
                levels = self._levels(
                    [torch.zeros(3, _TRIAL_SIDE, _TRIAL_SIDE, device=device_of(self.model))]
                )
                counts = zip(levels[0], levels[1], head.prior_generator.num_base_priors, strict=True)
                return all(
                    scores.shape[1] == head.cls_out_channels * priors and boxes.shape[1] == _BOX * priors
                    for scores, boxes, priors in counts
                ) and all(
                    level.shape[1] == scores.shape[1] // head.cls_out_channels
                    for level, scores in _centres(levels)
                )
            except (AttributeError, IndexError, TypeError, ValueError):
                return False

    def dense(self, images: Tensor) -> Dense:
        """Logits (N, P, K), boxes (N, P, 4) and, if the head has them, centre-nesses (N, P, 1).

        Boxes are in the form of the head: changes of anchors, or distances in cells.
        """
        levels = self._levels(list(images.unbind()))
        strides = self._strides(levels[1])
        boxes = [level / stride for level, stride in zip(levels[1], strides, strict=True)]
        dense = {
            "logits": _flattened(levels[0], self.model.bbox_head.cls_out_channels),
            "boxes": _flattened(boxes, _BOX),
        }
        centres = [level for level, _ in _centres(levels)]
        return {**dense, "centres": _flattened(centres, 1)} if centres else dense

    def divergence(self, clean: Dense, now: Dense) -> Tensor:
        """Change (N,) of all priors: the KL of classes and centre-nesses, and the change of boxes.

        The change of a box is the smooth L1 distance in the form of the head, weighted by the clean scores.
        """
        return dense_divergence(
            classes=(clean["logits"], now["logits"]),
            boxes=(clean["boxes"], now["boxes"]),
            centres=(clean["centres"], now["centres"]) if "centres" in clean else None,
            background=None if self.model.bbox_head.use_sigmoid_cls else _BACKGROUND,
        )


def _total(value: Any) -> Tensor:
    """A loss, or the sum of those of all levels."""
    levels = value if isinstance(value, list | tuple) else [value]
    return torch.stack([level.mean() for level in levels]).sum()


def _centres(levels: Any) -> list[tuple[Tensor, Tensor]]:
    """Centre-nesses of each level; empty if the head has none."""
    if len(levels) < 3 or levels[2] is None or levels[2][0] is None:
        return []
    return list(zip(levels[2], levels[0], strict=True))


def _flattened(levels: Sequence[Tensor], width: int) -> Tensor:
    """All levels (N, priors of a cell * width, h, w), joined to (N, priors, width)."""
    return torch.cat([level.movedim(1, -1).reshape(len(level), -1, width) for level in levels], 1)


def _class_count(model: Any) -> int | None:
    for path in ("bbox_head", "roi_head.bbox_head"):
        heads = attribute_at(model, path)
        first = heads[0] if isinstance(heads, nn.ModuleList) else heads  # cascades have a list of heads
        count = getattr(first, "num_classes", None)
        if isinstance(count, int):
            return count
    return None


def _test_sizes(config: Any) -> Sizes | None:
    """The scaling of a configuration's test pipeline; ``None`` if it does not scale."""
    for step in config.get("test_pipeline", ()):
        if str(step.get("type", "")).rpartition(".")[2] == "Resize" and step.get("scale") is not None:
            return Sizes(tuple(step["scale"]), bool(step.get("keep_ratio", False)))
    return None


def _split(rest: str) -> tuple[str, str]:
    """Configuration and checkpoint of a name; the checkpoint may contain colons."""
    head, mark, tail = rest.partition(".py")
    if mark and (not tail or tail[0] == ":"):
        return head + mark, tail[1:]
    name, _, checkpoint = rest.partition(":")
    return name, checkpoint


def load(rest: str) -> tuple[nn.Module, InputFormat]:
    """A detector by ``CONFIG[:CHECKPOINT]``.

    Args:
        rest: CONFIG is a ``.py`` file or the name of one that comes with MMDetection, such as
            ``fcos/fcos_r50-caffe_fpn_gn-head_1x_coco``; CHECKPOINT a file or an address, ``none`` for random
            weights. Without CHECKPOINT MMDetection downloads the weights that it lists for that name.

    Returns:
        The detector behind the whole interface, and the input format that says to leave pictures as they are.

    Raises:
        ValueError: a file without a checkpoint, or a name for which no weights are listed.
        FileNotFoundError: there is no such file.
        ModuleNotFoundError: MMDetection, mmengine or mmcv is missing; the message tells what to install.
    """
    name, checkpoint = _split(rest)
    require("mmdet", f"{_PACKAGE}:{rest}")
    path = named_path(name)
    is_file = path.suffix == ".py" and path.is_file()
    try:
        config = read_model_config(str(path) if is_file else f"{_PACKAGE}::{name.removesuffix('.py')}.py")
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{_PACKAGE}:{rest}: {name} is neither a file nor a configuration of MMDetection"
        ) from None
    weights = checkpoint or ("" if is_file else _listed_weights(name.removesuffix(".py")))
    if not weights:
        raise ValueError(
            f"{_PACKAGE}:{name} needs a checkpoint, or {UNTRAINED}: {_PACKAGE}:{name}:CHECKPOINT"
        )
    model = build_model(config.model, weights, config.get("default_scope", _PACKAGE))
    return _wrapped(model, _test_sizes(config)), InputFormat()


def _listed_weights(name: str) -> str:
    hub = require("mmengine.hub", _PACKAGE)
    try:
        return str(hub.get_config(f"{_PACKAGE}::{name}.py", pretrained=True).get("model_path", ""))
    except AssertionError:
        return ""


def _wrapped(model: nn.Module, sizes: Sizes | None) -> MMDetDetector:
    if hasattr(model, "bbox_head"):
        one_stage = MMDetOneStage(model, sizes)
        if one_stage.fits():
            return one_stage
    return MMDetDetector(model, sizes)


def is_network(network: nn.Module) -> bool:
    """Whether this is a detector of MMDetection."""
    return hasattr(network, "data_preprocessor") and hasattr(network, "extract_feat")


def format_of(network: nn.Module) -> InputFormat:
    """The plain format: the detector's data preprocessor normalises."""
    return InputFormat()


def plain_network(network: nn.Module) -> nn.Module:
    """Always raises ValueError, for a detector has no logits of whole pictures."""
    raise ValueError(
        f"{type(network).__name__} of MMDetection is a detector: only the task detection takes it"
    )


def detector(network: nn.Module, format: InputFormat) -> nn.Module:  # noqa: A002
    """A detector of MMDetection behind the whole interface.

    Args:
        network: the detector, or what :func:`load` gave.
        format: the plain format.

    Raises:
        ValueError: ``format`` is another one, for these detectors resize pictures themselves.
    """
    if format != InputFormat():
        raise ValueError(f"input goes not with {_PACKAGE}: its detectors fit pictures by themselves")
    return network if isinstance(network, MMDetDetector) else _wrapped(network, None)
