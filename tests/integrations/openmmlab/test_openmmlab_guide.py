"""The section on MMDetection and MMPretrain in docs/frameworks.md: its configurations and its Python run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_openmmlab import RETINANET, runner_of, write_stock_config

import npp
from npp.tasks.openmmlab_models import build_model, read_model_config

PAGE = Path(__file__).resolve().parents[3] / "docs" / "frameworks.md"
_BLOCK = re.compile(r"^```py\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _section() -> str:
    text = PAGE.read_text(encoding="utf-8")
    return text.partition("\n## MMDetection and MMPretrain\n")[2].partition("\n## ")[0]


def _blocks() -> tuple[dict[str, str], list[str]]:
    """Files by the name in their first line, and Python to run."""
    files: dict[str, str] = {}
    python = []
    for code in _BLOCK.findall(_section()):
        name = re.match(r"# (\w+\.py)\n", code)
        if name is None:
            python.append(code)
        else:
            files[name[1]] = code
    return files, python


def test_the_section_is_there() -> None:
    files, python = _blocks()
    assert set(files) == {"coded.py", "stored.py"}
    assert len(python) == 2


def test_the_section_runs(
    coco: Path, photo: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files, python = _blocks()
    write_stock_config(tmp_path / "my_config.py", RETINANET, coco)
    for name, code in files.items():
        (tmp_path / name).write_text(code)
    config = read_model_config("my_config.py")
    torch.manual_seed(0)
    torch.save({"state_dict": build_model(config.model, "none", "mmdet").state_dict()}, "my-weights.pth")
    quick: dict[str, Any] = {
        "train_cfg.max_iters": 2,
        "train_cfg.val_interval": 2,
        "default_hooks.checkpoint.interval": 2,
        "test_cfg.qps": [30, 40],
        "model.test_effort": 0,
        "work_dir": "work_dirs/coded",
    }
    runner = runner_of(tmp_path / "coded.py", **quick)
    runner.train()
    coded = runner.test()
    assert coded["qp30/bpg/bpp"] > coded["qp40/bpg/bpp"]
    assert "coco/bbox_mAP" in json.loads(Path("work_dirs/coded/bpg_curve.json").read_text())["results"]
    namespace: dict[str, Any] = {"image": photo}
    exec(compile(python[0], "recipe", "exec"), namespace)
    assert npp.probe("photo.bpg").width == photo.shape[1]
    exec(compile(python[1], "task", "exec"), namespace)
    assert set(namespace["task"].scores(namespace["x"], namespace["clean"])) == {"kl", "f1"}
    stored = runner_of(tmp_path / "stored.py", load_from="my-weights.pth", work_dir="work_dirs/stored")
    found = stored.test()
    assert found["bpg/qp"] == 37
    assert "coco/bbox_mAP" in found


def test_settings_of_the_table_are_those_of_the_model() -> None:
    import inspect

    from npp.integrations.openmmlab import CodedModel

    named = {
        word
        for line in _section().splitlines()
        if line.startswith("| `")
        for word in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert named <= set(inspect.signature(CodedModel).parameters)
    assert len(named) >= 11
