"""Checkpoints of an allocator's training, from which a stopped one goes on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.optim.swa_utils import AveragedModel

from npp.allocation import Allocator
from npp.config.digests import hash_state
from npp.config.typed import plain
from npp.training.allocator_config import DistilSettings
from npp.training.allocator_examples import LabelScales
from npp.weight_files import read_torch_file, write_torch_file

_START = "weights to start from"


class TrainingState(NamedTuple):
    """The state of a training, from which it can go on.

    Attributes:
        allocator: the network that is trained.
        mean: the moving average of its weights.
        optimiser: its optimiser.
        scales: the scales by which targets are standardised.
        conditions: see :func:`conditions_of`.
    """

    allocator: Allocator
    mean: AveragedModel
    optimiser: torch.optim.Optimizer
    scales: LabelScales
    conditions: Mapping[str, Any]

    def store(self, path: Path, step: int) -> None:
        """Writes a checkpoint after so many steps, whole or not at all."""
        state = {
            "step": step,
            "conditions": self.conditions,
            "allocator": self.allocator.state_dict(),
            "mean": self.mean.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scales": self.scales._asdict(),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        write_torch_file(path, state)

    def restored(self, path: Path, steps: int) -> tuple[int, TrainingState]:
        """Reads the state of a checkpoint, where there is one; weights and optimiser are changed in place.

        Args:
            path: the checkpoint.
            steps: the number of steps of the whole run.

        Returns:
            How many steps were done, 0 where there is no checkpoint, and the state. Its scales are those of
            the labels that the run began with, for others may have come since.

        Raises:
            ValueError: see :func:`read_checkpoint`.
        """
        state = read_checkpoint(path, steps, self.conditions)
        if state is None:
            return 0, self
        self.allocator.load_state_dict(state["allocator"])
        self.mean.load_state_dict(state["mean"])
        self.optimiser.load_state_dict(state["optimiser"])
        scales = LabelScales(**state["scales"]) if "scales" in state else self.scales
        return int(state["step"]), self._replace(scales=scales)


def conditions_of(settings: DistilSettings, allocator: Allocator) -> dict[str, Any]:
    """The settings and weights that must be the same where a training goes on; only steps may be more."""
    found = {**plain(settings), "allocator": allocator.settings.as_mapping()}
    optimiser = {name: value for name, value in found.pop("optimiser").items() if name != "steps"}
    return {**found, **optimiser, _START: hash_state(allocator)[:16]}


def read_checkpoint(path: Path, steps: int, now: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A checkpoint that a training can go on from, or ``None`` where there is none.

    Args:
        path: the file.
        steps: the number of steps of the whole run.
        now: the :func:`conditions_of` the training.

    Raises:
        ValueError: it is damaged, of another training, or has done more steps; the message says which.
    """
    if not path.is_file():
        return None
    try:
        state: Mapping[str, Any] = read_torch_file(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is no checkpoint, or a damaged one; remove it: {error}") from None
    for name, before in state.get("conditions", now).items():
        if name == _START and now[name] != before:
            raise ValueError(f"{path} is of a training with other {name}; take another out, or remove it")
        if now[name] != before:
            raise ValueError(f"{path} is of a training with {name} {before!r}, not {now[name]!r}")
    if (step := int(state["step"])) > steps:
        raise ValueError(f"{path} has done {step} steps, more than the {steps} of the whole run")
    return state
