"""Mean average precision by hand."""

from __future__ import annotations

import pytest
import torch
from task_nets import WITHOUT_AREA, Finder, boxes

from npp.tasks import build_task


@pytest.mark.parametrize("default_device", ["cpu", "meta"])
def test_mean_average_precision_by_hand(default_device: str) -> None:
    pytest.importorskip("torchvision", reason="torchmetrics' mean average precision needs it")
    pytest.importorskip("pycocotools", reason="mean average precision needs it")
    task = build_task("detection", model=Finder())
    truth = boxes([0, 0, 10, 10], [20, 0, 30, 10], labels=[1, 1])
    found = boxes([0, 0, 10, 10], [50, 50, 60, 60], labels=[1, 1], scores=[0.9, 0.8])
    with torch.device(default_device):
        metric = task.metric()
        metric.update([found], [truth])
        values = metric.compute()
    assert values["map_50"] == pytest.approx(51 / 101)  # half of the recalls of COCO's 101 are reached
    assert values["map"] == pytest.approx(51 / 101)


@pytest.mark.parametrize("empty", WITHOUT_AREA.values(), ids=WITHOUT_AREA)
def test_average_precision_counts_a_box_without_area_as_wrong(empty: list[float]) -> None:
    """The detection with the highest score is wrong, the other right: precision is one half everywhere."""
    pytest.importorskip("torchvision", reason="torchmetrics' mean average precision needs it")
    pytest.importorskip("pycocotools", reason="mean average precision needs it")
    metric = build_task("detection", model=Finder()).metric()
    found = boxes(empty, [0, 0, 10, 10], labels=[1, 1], scores=[0.9, 0.8])
    metric.update([found, boxes(labels=[], scores=[])], [boxes([0, 0, 10, 10], labels=[1]), boxes(labels=[])])
    assert metric.compute() == pytest.approx(dict.fromkeys(("map", "map_50", "map_75"), 0.5))


def test_boxes_without_area_do_not_count_against_clean_output() -> None:
    """What a detector says of a picture agrees with itself, however many boxes without area it gives."""
    pytest.importorskip("torchvision", reason="torchmetrics' mean average precision needs it")
    pytest.importorskip("pycocotools", reason="mean average precision needs it")
    metric = build_task("detection", model=Finder()).metric()
    clean = boxes(*WITHOUT_AREA.values(), [0, 0, 10, 10], labels=[1] * 5, scores=[0.9] * 4 + [0.8])
    metric.update([clean], [clean])
    assert metric.compute() == pytest.approx(dict.fromkeys(("map", "map_50", "map_75"), 1.0))
