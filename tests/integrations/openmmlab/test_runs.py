"""Whole runs of mmengine's runner with the configurations in configs/openmmlab."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import mmdet
import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from small_openmmlab import CONFIGS, LIVELY, LIVELY_STAGES, runner_of, write_config

import npp
from npp.integrations.openmmlab import CodedModel
from npp.integrations.openmmlab.qp_sweep import curve_results
from npp.training.baseline import Curve
from npp.training.rate_fit import Baseline

HERE = Path(__file__).parent
NO_VALIDATION = "val_cfg = None\nval_dataloader = None\nval_evaluator = None\n"
FAST = "model['codec'] = dict(surrogate='identity', threads=1)\n"


def _same(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Equal to the last bit, NaN where the other has it."""
    return torch.equal(first.nan_to_num(-1), second.nan_to_num(-1))


def _curve(folder: Path) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((folder / "bpg_curve.json").read_text())["results"]
    return results


def _runs(path: Path) -> tuple[Any, dict[str, Any]]:
    """Trains, validates and tests; the inner weights must be bit-identical afterwards."""
    runner = runner_of(path)
    before = {name: value.clone() for name, value in runner.model.inner.state_dict().items()}
    start = {name: value.clone() for name, value in runner.model.recipe.state_dict().items()}
    runner.train()
    found = runner.test()
    after, trained = runner.model.inner.state_dict(), runner.model.recipe.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert any(not torch.equal(value, trained[name]) for name, value in start.items())
    return runner, found


def test_every_configuration_has_a_run_below() -> None:
    names = {path.stem for path in CONFIGS.glob("*.py")}
    assert names == {"fcos_r50", "retinanet_r50", "faster_rcnn_r50", "resnet50", "resnext50", "resnest50"}


@pytest.mark.parametrize(
    ("name", "more"),
    [("fcos_r50", ""), ("retinanet_r50", LIVELY), ("faster_rcnn_r50", LIVELY_STAGES)],
    ids=["fcos", "retinanet", "faster_rcnn"],
)
def test_detectors_train_validate_and_test(coco: Path, tmp_path: Path, name: str, more: str) -> None:
    if name == "faster_rcnn_r50":
        pytest.importorskip("torchvision")
    runner, found = _runs(write_config(tmp_path / f"{name}.py", name, coco, more=more))
    results = _curve(tmp_path / "run")
    assert results["q"] == [30, 40]
    assert results["bpp"][0] > results["bpp"][1] > 0
    assert results["bpp"] == pytest.approx(results["bpp_of_photo"])  # Resize left the photos' size
    assert found["qp40/bpg/bytes"] == results["bytes"][1]
    if more:
        assert results["coco/bbox_mAP"] == [found["qp30/coco/bbox_mAP"], found["qp40/coco/bbox_mAP"]]
        assert results["coco/bbox_mAP_l"] == [None, None]  # there are no large boxes
        assert (tmp_path / "run" / "bpg_curve.png").stat().st_size > 1000
    else:
        assert "coco/bbox_mAP" not in results  # an untrained FCOS finds nothing at all
    recipe = npp.Recipe.load(tmp_path / "run" / "recipe.safetensors")
    for key, value in runner.model.recipe.state_dict().items():
        assert torch.equal(recipe.state_dict()[key], value)
    assert recipe.options["effort"] == 1
    assert runner.model.test_qp == 37


@pytest.mark.parametrize("name", ["resnet50", "resnext50", "resnest50"])
def test_classifiers_train_validate_and_test(classes: Path, tmp_path: Path, name: str) -> None:
    _, found = _runs(write_config(tmp_path / f"{name}.py", name, classes))
    results = _curve(tmp_path / "run")
    assert results["accuracy/top5"] == [found["qp30/accuracy/top5"], found["qp40/accuracy/top5"]]
    assert results["bpp"][1] > results["bpp_of_photo"][1]  # the photo has more pixels than what was coded
    recipe = npp.Recipe.load(tmp_path / "run" / "recipe.safetensors")
    assert len(recipe.encode(np.zeros((32, 32, 3), np.uint8))) > 0


