"""A filter that begins with random weights learns to give the picture back first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from small_runs import pictures, smoke

import npp
from npp.config.yaml_files import ConfigError
from npp.training.training_run import train_recipe

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own


def error(network: npp.Preprocessor) -> float:
    x = pictures(2, 64)
    with torch.no_grad():
        return float((network.eval()(x, 35) - x).square().mean())


def test_the_published_network_begins_with_the_picture(photos: Path, tmp_path: Path) -> None:
    unet = "preprocessor={network: unet, width: 4, pretraining: {steps: 60, batch: 2, learning_rate: 0.01}}"
    config = smoke(photos, tmp_path, unet, "optimiser.steps=1", "optimiser.learning_rate=1e-9")
    torch.manual_seed(config.seed)
    untrained = error(npp.Preprocessor("unet", width=4))
    train_recipe(config)
    pretrained = npp.Preprocessor.load(tmp_path / "pretrained.safetensors")
    assert error(pretrained) < 0.5 * untrained
    told = json.loads((tmp_path / "pretraining.json").read_text())
    assert told["steps"] == 60 and 0 < told["mse"] < untrained
    # What the codec's training begins with, and what is averaged and kept, is this filter.
    after = npp.Preprocessor.load(tmp_path / "preprocessor.safetensors")
    for name, value in pretrained.named_parameters():
        torch.testing.assert_close(dict(after.named_parameters())[name], value, rtol=0, atol=1e-5)


def test_a_filter_that_stays_has_no_pretraining(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"preprocessor\.pretraining needs train"):
        smoke(photos, tmp_path, "preprocessor={train: false, pretraining: {steps: 2}}")
