"""Boxes: overlap, F1 and non-maximum suppression by hand."""

from __future__ import annotations

import sys

import pytest
import torch
from task_nets import WITHOUT_AREA, boxes

from npp.tasks.boxes import area, centre_and_size, corners_of, f1, iou_matrix, nms, plain_nms


def test_f1_by_hand() -> None:
    truth = boxes([0, 0, 10, 10], [20, 0, 30, 10], labels=[1, 2])
    assert f1(boxes([0, 0, 10, 10], [20, 0, 30, 10], labels=[1, 2], scores=[0.9, 0.8]), truth) == 1
    assert f1(boxes([0, 0, 10, 10], [20, 0, 30, 10], labels=[1, 1], scores=[0.9, 0.8]), truth) == 0.5
    assert f1(boxes([0, 0, 10, 4], labels=[1], scores=[0.9]), truth) == 0
    # Two boxes on one object: one is false. The one with the higher score takes the object it fits best.
    assert f1(boxes([0, 0, 10, 9], [0, 0, 10, 10], labels=[1, 1], scores=[0.9, 0.8]), truth) == 0.5
    nothing = boxes(labels=[], scores=[])
    assert f1(nothing, truth) == 0 and f1(nothing, boxes(labels=[])) == 1
    expected = torch.tensor([[1.0, 0.0], [1 / 3, 0.0]])
    torch.testing.assert_close(
        iou_matrix(torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10]]), truth["boxes"]), expected
    )


@pytest.mark.parametrize("empty", WITHOUT_AREA.values(), ids=WITHOUT_AREA)
def test_a_box_without_area_finds_nothing_and_is_not_found(empty: list[float]) -> None:
    truth = boxes([0, 0, 10, 10], empty, labels=[1, 1])
    found = boxes(empty, [0, 0, 10, 10], labels=[1, 1], scores=[0.9, 0.8])
    overlaps = iou_matrix(found["boxes"], truth["boxes"])
    assert overlaps.tolist() == [[0, 0], [1, 0]]
    assert area(found["boxes"]).tolist() == [0, 100]
    assert f1(found, truth) == 2 * 1 / 4


def test_suppression_by_hand() -> None:
    found = boxes([0.0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 9], [0, 0, 10, 5], labels=[1, 1, 2, 1])
    scores = torch.tensor([0.5, 0.9, 0.8, 0.7])
    for suppress in (nms, plain_nms):
        # The first overlaps the second by 0.9; the fourth overlaps the second by 5/9.
        assert suppress(found["boxes"], scores, found["labels"], 0.6).tolist() == [1, 2, 3]
        assert suppress(found["boxes"], scores, found["labels"], 0.5).tolist() == [1, 2]
        nothing = boxes(labels=[])
        assert suppress(nothing["boxes"], torch.zeros(0), nothing["labels"], 0.5).tolist() == []


def test_suppression_is_torchvisions() -> None:
    operators = pytest.importorskip("torchvision.ops", reason="compared with torchvision")
    corner = 50 * torch.rand(300, 2)
    found = torch.cat([corner, corner + 5 + 20 * torch.rand(300, 2)], 1)
    scores, labels = torch.rand(300), torch.randint(0, 3, (300,))
    for iou in (0.3, 0.65):
        wanted = operators.batched_nms(found, scores, labels, iou)
        assert torch.equal(plain_nms(found, scores, labels, iou), wanted) and 30 < len(wanted) < 300


def test_suppression_without_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.ops", None)
    found = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9]])
    scores, labels = torch.tensor([0.1, 0.2]), torch.tensor([0, 0])
    with torch.device("meta"):  # the default device changes nothing
        assert nms(found, scores, labels, 0.5).tolist() == [1]


def test_centre_and_size_are_told_from_corners_and_back() -> None:
    centred_boxes = torch.tensor([[[10.0, 20.0, 4.0, 6.0], [0.5, 0.25, 1.0, 0.5]]])
    corners = corners_of(centred_boxes)
    assert corners.tolist() == [[[8.0, 17.0, 12.0, 23.0], [0.0, 0.0, 1.0, 0.5]]]
    assert torch.equal(centre_and_size(corners), centred_boxes)
