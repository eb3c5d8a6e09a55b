"""A run that was stopped ends with the weights of one that was not, whatever the settings."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_runs import run_until_power_cut, smoke, state

from npp.training.training_run import train_recipe

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own


@pytest.mark.parametrize(
    "changes",
    [
        ("data.cache_targets=true", "data.augment=false", "optimiser.batch=3"),
        ("trainer.precision=64-true",),
        ("trainer.precision=bf16-mixed",),
    ],
    ids=["cached targets", "float64", "bfloat16"],
)
def test_a_run_goes_on_exactly(
    changes: tuple[str, ...], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = (*changes, "optimiser.steps=5", "trainer.keep=last")
    train_recipe(smoke(photos, tmp_path / "whole", *changes))
    cut = smoke(photos, tmp_path / "cut", *changes)
    run_until_power_cut(cut, 3, monkeypatch)
    last = tmp_path / "cut/checkpoints/last.ckpt"
    assert state(last)["global_step"] == 3
    train_recipe(cut, resume=last)
    whole, found = (state(tmp_path / name / "checkpoints/last.ckpt") for name in ("whole", "cut"))
    assert whole["global_step"] == found["global_step"] == 5
    for name, tensor in whole["state_dict"].items():
        assert torch.equal(tensor, found["state_dict"][name]), name
