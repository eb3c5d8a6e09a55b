"""``npp train`` and ``npp evaluate`` for one network of somebody else's, with tiny files of settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import run
from torch import Tensor

from npp.tasks import Task, build_task

SMOKE = Path(__file__).resolve().parents[1] / "configs" / "smoke.yaml"
#: λ without a curve: the divergence of a network that sees nothing need not rise with the qp.
GIVEN: dict[str, Any] = {"trade_off": {"pairs": [[30, 1.0], [40, 0.5]]}, "loss": {"normalise": "none"}}


class BuiltTasks:
    """The tasks that commands make, with the state that each began with."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._built: list[tuple[Task, dict[str, Tensor]]] = []
        patch.setattr("npp.training.configured_tasks.build_task", self._build)
        patch.setattr("npp.tasks.build_task", self._build)  # where npp evaluate takes it from

    def _build(self, name: str, **settings: Any) -> Task:
        task = build_task(name, **settings)
        self._built.append((task, {key: value.clone() for key, value in task.state_dict().items()}))
        return task

    def stayed(self) -> bool:
        """Whether there are some, all are as they were to the last bit, and none is in training mode."""
        return bool(self._built) and all(
            not any(part.training for part in task.modules())
            and all(torch.equal(value, before[key]) for key, value in task.state_dict().items())
            for task, before in self._built
        )


def train_file(task: dict[str, Any], photos: Path, folder: Path, **changes: Any) -> Path:
    """A file for ``npp train``, the smoke run with that task and three steps; ``changes`` are sections."""
    import yaml

    config = yaml.safe_load(SMOKE.read_text(encoding="utf-8"))
    config |= {"out": str(folder / "trained"), "tasks": [task], **changes}
    config["data"]["folder"] = str(photos)
    config["trainer"]["progress"] = False
    config["optimiser"]["steps"] = config["validation"]["every"] = 3
    path = folder / "train.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def measured(task: dict[str, Any], photos: Path, folder: Path) -> dict[str, Any]:
    """What ``npp evaluate`` says of BPG at five qps, the fewest that it takes."""
    import yaml

    config = {
        "data": {"folder": str(photos), "mode": "full", "part": "all"},
        "selection": {"folder": str(photos), "part": "all"},
        "qps": [26, 30, 34, 38, 44],
        "seen": [{**task, "label": "own"}],
        "unseen": [],
        "arms": [{"name": "bpg", "effort": 0}, {"name": "machine", "effort": 0, "tune": "machine"}],
        "analysis": {"samples": 10},
        "batch": 2,
        "threads": 1,
    }
    path = folder / "evaluate.yaml"
    path.write_text(yaml.safe_dump(config))
    assert run("evaluate", path, "--out", folder / "measured") == 0
    (curve,) = (folder / "measured").rglob("bpg.json")
    results: dict[str, Any] = json.loads(curve.read_text())["results"]
    return results
