"""Tiny networks, made-up measurements and a small configuration for the tests of evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import npp
from npp.evaluation.analysis import Analyst
from npp.evaluation.evaluate_config import Analysis
from npp.evaluation.judges import Axis
from npp.evaluation.measured_values import ArmMeasurements, Measurements
from npp.progress import no_stages
from npp.tasks import Task

QPS = (28, 31, 34, 38, 42)
KL = Axis("net", "kl", higher_is_better=False, primary=True)


def tiny_network() -> nn.Module:
    """Untrained and small; its outputs depend on edges."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        first, last = nn.Conv2d(3, 8, 5, stride=3), nn.Linear(8, 6)
        nn.init.normal_(last.weight, std=20)
    return nn.Sequential(first, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)


class RedBox(nn.Module):
    """A detector of one cell: the box around all that is red, its class 1; sure where the red is strong."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        red = x[:, 0] - x[:, 1]
        corners = []
        for picture in red > 0.3:
            rows, columns = (picture.any(axis).nonzero().flatten() for axis in (1, 0))
            if len(rows):
                corners.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
            else:
                corners.append([0, 0, 1, 1])
        sure = (red.flatten(1).amax(1) * 6 - 2).sigmoid()
        scores = torch.stack([torch.full_like(sure, 0.01), sure], -1)[:, None]
        return {"boxes": torch.tensor(corners, device=x.device).float()[:, None], "scores": scores}


def red_box() -> nn.Module:
    return RedBox()


def detector(label: str = "finder") -> dict[str, Any]:
    """The configuration of a judge that finds red boxes."""
    return {
        "name": "detection",
        "model": "python:small_evaluation:red_box",
        "label": label,
        "cells": {"least_score": 0.05},
    }


class RedPixels(nn.Module):
    """A segmenter: class 1 where it is red, else class 0."""

    def forward(self, x: Tensor) -> Tensor:
        red = 20 * (x[:, 0] - x[:, 1] - 0.3)
        return torch.stack([-red, red], 1)


def red_pixels() -> nn.Module:
    return RedPixels()


def segmenter(label: str = "segmenter") -> dict[str, Any]:
    """The configuration of a judge that finds red pixels."""
    return {"name": "segmentation", "model": "python:small_evaluation:red_pixels", "label": label}


class ColourReader(nn.Module):
    """Reads six columns of what it is given: red is the first letter, green the second, blue the third."""

    def forward(self, x: Tensor) -> Tensor:
        columns = nn.functional.adaptive_avg_pool2d(x, (1, 6))[:, :, 0].transpose(1, 2)
        blank = torch.full_like(columns[..., :1], 0.5)
        return 20 * torch.cat([blank, columns], -1)


def colour_reader() -> nn.Module:
    return ColourReader()


def reader(label: str = "reader") -> dict[str, Any]:
    """The configuration of a judge that reads colours."""
    return {
        "name": "recognition",
        "model": "python:small_evaluation:colour_reader",
        "alphabet": "abc",
        "label": label,
    }


#: Corners of the rectangles of :func:`red_photos`.
RED = [(32, 16, 64, 48), (0, 48, 32, 96), (16, 16, 80, 32), (48, 32, 96, 80)]


def red_photos(folder: Path) -> None:
    """Gray photos of 96x96 with one red rectangle each."""
    folder.mkdir(parents=True)
    texture = torch.rand(96, 96, 3, generator=torch.Generator().manual_seed(1))
    for i, (x1, y1, x2, y2) in enumerate(RED):
        image = 0.4 + 0.1 * texture
        image[y1:y2, x1:x2] = torch.tensor([0.95, 0.1, 0.1])
        Image.fromarray((image * 255).round().byte().numpy()).save(folder / f"{i}.png")


def allocator(path: Path) -> npp.Allocator:
    """A small one away from its start, saved."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        made = npp.Allocator(width=8, depth=1, heads=["one"], strength=1.0).eval()
        with torch.no_grad():
            for parameter in made.network.parameters():
                parameter += 0.3 * torch.randn_like(parameter)
    made.save(path)
    return made


class Brightness(Task):
    """Mean of a picture; its metric is of all pictures together and no mean of its scores."""

    name = "brightness"
    higher_is_better: Mapping[str, bool] = MappingProxyType({"error": False, "correlation": True})

    def __init__(self) -> None:
        super().__init__(nn.Identity())

    def targets(self, images: Tensor) -> list[Any]:
        return [{"mean": image.mean()} for image in images]

    def loss(self, images: Tensor, targets: Sequence[Any]) -> Tensor:
        return (images.mean((1, 2, 3)) - torch.stack([one["mean"] for one in targets])).abs()

    def predict(self, images: Tensor) -> list[Any]:
        return self.targets(images)

    def scores(self, images: Tensor, targets: Sequence[Any]) -> dict[str, Tensor]:
        return {"error": self.loss(images, targets)}

    def metric(self) -> Any:
        class Correlation:
            def __init__(self) -> None:
                self.pairs: list[tuple[float, float]] = []

            def update(self, predictions: Sequence[Any], targets: Sequence[Any]) -> None:
                pairs = zip(predictions, targets, strict=True)
                self.pairs += [(float(one["mean"]), float(other["mean"])) for one, other in pairs]

            def compute(self) -> dict[str, float]:
                return {"correlation": float(np.corrcoef(np.array(self.pairs).T)[0, 1])}

        return Correlation()


