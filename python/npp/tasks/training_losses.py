"""A detector's own training losses as a function of the picture: same input, same value, nothing learnt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from npp.tasks.freezing import evaluation_mode

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
