"""Small photos, a small configuration and a known curve for the tests of training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import npp.cli
from npp.training.baseline import Curve
from npp.training.draws import Sample
from npp.training.lightning_module import RecipeModule
from npp.training.train_config import TrainConfig, load_config
from npp.training.training_run import train_recipe

ROOT = Path(__file__).resolve().parents[2]
NETWORK = "python:training_nets:classifier"
SMALL_TASK = f"tasks=[{{name: classification, model: '{NETWORK}'}}]"


def pictures(count: int, size: int) -> Tensor:
    """(count, 3, size, size) in [0, 1] with coarse and fine detail; the same every time."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(count, 3, size // 8, size // 8, generator=generator)
    fine = torch.rand(count, 3, size, size, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")
    return (0.8 * smooth + 0.2 * fine).clamp(0, 1)


def smoke(photos: Path, out: Path, *changes: str) -> TrainConfig:
    """configs/smoke.yaml with a small network."""
    given = [f"data.folder={photos}", f"out={out}", SMALL_TASK, "trainer.progress=false", *changes]
    return load_config(ROOT / "configs/smoke.yaml", given)


def state(path: Path) -> dict[str, Any]:
    """A checkpoint."""
    checkpoint: dict[str, Any] = torch.load(path, weights_only=True)
    return checkpoint


class _PowerCutError(Exception):
    pass


def run_until_power_cut(config: TrainConfig, index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trains until a step ends the run in its middle."""

    def fail(self: RecipeModule, batch: Sample, at: int) -> Tensor:
        if at == index:
            raise _PowerCutError
        return step(self, batch, at)

    step = RecipeModule.training_step
    with monkeypatch.context() as patch:
        patch.setattr(RecipeModule, "training_step", fail)
        with pytest.raises(_PowerCutError):
            train_recipe(config)


def exponential(scale: float = 1.0) -> Curve:
    """bpp = 8 exp(-qp / 10), loss = scale · exp(qp / 5) / 1000."""
    qps = [25, 30, 35, 40, 45]
    return Curve(
        qps,
        [8 * math.exp(-qp / 10) for qp in qps],
        {"a": [scale * math.exp(qp / 5) / 1000 for qp in qps], "b": [math.exp(qp / 5) for qp in qps]},
    )


def run_cli(*words: str) -> int:
    """The exit code."""
    with pytest.raises(SystemExit) as ended:
        npp.cli.main(list(words))
    return int(ended.value.code or 0)