class Goodness(Brightness):
    """The same as a quality that rises, so that there is no divergence."""

    name = "goodness"
    higher_is_better: Mapping[str, bool] = MappingProxyType({"goodness": True, "correlation": True})

    def scores(self, images: Tensor, targets: Sequence[Any]) -> dict[str, Tensor]:
        return {"goodness": 1 - self.loss(images, targets)}


def values(photos: Path, **changes: Any) -> dict[str, Any]:
    """A small configuration."""
    return {
        "data": {"folder": str(photos / "test"), "mode": "full", "part": "all"},
        "selection": {"folder": str(photos / "selection"), "part": "all"},
        "qps": list(QPS),
        "seen": [
            {"name": "classification", "model": "python:small_evaluation:tiny_network", "label": "tiny"}
        ],
        "unseen": [{"name": "python:small_evaluation:Brightness", "label": "bright"}],
        "arms": [{"name": "bpg", "effort": 0}, {"name": "machine", "effort": 0, "tune": "machine"}],
        "analysis": {"samples": 20},
        "batch": 8,
        "threads": 1,
        **changes,
    }


def with_data(given: Mapping[str, Any], **keys: Any) -> dict[str, Any]:
    """A configuration with other keys of ``data``."""
    return {**given, "data": {**given["data"], **keys}}


def measurements(**arms: tuple[np.ndarray, np.ndarray]) -> Measurements:
    """From (points, pictures) arrays of bpp and KL."""
    found = {
        name: ArmMeasurements(np.ones(bpp.shape, np.int64), bpp, {("net", "kl"): kl}, {})
        for name, (bpp, kl) in arms.items()
    }
    pictures = next(iter(arms.values()))[0].shape[1]
    return Measurements(QPS, tuple(str(i) for i in range(pictures)), (KL,), found)


def curve(pictures: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """bpp falls and KL rises with the qp, both noisy over pictures."""
    generator = np.random.default_rng(seed)
    bpp = np.exp(-0.11 * (np.array(QPS)[:, None] - 28)) * generator.lognormal(0, 0.3, pictures)
    kl = 0.02 * np.exp(0.15 * (np.array(QPS)[:, None] - 28)) * generator.lognormal(0, 0.3, (5, pictures))
    return bpp, kl


def findings(measured: Measurements, **settings: Any) -> Any:
    analysis = Analysis(**{**_ANALYSIS, **settings})
    return Analyst(measured, analysis, "a").findings(no_stages)


_ANALYSIS: dict[str, Any] = {
    "against": (),
    "differences": (),
    "groups": {},
    "samples": 100,
    "confidence": 0.95,
    "seed": 0,
}


class BelowZero(Brightness):
    """Its error is below 0."""

    def scores(self, images: Tensor, targets: Sequence[Any]) -> dict[str, Tensor]:
        return {"error": self.loss(images, targets) - 3}


class Lost(Brightness):
    """Its error is NaN where a coded picture is darker than the clean one."""

    def scores(self, images: Tensor, targets: Sequence[Any]) -> dict[str, Tensor]:
        darker = images.mean((1, 2, 3)) < torch.stack([one["mean"] for one in targets])
        return {"error": torch.where(darker, torch.nan, self.loss(images, targets))}


class ScoreWithoutDirection(Brightness):
    """Nobody knows whether more of its error is better."""

    higher_is_better: Mapping[str, bool] = MappingProxyType({"correlation": True})


class MetricWithoutDirection(Brightness):
    """Nobody knows whether more of its correlation is better."""

    higher_is_better: Mapping[str, bool] = MappingProxyType({"error": False})


class WordForDirection(Brightness):
    """A word in place of False, which would count as True."""

    higher_is_better: Any = MappingProxyType({"error": "no", "correlation": True})


class NoDirections(Brightness):
    """Says nothing of what is better."""

    higher_is_better: Any = None


class OneScore(Brightness):
    """Its error is the mean over the batch."""

    def scores(self, images: Tensor, targets: Sequence[Any]) -> dict[str, Tensor]:
        return {"error": self.loss(images, targets).mean()}


class FewTargets(Brightness):
    """Says something of the first picture only."""

    def targets(self, images: Tensor) -> list[Any]:
        return [{"mean": image.mean()} for image in images[:1]]
