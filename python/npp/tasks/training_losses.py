"""Losses of detectors like torchvision's, whose forward pass returns them in training mode only."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from npp.tasks.frozen import evaluation_mode
from npp.tasks.layers import attribute_at

_SEED = 0
# Functions that modules call with ``training=self.training``.
_PYTHON: frozenset[Callable[..., Any]] = frozenset(
    {
        F.alpha_dropout,
        F.batch_norm,
        F.dropout,
        F.dropout1d,
        F.dropout2d,
        F.dropout3d,
        F.feature_alpha_dropout,
        F.multi_head_attention_forward,
        F.rrelu,
    }
)
# Such functions of torch: position of that argument, its name and its value in eval mode.
_BUILT_IN: dict[Callable[..., Any], tuple[int, str, Any]] = {
    torch.alpha_dropout: (2, "train", False),
    torch.dropout: (2, "train", False),
    torch.feature_alpha_dropout: (2, "train", False),
    torch.feature_dropout: (2, "train", False),
    F.scaled_dot_product_attention: (4, "dropout_p", 0.0),
}


class _EvalFunctions(TorchFunctionMode):
    """A mode in which functions that depend on training mode behave as in eval mode."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Calls the function, with the argument for eval mode if it is one of these."""
        kwargs = dict(kwargs or {})
        if func in _PYTHON:
            bound = inspect.signature(func).bind(*args, **kwargs)
            bound.arguments["training"] = False
            return func(*bound.args, **bound.kwargs)
        if func in _BUILT_IN:
            position, name, value = _BUILT_IN[func]
            args = (*args[:position], value, *args[position + 1 :]) if len(args) > position else args
            kwargs |= {} if len(args) > position else {name: value}
        return func(*args, **kwargs)


def _branching(model: nn.Module) -> Iterator[nn.Module]:
    """Modules that choose between losses and detections: those with submodules, outside the backbone.

    Layers (batch norm, dropout) and the transform that picks a random scale have no submodules.
    """
    for name, module in model.named_modules():
        if "backbone" not in name.split(".") and (
            module is model or next(module.children(), None) is not None
        ):
            yield module


@contextmanager
def loss_branch(model: nn.Module) -> Iterator[None]:
    """A block in which the detector returns losses, computed from layers in eval mode."""
    for module in _branching(model):
        module.training = True
    try:
        with _EvalFunctions():
            yield
    finally:
        evaluation_mode(model)


@contextmanager
def _fixed_draws(device: torch.device) -> Iterator[None]:
    """A block in which samplers of boxes draw the same every time; the random state is restored."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(_SEED)
        yield


def _class_count(detector: Any) -> int | None:
    """Number of classes of a detector of torchvision, including the background."""
    for path in (
        "head.classification_head.num_classes",
        "head.classification_head.num_columns",  # of SSD
        "roi_heads.box_predictor.cls_score.out_features",
    ):
        count = attribute_at(detector, path)
        if isinstance(count, int):
            return count
    return None


def _boxes_alone(detector: Any) -> None:
    """Removes the mask and key point heads of Mask R-CNN and Keypoint R-CNN.

    Their training losses would need true masks and key points, which no target here has.
    """
    heads = getattr(detector, "roi_heads", None)
    for kind in ("mask", "keypoint"):
        if hasattr(heads, f"has_{kind}"):
            for component in ("roi_pool", "head", "predictor"):
                setattr(heads, f"{kind}_{component}", None)


def _is_torchvisions(detector: nn.Module) -> bool:
    """Whether the class of a detector is torchvision's or inherits from one."""
    return any(kind.__module__.startswith("torchvision.models.detection.") for kind in type(detector).__mro__)


class TorchvisionDetector(nn.Module):
    """A detector that returns losses in training mode, with :meth:`losses` that leave it in eval mode.

    Its parts that choose between losses and detections are switched to training mode for the call; layers
    and functions that behave differently there stay in eval mode. A detector that uses ``self.training`` in
    other ways should have ``losses`` of its own.

    Args:
        detector: a detector of torchvision's interface, changed in place: mask and key point heads are
            removed.
    """

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        _boxes_alone(detector)
        self.detector = detector
        self.class_count = _class_count(detector)
        #: Labels of torchvision's own weights are COCO's ids, from 1 and with gaps; 0 is the background.
        self.says_category_ids = _is_torchvisions(detector)

    def forward(self, images: Sequence[Tensor]) -> Any:
        """Detections of pictures (3, H, W), a dict each."""
        return self.detector(list(images))

    def losses(self, images: Sequence[Tensor], targets: Sequence[Mapping[str, Tensor]]) -> Any:
        """Losses by name of pictures (3, H, W) with ``boxes`` and ``labels`` each."""
        with loss_branch(self.detector):
            return self.detector(list(images), [dict(target) for target in targets])


def mean_losses(each: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Losses by name, averaged over pictures.

    Args:
        each: scalars by name for each picture, at least one, with the same names in all.
    """
    return {name: torch.stack([losses[name] for losses in each]).mean() for name in each[0]}


def training_loss(detector: Any, image: Tensor, target: Mapping[str, Tensor]) -> Tensor:
    """Sum of the detector's ``losses`` for one picture (3, H, W) and its boxes.

    Two-stage detectors sample proposals at random; the draw is the same for every picture and call.

    Raises:
        TypeError: the losses are no tensors by name.
    """
    with _fixed_draws(image.device):
        losses = detector.losses([image], [target])
    if (
        not isinstance(losses, Mapping)
        or not losses
        or not all(isinstance(x, Tensor) for x in losses.values())
    ):
        raise TypeError(f"the detector's losses must be tensors by name, not {losses!r}")
    return torch.stack([loss.float() for loss in losses.values()]).sum()
