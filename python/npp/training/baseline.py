"""BPG's own curve of rate and task loss over the qp: how it is measured, compared and kept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from npp.checks import MAX_QP
from npp.config.yaml_files import ConfigError
from npp.evaluation import bd_rate, monotone
from npp.files import write_file
from npp.gradient.pairing import Compressed
from npp.gradient.refine_objective import NO_GRADIENT, gradient_of
from npp.pchip import Floats
from npp.tasks import Task

#: Codes pictures (N, 3, H, W) in [0, 1] at a qp.
Coder: TypeAlias = Callable[[Tensor, int], Compressed]

# Smaller losses count as this one, so that all have logarithms.
LEAST_LOSS = 1e-9

_LEAST_RANGE = 4  # the least number of qps that a curve spans


@dataclass(frozen=True)
class Curve:
    """A curve of means over photos, qp by qp.

    Attributes:
        qps: the qps, rising.
        bpp: bits a pixel at each.
        losses: the losses at each, by the task's label.
    """

    qps: list[int]
    bpp: list[float]
    losses: dict[str, list[float]]


def spread_qps(low: int, high: int, points: int) -> list[int]:
    """Spreads about as many qps as points, at least two, evenly from one end to the other."""
    return sorted({round(low + (high - low) * i / (points - 1)) for i in range(points)})


def sloped_qps(choices: Sequence[int], points: int) -> list[int]:
    """Spreads qps over the range of rising choices, which is widened to some qps at least to have a slope."""
    low, high = choices[0], choices[-1]
    low, high = min(low, max(0, high - _LEAST_RANGE)), max(high, min(MAX_QP, low + _LEAST_RANGE))
    return spread_qps(low, high, points)


class Sums:
    """Adds up bits and losses of pictures, for each qp.

    Args:
        qps: the points of the curve, in any order; a qp that is there twice is one point.
        labels: the labels of the tasks.
        device: the device of the sums.
    """

    def __init__(self, qps: Sequence[int], labels: Sequence[str], device: torch.device | str = "cpu") -> None:
        self._qps = sorted(set(qps))
        self._labels = list(labels)
        # Columns: pictures, bpp, one loss for each task.
        self.values = torch.zeros(len(self._qps), 2 + len(self._labels), dtype=torch.float64, device=device)

    def add(self, qp: int, bpp: Tensor, losses: Tensor) -> None:
        """Adds pictures.

        Args:
            qp: at which they were coded, one of the sums' own.
            bpp: (N,) bits of each one's file for each pixel.
            losses: (N, tasks) losses of the decoded pictures, in the order of the labels.
        """
        row = self.values[self._qps.index(qp)]
        row += torch.cat([bpp.new_ones(len(bpp), 1), bpp[:, None], losses], 1).sum(0).to(row)

    def curve(self) -> Curve:
        """The curve of the means."""
        means = (self.values[:, 1:] / self.values[:, :1]).cpu()
        losses = {label: means[:, 1 + i].tolist() for i, label in enumerate(self._labels)}
        return Curve(self._qps, means[:, 0].tolist(), losses)


def task_losses(tasks: Mapping[str, Task], images: Tensor, targets: Mapping[str, Sequence[Any]]) -> Tensor:
    """Computes the losses (N, tasks) of pictures (N, 3, H, W)."""
    return torch.stack([task.loss(images, targets[label]).float() for label, task in tasks.items()], 1)


@torch.no_grad()
def add_points(
    sums: Sums,
    images: Tensor,
    targets: Mapping[str, Sequence[Any]],
    tasks: Mapping[str, Task],
    qps: Iterable[int],
    coder: Coder,
) -> None:
    """Codes pictures at every qp and adds their bits and losses to sums.

    Args:
        sums: changed in place.
        images: (N, 3, H, W) in [0, 1].
        targets: the targets of each picture, by the task's label.
        tasks: the tasks by label, in the order of the sums' labels.
        qps: some of the sums' own.
        coder: codes the pictures.
    """
    for qp in qps:
        coded = coder(images, qp)
        sums.add(qp, coded.bpp, task_losses(tasks, coded.x_hat, targets))


@torch.enable_grad()
def _check_gradient(label: str, task: Task, images: Tensor, targets: Sequence[Any]) -> None:
    """Raises ConfigError unless a task's loss has a gradient: a training would silently save bits alone."""
    seen = images.detach().requires_grad_()
    if gradient_of(task.loss(seen, targets).sum(), seen) is None:
        raise ConfigError(f"the loss of {label} has {NO_GRADIENT}")


def measure(
    batches: Iterable[Tensor],
    tasks: Mapping[str, Task],
    qps: Sequence[int],
    coder: Coder,
    device: torch.device | str = "cpu",
) -> Curve:
    """Measures the curve of a codec over all pictures of some batches.

    Args:
        batches: (N, 3, H, W) each, in [0, 1].
        tasks: the tasks by label, whose losses compare with their predictions on the pictures before coding.
        qps: the points of the curve, in any order.
        coder: codes the pictures: without filter and map where the curve is the codec's own.
        device: the device of the tasks' networks.

    Raises:
        ConfigError: a task's loss has no gradient with respect to the pictures.
    """
    sums = Sums(qps, list(tasks), device)
    for index, batch in enumerate(batches):
        images = batch.to(device)
        targets = {label: task.loss_targets(images) for label, task in tasks.items()}
        if index == 0:
            for label, task in tasks.items():
                _check_gradient(label, task, images[:1], targets[label][:1])
        add_points(sums, images, targets, tasks, qps, coder)
    return sums.curve()


def log_heights(curve: Curve, label: str) -> tuple[Floats, Floats]:
    """Returns the bits and the negative logarithm of a task's losses, a quality that rises with the bits."""
    return np.array(curve.bpp), -np.log(np.maximum(curve.losses[label], LEAST_LOSS))


def curve_bd_rate(anchor: Curve, curve: Curve, label: str) -> float:
    """The BD-rate in percent at equal log-loss of a task; NaN where the curves do not overlap."""
    try:
        return bd_rate(*monotone(*log_heights(anchor, label)), *monotone(*log_heights(curve, label)))
    except ValueError:
        return math.nan


def save_curves(path: Path, curves: Mapping[str, Curve], conditions: Mapping[str, Any]) -> None:
    """Writes curves as JSON with the conditions they were measured under; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"conditions": conditions, "curves": {name: asdict(curve) for name, curve in curves.items()}}
    # Not write_json: a loss that is NaN must be NaN again when it is read, so that messages can name it.
    write_file(path, json.dumps(content, indent=1).encode(), force=True)


def load_curves(path: Path, conditions: Mapping[str, Any]) -> dict[str, Curve] | None:
    """Reads curves from JSON; ``None`` where there is no file or it has other conditions.

    Raises:
        ConfigError: the file is not one of these.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["conditions"] != json.loads(json.dumps(conditions)):
            return None
        return {name: Curve(**curve) for name, curve in content["curves"].items()}
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} holds no curves ({error}); remove it") from None
