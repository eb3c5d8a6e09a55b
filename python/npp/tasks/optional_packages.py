"""Packages that are not npp's own: imported when needed, and named with what installs them."""

from __future__ import annotations

import importlib
from typing import Any

from npp.torch_defaults import cpu_by_default

# The extra of npp that has the package; what is in none is installed by its own name.
EXTRAS = {
    "lightning": "train",
    "mmcv": "openmmlab",
    "mmdet": "openmmlab",
    "mmengine": "openmmlab",
    "mmpretrain": "openmmlab",
    "onnx": "tasks",
    "onnx2torch": "tasks",
    "pycocotools": "tasks",
    "timm": "tasks",
    "torchmetrics": "eval",
    "torchvision": "tasks",
    "transformers": "transformers",
    "ultralytics": "ultralytics",
}

# What an extra cannot bring, since it is built for the torch that is there: done first, by its own guide.
_BUILT_FOR_TORCH = {"mmcv": "after mmcv built for your torch (docs/frameworks.md)"}


def how_to_install(package: str, others: str = "") -> str:
    """The command for a package that is missing.

    Args:
        package: as it is imported.
        others: everything to install instead, where neither an extra nor the package alone is enough.
    """
    extra = EXTRAS.get(package)
    command = "pip install " + (others or (f"'npp[{extra}]'" if extra else package))
    return f"{command} {_BUILT_FOR_TORCH[package]}" if package in _BUILT_FOR_TORCH else command


def require(module: str, purpose: str, install: str = "") -> Any:
    """The imported module.

    Args:
        module: with its package, as in ``torchmetrics.detection``.
        purpose: what needs it, the start of the message.
        install: arguments of ``pip install``, for packages that go by another name than they import as.

    Raises:
        ModuleNotFoundError: it or something that it needs is missing; the message tells what to install.
    """
    try:
        # Some packages make tensors when they are imported, which then stay.
        with cpu_by_default():
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or module).partition(".")[0]
        message = f"{purpose} needs the package {missing}: {how_to_install(missing, install)}"
        raise ModuleNotFoundError(message, name=error.name) from error
