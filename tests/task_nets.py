"""Small networks for the tests of tasks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import npp
from npp.tasks import Task
from npp.tasks.boxes import iou_matrix
from npp.tasks.divergence import kl_divergence

ALPHABET = "abcd"
#: Boxes x1, y1, x2, y2 that hold nothing.
WITHOUT_AREA = {
    "a point": [5.0, 5.0, 5.0, 5.0],
    "a line": [0.0, 0.0, 10.0, 0.0],
    "right to left": [10.0, 0.0, 0.0, 10.0],
    "both ways": [10.0, 10.0, 0.0, 0.0],
}


def check_divergence_grows(task: Task, images: Tensor, atol: float) -> None:
    """A detector's view of two pictures moves by nothing, little and much, each picture by itself.

    Args:
        atol: by how much a picture's loss may differ when it is alone.
    """
    clean = task.targets(images)
    torch.testing.assert_close(task.loss(images, clean), torch.zeros(2), atol=1e-5, rtol=0)
    coded = [npp.compress(images, qp, effort=0).x_hat for qp in (20, 48)]
    light, heavy = (task.scores(x_hat, clean)["kl"] for x_hat in coded)
    assert (light < heavy).all()
    leaf = coded[1].clone().requires_grad_()
    loss = task.loss(leaf, clean)
    loss[1].backward()
    assert leaf.grad is not None and (leaf.grad[0] == 0).all() and leaf.grad[1].abs().sum() > 0
    torch.testing.assert_close(task.loss(coded[1][1:], clean[1:]), loss[1:].detach(), rtol=1e-3, atol=atol)


class Body(nn.Sequential):
    """A few layers, among them all that behave differently in training mode."""

    def __init__(self, classes: int, stride: int = 2) -> None:
        conv = nn.Conv2d(3, 8, 3, stride=stride, padding=1)
        super().__init__(
            conv, nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(8, classes, 3, padding=1)
        )


class Reader(nn.Module):
    """A CRNN: steps along the width."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Body(6)
        self.rnn = nn.LSTM(6, 5, num_layers=2, dropout=0.5, bidirectional=True, batch_first=True)
        self.head = nn.Linear(10, len(ALPHABET) + 1)

    def forward(self, x: Tensor) -> Tensor:
        steps: Tensor = self.rnn(self.body(x).mean(2).transpose(1, 2))[0]
        return self.head(steps)


class Finder(nn.Module):
    """A detector of torchvision's interface: one box of fixed size for each cell."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Body(2)

    def _boxes(self, height: int, width: int) -> Tensor:
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        corner = 2 * torch.stack([columns, rows], -1).reshape(-1, 2).float()
        return torch.cat([corner, corner + 6], 1)

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None) -> Any:
        logits = torch.stack([self.backbone(image[None])[0] for image in images])
        boxes = self._boxes(*logits.shape[-2:])
        if self.training:
            assert targets is not None
            wanted = [(iou_matrix(boxes, each["boxes"]) > 0.3).any(1).float() for each in targets]
            flat = logits[:, 0].flatten(1)
            return {"objectness": F.binary_cross_entropy_with_logits(flat, torch.stack(wanted))}
        scores, labels = logits.softmax(1).max(1)
        return [
            {"boxes": boxes, "labels": kind.flatten(), "scores": score.flatten()}
            for kind, score in zip(labels, scores, strict=True)
        ]


class DenseFinder(Finder):
    """The same with what it says everywhere."""

    def dense(self, images: Tensor) -> dict[str, Tensor]:
        return {"logits": self.backbone(images)}

    def divergence(self, clean: dict[str, Tensor], now: dict[str, Tensor]) -> Tensor:
        places = kl_divergence(clean["logits"].log_softmax(1), now["logits"].log_softmax(1))
        return places.sum((1, 2))


def classifier() -> nn.Module:
    return nn.Sequential(Body(7), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def boxes(*corners: list[float], labels: list[int], scores: list[float] | None = None) -> dict[str, Tensor]:
    found = {"boxes": torch.tensor(corners).reshape(-1, 4), "labels": torch.tensor(labels)}
    return found if scores is None else {**found, "scores": torch.tensor(scores)}
