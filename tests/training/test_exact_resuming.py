"""A run that was stopped ends with the weights of one that was not, whatever the settings."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_runs import smoke, state

from npp.training.lightning_module import RecipeModule
from npp.training.training_run import train_recipe

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own


class _PowerCutError(Exception):
    pass


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
    def fail(self: RecipeModule, batch: object, index: int) -> object:
        if index == 3:
            raise _PowerCutError
        return step(self, batch, index)  # type: ignore[arg-type]

    step = RecipeModule.training_step
    changes = (*changes, "optimiser.steps=5", "trainer.keep=last")
    train_recipe(smoke(photos, tmp_path / "whole", *changes))
    cut = smoke(photos, tmp_path / "cut", *changes)
    with monkeypatch.context() as patch:
        patch.setattr(RecipeModule, "training_step", fail)
        with pytest.raises(_PowerCutError):
            train_recipe(cut)
    last = tmp_path / "cut/checkpoints/last.ckpt"
    assert state(last)["global_step"] == 3
    train_recipe(cut, resume=last)
    whole, found = (state(tmp_path / name / "checkpoints/last.ckpt") for name in ("whole", "cut"))
    assert whole["global_step"] == found["global_step"] == 5
    for name, tensor in whole["state_dict"].items():
        assert torch.equal(tensor, found["state_dict"][name]), name
