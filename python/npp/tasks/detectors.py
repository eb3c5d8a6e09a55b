"""Detectors by name."""

from __future__ import annotations

import os
from pathlib import Path

from torch import nn

from npp.tasks.fastestdet import FastestDet
from npp.tasks.input_format import InputFormat
from npp.tasks.networks import load_raw
from npp.tasks.one_stage import OneStage, has_dense_head


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
