"""``mmdet:CONFIG:CHECKPOINT`` in files of ``npp train`` and ``npp evaluate``, from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import run
from framework_commands import GIVEN, BuiltTasks, measured, train_file
from small_openmmlab import FCOS, lively

import npp
from npp.tasks.openmmlab_models import build_model, read_model_config

pytest.importorskip("yaml", reason="configurations need pyyaml")
pytest.importorskip("lightning", reason="training needs lightning")


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A task, as a file of settings has it, of a detector that finds something without training."""
    folder = tmp_path_factory.mktemp("detector")
    config = read_model_config(FCOS)
    _, config.model = lively(FCOS)
    resize = {"type": "Resize", "scale": (96, 72), "keep_ratio": True}
    config.test_pipeline = [{"type": "LoadImageFromFile"}, resize]
    config.dump(folder / "own.py")
    torch.manual_seed(0)
    weights = build_model(config.model, "none", "mmdet").state_dict()
    torch.save({"state_dict": weights}, folder / "own.pth")
    return {"name": "detection", "model": f"mmdet:{folder}/own.py:{folder}/own.pth", "threshold": 0.0}


def test_npp_train_takes_it(task: dict[str, Any], coco: Path, tmp_path: Path, built: BuiltTasks) -> None:
    assert run("train", train_file(task, coco / "img", tmp_path, **GIVEN)) == 0
    recipe = npp.Recipe.load(tmp_path / "trained" / "recipe.safetensors")
    assert recipe.preprocessor is not None
    assert built.stayed()


def test_npp_evaluate_takes_it(task: dict[str, Any], coco: Path, tmp_path: Path, built: BuiltTasks) -> None:
    results = measured(task, coco / "img", tmp_path)
    assert len(results["q"]) == 5 and results["bpp"] == sorted(results["bpp"], reverse=True)
    assert built.stayed()


def test_a_name_that_leads_nowhere_ends_the_command(
    coco: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {"name": "detection", "model": "mmdet:none.py:none"}
    assert run("train", train_file(wrong, coco / "img", tmp_path)) == 2
    assert "none.py is neither a file nor a configuration of MMDetection" in capsys.readouterr().err
