"""The compiled part of mmcv as far as our tests need it, where mmcv has none (mmcv-lite).

``install()`` before mmdet is imported. Suppression of boxes is written in torch; the rest raises when it is
called: no other compiled operation is needed by FCOS and RetinaNet on a CPU, nor by Faster R-CNN with
``roi_layer=dict(use_torchvision=True)``.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import types
from typing import Any

import torch
from torch import Tensor

_NAME = "mmcv._ext"


def nms(bboxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Places of the boxes that stay, the surest first.

    Args:
        bboxes: (K, 4) x1, y1, x2, y2.
        scores: (K,).
        iou_threshold: a box goes that overlaps a surer one by more.
        offset: 1 where x2 and y2 are the last pixels inside, 0 where they are the border.
    """
    x1, y1, x2, y2 = bboxes.unbind(1)
    areas = (x2 - x1 + offset) * (y2 - y1 + offset)
    left = scores.argsort(descending=True, stable=True)
    kept = []
    while len(left):
        first, left = left[0], left[1:]
        kept.append(first)
        width = torch.minimum(x2[first], x2[left]) - torch.maximum(x1[first], x1[left]) + offset
        height = torch.minimum(y2[first], y2[left]) - torch.maximum(y1[first], y1[left]) + offset
        common = width.clamp_min(0) * height.clamp_min(0)
        left = left[common <= iou_threshold * (areas[first] + areas[left] - common)]
    return torch.stack(kept) if kept else left


class _Operations(types.ModuleType):
    """Says that it has every operation, as mmcv asks when it is imported."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*arguments: Any, **named: Any) -> Any:
            raise NotImplementedError(f"{_NAME}.{name} is compiled, and mmcv-lite has nothing compiled")

        return missing


def _without_multimodal() -> None:
    """MMPretrain 1.2 cannot be imported beside transformers 5, which its multimodal models want older."""
    import importlib_metadata as metadata

    known = metadata.distribution

    def distribution(name: str) -> Any:
        if name == "transformers":
            raise metadata.PackageNotFoundError(name)
        return known(name)

    metadata.distribution = distribution
    try:
        importlib.import_module("mmpretrain.utils.dependency")
    finally:
        metadata.distribution = known


def install() -> None:
    """Puts the stand-in in its place, unless mmcv has its own compiled part."""
    _install_operations()
    _without_multimodal()


def _install_operations() -> None:
    if _NAME in sys.modules or importlib.util.find_spec(_NAME) is not None:
        return
    operations = _Operations(_NAME)
    # Whoever lists the environment asks for the module's place.
    operations.__spec__ = importlib.machinery.ModuleSpec(_NAME, loader=None)
    operations.nms = nms  # type: ignore[attr-defined]
    operations.get_compiler_version = lambda: "none"  # type: ignore[attr-defined]
    operations.get_compiling_cuda_version = lambda: "none"  # type: ignore[attr-defined]
    sys.modules[_NAME] = operations
