"""What these tests have instead of mmcv's compiled part does as that does."""

from __future__ import annotations

import sys
from typing import Any

import mmcv_stand_in
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from small_openmmlab import BASES, boxed, lively, raw_pictures

from npp.integrations.openmmlab import CodedModel


@pytest.mark.parametrize("threshold", [0.3, 0.6])
def test_boxes_are_suppressed_as_by_torchvisions_compiled_operation(threshold: float) -> None:
    operations = pytest.importorskip("torchvision").ops
    corners = 80 * torch.rand(200, 2)
    boxes, scores = torch.cat([corners, corners + 5 + 40 * torch.rand(200, 2)], 1), torch.rand(200)
    kept = mmcv_stand_in.nms(boxes, scores, threshold, 0)
    assert 5 < len(kept) < 195
    assert torch.equal(kept, operations.nms(boxes, scores, threshold))


@pytest.mark.parametrize("name", ["fcos_r50", "retinanet_r50"])
def test_losses_on_a_cpu_ask_nothing_of_it(
    photo: np.ndarray, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that they are what they are with mmcv's compiled part."""

    def never(*arguments: Any, **named: Any) -> None:
        raise AssertionError("a compiled operation was called")

    monkeypatch.setattr(sys.modules["mmcv._ext"], "nms", never)
    package, inner = lively(BASES[name])
    with DefaultScope.overwrite_default_scope(package):
        model = CodedModel(inner, "none")
    pictures = raw_pictures(photo)
    data = {"inputs": pictures, "data_samples": boxed(pictures)}
    found = model(**model.data_preprocessor(data, True), mode="loss")
    assert all(bool(value.isfinite()) for value in model.parse_losses(found)[:1])
    with pytest.raises(AssertionError, match="a compiled operation was called"):
        model.test_step(data)
