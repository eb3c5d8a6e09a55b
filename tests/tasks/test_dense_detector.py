"""A detector of one's own makes detections and losses picture by picture."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from npp.tasks.dense_detector import Dense, DenseDetector, by_picture


class Brightest(DenseDetector):
    """One box around the whole picture, as sure as the picture is bright."""

    def dense(self, images: Tensor) -> Dense:
        return {"brightness": images.mean((1, 2, 3))}

    def _detected(self, dense: Dense, height: int, width: int) -> dict[str, Tensor]:
        boxes = torch.tensor([[0, 0, width, height]])
        return {"boxes": boxes, "labels": torch.tensor([0]), "scores": dense["brightness"][None]}

    def _losses(self, image: Tensor, target: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"brightness": image.mean() - len(target["boxes"])}


def test_pictures_of_any_sizes_are_detected_one_by_one() -> None:
    images = [torch.full((3, 4, 6), 0.25), torch.full((3, 8, 2), 0.5)]
    detections = Brightest()(images)
    assert [one["boxes"].tolist() for one in detections] == [[[0, 0, 6, 4]], [[0, 0, 2, 8]]]
    assert [one["scores"].tolist() for one in detections] == [[0.25], [0.5]]


def test_losses_are_means_over_pictures() -> None:
    images = [torch.full((3, 4, 6), 0.25), torch.full((3, 8, 2), 0.75)]
    targets = [{"boxes": torch.zeros(0, 4)}, {"boxes": torch.zeros(1, 4)}]
    assert Brightest().losses(images, targets)["brightness"].item() == (0.25 - 0.25) / 2


def test_as_many_pictures_as_were_seen_have_detections() -> None:
    detector, images = Brightest(), torch.rand(2, 3, 4, 4)
    with pytest.raises(ValueError, match="shorter"):
        detector.detections(detector.dense(images), list(images[:1]))


def test_what_was_seen_of_each_picture() -> None:
    first, second = by_picture({"a": torch.tensor([1, 2]), "b": torch.tensor([[3], [4]])})
    assert (first["a"], second["b"].tolist()) == (1, [4])
