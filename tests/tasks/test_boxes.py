"""Boxes: overlap, F1 and average precision by hand."""

from __future__ import annotations

import pytest
import torch
from task_nets import Finder, boxes

from npp.tasks import build_task
from npp.tasks.boxes import f1, iou_matrix


def test_f1_by_hand() -> None:
    truth = boxes([0, 0, 10, 10], [20, 0, 30, 10], labels=[1, 2])
    assert f1(boxes([0, 0, 10, 10], [20, 0, 30, 10], labels=[1, 2], scores=[0.9, 0.8]), truth) == 1
    assert f1(boxes([0, 0, 10, 10], [20, 0, 30, 10], labels=[1, 1], scores=[0.9, 0.8]), truth) == 0.5
    assert f1(boxes([0, 0, 10, 4], labels=[1], scores=[0.9]), truth) == 0
    # Two boxes on one object: one is false. The surer one takes the object it fits best.
    assert f1(boxes([0, 0, 10, 9], [0, 0, 10, 10], labels=[1, 1], scores=[0.9, 0.8]), truth) == 0.5
    nothing = boxes(labels=[], scores=[])
    assert f1(nothing, truth) == 0 and f1(nothing, boxes(labels=[])) == 1
    expected = torch.tensor([[1.0, 0.0], [1 / 3, 0.0]])
    torch.testing.assert_close(
        iou_matrix(torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10]]), truth["boxes"]), expected
    )


def test_mean_average_precision_by_hand() -> None:
    pytest.importorskip("torchvision", reason="torchmetrics' mean average precision needs it")
    pytest.importorskip("pycocotools", reason="mean average precision needs it")
    metric = build_task("detection", model=Finder()).metric()
    truth = boxes([0, 0, 10, 10], [20, 0, 30, 10], labels=[1, 1])
    metric.update([boxes([0, 0, 10, 10], [50, 50, 60, 60], labels=[1, 1], scores=[0.9, 0.8])], [truth])
    values = metric.compute()
    assert values["map_50"] == pytest.approx(51 / 101)  # half of the recalls of COCO's 101 are reached
    assert values["map"] == pytest.approx(51 / 101)