def test_a_curve_has_its_rates_where_their_metric_has_a_prefix_of_its_own(
    classes: Path, tmp_path: Path
) -> None:
    """One that is another metric's, too."""
    for prefix in ("rate", "accuracy"):
        metrics = f"[dict(type='Accuracy', topk=(1, 5)), dict(type='BppMetric', prefix='{prefix}')]"
        path = write_config(
            tmp_path / prefix / "run.py", "resnet50", classes, more=f"test_evaluator = {metrics}\n"
        )
        found = runner_of(path).test()
        results = _curve(tmp_path / prefix / "run")
        for rate in ("bpp", "bpp_of_photo", "bytes"):
            assert results[rate] == [found[f"qp{qp}/{prefix}/{rate}"] for qp in (30, 40)]
        assert results["accuracy/top5"] == [found[f"qp{qp}/accuracy/top5"] for qp in (30, 40)]
        assert not any(f"{prefix}/{rate}" in results for rate in ("bpp", "bpp_of_photo", "bytes", "qp"))
        assert (tmp_path / prefix / "run" / "bpg_curve.png").stat().st_size > 1000


def test_a_curve_says_null_where_a_qp_has_no_precision() -> None:
    rates = {"bpg/bpp": 0.5, "bpg/bytes": 10, "bpg/bpp_of_photo": 0.5}
    found = [{"coco/bbox_mAP": 0.3, "coco/bbox_mAP_s": -1.0, **rates}, rates]
    results = curve_results([30, 40], found, "arm", "text")["results"]
    assert results["coco/bbox_mAP"] == [0.3, None]
    assert results["coco/bbox_mAP_s"] == [None, None]
    assert results["bytes"] == [10, 10]


def test_a_run_that_goes_on_is_where_the_whole_run_would_be(classes: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    init_default_scope("mmpretrain")
    inner = CodedModel("mmpretrain::resnet/resnet50_8xb32_in1k.py", "none").inner
    weights = tmp_path / "inner.pth"
    torch.save({"state_dict": inner.state_dict()}, weights)

    # With a constant rate: mmengine's cosine is another in the last digits after a restart.
    def run(name: str, steps: int, **settings: Any) -> dict[str, torch.Tensor]:
        more = FAST + NO_VALIDATION + f"train_cfg['max_iters'] = {steps}\n"
        more += "default_hooks['checkpoint'] = dict(interval=2)\nparam_scheduler = []\n"
        path = write_config(tmp_path / name / f"{steps}.py", "resnet50", classes, str(weights), more)
        runner = runner_of(path, **settings)
        runner.train()
        return {key: value.clone() for key, value in runner.model.state_dict().items()}

    whole = run("whole", 4)
    half = run("parts", 2)
    rest = run("parts", 4, resume=True, load_from=str(tmp_path / "parts" / "run" / "iter_2.pth"))
    assert int(whole["step"]) == 4
    changed = 0
    for name, value in whole.items():
        assert _same(value, rest[name]), name
        changed += not _same(value, half[name])
    assert changed > 1
    # What mmengine writes is read without running code.
    torch.load(tmp_path / "parts" / "run" / "iter_4.pth", weights_only=True)


@pytest.mark.slow
def test_two_processes_train_one_recipe(classes: Path, tmp_path: Path) -> None:
    """On CPUs the process group is made by hand: mmengine's launchers want a GPU for each process."""
    more = FAST + NO_VALIDATION + "train_cfg['max_iters'] = 2\n"
    path = write_config(tmp_path / "ddp.py", "resnet50", classes, more=more)
    command = [sys.executable, str(HERE / "two_processes.py"), str(path), str(tmp_path)]
    ranks = [
        subprocess.Popen([*command, str(rank)], env={**os.environ, "OMP_NUM_THREADS": "1"}) for rank in (0, 1)
    ]
    assert [process.wait(timeout=500) for process in ranks] == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first["start"].keys() == first["end"].keys()
    changed = 0
    for name, value in first["end"].items():
        assert _same(value, second["end"][name]), name
        changed += not _same(value, first["start"][name])
    assert changed > 0
    assert first["qps"] != second["qps"]
    assert first["rates"] == second["rates"]  # test metrics are collected over the processes
    assert (tmp_path / "run" / "recipe.safetensors").is_file()


@pytest.mark.slow
def test_the_stock_tools_take_our_configurations(coco: Path, tmp_path: Path) -> None:
    """MMDetection's own train.py and test.py, as they are installed."""
    tools = Path(mmdet.__file__).parent / ".mim" / "tools"
    path = write_config(tmp_path / "retinanet.py", "retinanet_r50", coco, more=LIVELY + FAST)
    run = [sys.executable, str(HERE / "with_stand_in.py")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*run, tools / "train.py", path], check=True, env=environment, timeout=500)
    assert (tmp_path / "run" / "recipe.safetensors").is_file()
    assert not (tmp_path / "run" / "bpg_curve.json").exists()
    checkpoint = tmp_path / "run" / "iter_3.pth"
    subprocess.run([*run, tools / "test.py", path, checkpoint], check=True, env=environment, timeout=500)
    assert _curve(tmp_path / "run")["q"] == [30, 40]
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert all(name.split(".")[0] in ("recipe", "weights", "step") for name in state)


