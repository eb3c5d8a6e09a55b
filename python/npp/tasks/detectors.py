"""Detectors by name, their dense outputs and their training losses."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from npp.tasks.divergence import binary_kl, kl_divergence
from npp.tasks.fastestdet import FastestDet
from npp.tasks.input_format import InputFormat
from npp.tasks.networks import load_raw
from npp.tasks.task import evaluation_mode

Dense = dict[str, Tensor]


def has_dense_head(model: nn.Module) -> bool:
    """Whether this is built as FCOS, RetinaNet and SSD are in torchvision."""
    return all(hasattr(model, part) for part in ("transform", "backbone", "head", "postprocess_detections"))


def _logit_kl(clean: Tensor, now: Tensor) -> Tensor:
    return binary_kl(clean.sigmoid(), now.sigmoid())


class OneStage(nn.Module):
    """A detector of torchvision's interface that also offers :meth:`dense`.

    Args:
        detector: FCOS, RetinaNet, SSD or one with the same parts.
    """

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector
        # Mining negatives goes with a softmax over the classes and the background, as in SSD.
        self._softmax = hasattr(detector, "neg_to_pos_ratio")

    def forward(self, images: Sequence[Tensor], targets: Sequence[Mapping[str, Tensor]] | None = None) -> Any:
        """As the detector's."""
        return self.detector(images, targets)

    def dense(self, images: Tensor) -> Dense:
        """Logits (N, A, K), box regression (N, A, 4) and, with FCOS, centre-ness (N, A, 1) of all anchors."""
        detector: Any = self.detector
        batch, _ = detector.transform(list(images.unbind()))
        features = detector.backbone(batch.tensors)
        levels = [features] if isinstance(features, Tensor) else list(features.values())
        dense: Dense = detector.head(levels)
        return dense

    def _classes(self, clean: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
        """KL of the classes at each anchor (N, A), and how surely something was there."""
        if self._softmax:
            divergence = kl_divergence(clean.log_softmax(-1), now.log_softmax(-1), dim=-1)
            return divergence, 1 - clean.softmax(-1)[..., 0]
        return _logit_kl(clean, now).sum(-1), clean.sigmoid().amax(-1)

    def divergence(self, clean: Dense, now: Dense) -> Tensor:
        """Change of all anchors (N,): KL of the classes, and of the boxes as far as something was there.

        Boxes count by the smooth L1 distance of their regression, centre-ness by its KL.
        """
        places, weight = self._classes(clean["cls_logits"], now["cls_logits"])
        boxes = F.smooth_l1_loss(now["bbox_regression"], clean["bbox_regression"], reduction="none").sum(-1)
        places = places + weight * boxes
        if "bbox_ctrness" in clean:
            places = places + weight * _logit_kl(clean["bbox_ctrness"], now["bbox_ctrness"]).squeeze(-1)
        return places.sum(1)


_SEED = 0


def _branching(model: nn.Module) -> Iterator[nn.Module]:
    """Parts that choose between losses and detections: those made of others, outside the backbone.

    Layers (batch norm, dropout) and the transform that picks a random scale have no parts of their own.
    """
    for name, part in model.named_modules():
        if "backbone" not in name.split(".") and (part is model or next(part.children(), None) is not None):
            yield part


@contextmanager
def loss_branch(model: nn.Module) -> Iterator[None]:
    """The detector returns losses inside; its layers stay in eval mode."""
    for part in _branching(model):
        part.training = True
    try:
        yield
    finally:
        evaluation_mode(model)


@contextmanager
def _fixed_draws(device: torch.device) -> Iterator[None]:
    """Samplers of boxes draw the same ones every time; the caller's random state is untouched."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(_SEED)
        yield


def training_loss(model: nn.Module, image: Tensor, target: Mapping[str, Tensor]) -> Tensor:
    """Sum of the model's losses for one picture (3, H, W) and its boxes.

    Two-stage detectors sample proposals at random; the draw is the same for every picture and call.
    """
    with loss_branch(model), _fixed_draws(image.device):
        losses: dict[str, Tensor] = model([image], [dict(target)])
    return torch.stack([loss.float() for loss in losses.values()]).sum()


def resolve_detector(model: str | nn.Module) -> nn.Module:
    """A network with torchvision's interface of detectors, with ``dense`` where its parts allow that.

    Args:
        model: a network, ``fastestdet:PATH`` (of FastestDet.onnx), ``torchvision:NAME[:WEIGHTS]`` or
            ``python:package.module:function``.

    Raises:
        ValueError: a network that wants a normalised batch, which no detector of this interface does.
        TypeError: neither a name nor a network.
    """
    if isinstance(model, str):
        if model.startswith("fastestdet:"):
            path = os.path.expandvars(model.removeprefix("fastestdet:"))
            return FastestDet(Path(path).expanduser())
        model, wants = load_raw(model)
        if wants != InputFormat():
            raise ValueError(
                "model must be a detector of torchvision's interface, or fastestdet:PATH; this one wants "
                f"{wants}"
            )
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a name or a torch.nn.Module, not {type(model).__name__}")
    return OneStage(model) if has_dense_head(model) else model