def test_a_sweep_needs_the_rate(coco: Path, tmp_path: Path) -> None:
    path = write_config(tmp_path / "x.py", "retinanet_r50", coco, more="test_evaluator = [coco_metric]\n")
    with pytest.raises(ValueError, match="BppMetric"):
        runner_of(path).test()


def test_lambdas_by_slope_are_those_of_the_measured_curve(coco: Path, tmp_path: Path) -> None:
    """An untrained detector's losses need not rise with the qp; those of this inner model do."""
    more = """
custom_imports = dict(imports=['npp.integrations.openmmlab', 'smooth_model'], allow_failed_imports=False)
model = dict(
    _delete_=True, type='CodedModel', checkpoint='none', model=dict(type='SmoothModel'), test_effort=0,
    preprocessor=dict(network='gains'), codec=dict(surrogate='identity', threads=1),
    trade_off=dict(qps=(30, 40), slope_factor=2.0))
custom_hooks = [dict(type='RecipeHook'), dict(type='SlopeHook', batches=2, points=4)]
train_dataloader['dataset']['pipeline'] = test_pipeline
train_dataloader['sampler']['shuffle'] = False
val_cfg = None
val_dataloader = None
val_evaluator = None
"""
    runner = runner_of(write_config(tmp_path / "slope.py", "retinanet_r50", coco, more=more))
    runner.train()
    weights = runner.model.weights
    assert weights.qps == list(range(30, 41))
    task, norm = weights.task[30:41], weights.norm[30:41]
    assert bool((task > 0).all())
    assert bool((norm[1:] < norm[:-1]).all())
    assert math.isnan(float(weights.task[29]))

    def plain(qp: int) -> Any:
        return np.mean([runner.model.plain_losses(data, qp) for data in runner.train_dataloader], axis=0)

    bpp, losses = np.transpose([plain(qp) for qp in (30, 33, 37, 40)]).tolist()
    curve = Baseline(Curve([30, 33, 37, 40], bpp, {"task": losses}))
    assert task.tolist() == pytest.approx((2.0 * curve.slope("task", weights.qps)).tolist(), rel=1e-4)
    assert norm.tolist() == pytest.approx(curve.bpp(weights.qps).tolist(), rel=1e-4)
    saved = torch.load(tmp_path / "run" / "iter_3.pth", weights_only=True)["state_dict"]
    assert torch.equal(saved["weights.task"][30:41], task)
