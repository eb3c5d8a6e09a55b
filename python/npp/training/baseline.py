"""BPG's own curve of rate and task loss over the qp: what a bit is worth to a task, and what to beat."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from npp.checks import MAX_QP
from npp.config.yaml_files import ConfigError
from npp.evaluation import bd_rate, monotone
from npp.evaluation.json_values import write_json
from npp.evaluation.score_checks import ROUNDING
from npp.gradient.pairing import Compressed
from npp.gradient.refine_objective import NO_GRADIENT, gradient_of
from npp.pchip import Floats
from npp.tasks import Task

Code = Callable[[Tensor, int], Compressed]

# Below it there is nothing left to lose, and no logarithm.
LEAST_LOSS = 1e-9

_LEAST_RANGE = 4  # qps over which the curve is measured at least

# A fitted slope flatter than this part of the mean one is an end of a parabola, not of the codec.
_FLATTEST = 0.25


@dataclass(frozen=True)
class Curve:
    """Means over photos, qp by qp.

    Attributes:
        qps: rising.
        bpp: bits a pixel.
        losses: of each task by its label.
    """

    qps: list[int]
    bpp: list[float]
    losses: dict[str, list[float]]


def spread_qps(low: int, high: int, points: int) -> list[int]:
    """About as many qps as points, at least two: evenly spaced, both ends included."""
    return sorted({round(low + (high - low) * i / (points - 1)) for i in range(points)})


def sloped_qps(choices: Sequence[int], points: int) -> list[int]:
    """:func:`spread_qps` over rising qps, and over some at least: one qp alone has no slope."""
    low, high = choices[0], choices[-1]
    low, high = min(low, max(0, high - _LEAST_RANGE)), max(high, min(MAX_QP, low + _LEAST_RANGE))
    return spread_qps(low, high, points)


class Sums:
    """Adds up bits and losses of pictures, for each qp.

    Args:
        qps: the points of the curve, in any order; a qp that is there twice is one point.
        labels: of the tasks.
        device: where the sums are.
    """

    def __init__(self, qps: Sequence[int], labels: Sequence[str], device: torch.device | str = "cpu") -> None:
        self._qps = sorted(set(qps))
        self._labels = list(labels)
        # Columns: pictures, bpp, one loss for each task.
        self.values = torch.zeros(len(self._qps), 2 + len(self._labels), dtype=torch.float64, device=device)

    def add(self, qp: int, bpp: Tensor, losses: Tensor) -> None:
        """Pictures (N,) and their losses (N, tasks) at a qp."""
        row = self.values[self._qps.index(qp)]
        row += torch.cat([bpp.new_ones(len(bpp), 1), bpp[:, None], losses], 1).sum(0).to(row)

    def curve(self) -> Curve:
        """The means."""
        means = (self.values[:, 1:] / self.values[:, :1]).cpu()
        losses = {label: means[:, 1 + i].tolist() for i, label in enumerate(self._labels)}
        return Curve(self._qps, means[:, 0].tolist(), losses)


def task_losses(tasks: Mapping[str, Task], images: Tensor, targets: Mapping[str, Sequence[Any]]) -> Tensor:
    """Losses (N, tasks) of pictures (N, 3, H, W)."""
    return torch.stack([task.loss(images, targets[label]).float() for label, task in tasks.items()], 1)


@torch.no_grad()
def add_points(
    sums: Sums,
    images: Tensor,
    targets: Mapping[str, Sequence[Any]],
    tasks: Mapping[str, Task],
    qps: Iterable[int],
    code: Code,
) -> None:
    """Codes pictures (N, 3, H, W) at every qp and adds what came of it.

    Args:
        sums: changed in place.
        targets: the tasks' targets by label.
        code: (pictures, qp) to what came out of the codec.
    """
    for qp in qps:
        coded = code(images, qp)
        sums.add(qp, coded.bpp, task_losses(tasks, coded.x_hat, targets))


@torch.enable_grad()
def _check_gradient(label: str, task: Task, images: Tensor, targets: Sequence[Any]) -> None:
    """Raises ConfigError for a task whose loss has no gradient: a training would save bits alone, unseen."""
    seen = images.detach().requires_grad_()
    if gradient_of(task.loss(seen, targets).sum(), seen) is None:
        raise ConfigError(f"the loss of {label} has {NO_GRADIENT}")


def measure(
    batches: Iterable[Tensor],
    tasks: Mapping[str, Task],
    qps: Sequence[int],
    code: Code,
    device: torch.device | str = "cpu",
) -> Curve:
    """The codec's curve on batches (N, 3, H, W) in [0, 1].

    Args:
        code: as :func:`add_points` takes it: the codec, without filter and map.

    Raises:
        ConfigError: a task's loss has no gradient with respect to the pictures.
    """
    sums = Sums(qps, list(tasks), device)
    for place, batch in enumerate(batches):
        images = batch.to(device)
        targets = {label: task.loss_targets(images) for label, task in tasks.items()}
        if place == 0:
            for label, task in tasks.items():
                _check_gradient(label, task, images[:1], targets[label][:1])
        add_points(sums, images, targets, tasks, qps, code)
    return sums.curve()


def log_heights(curve: Curve, label: str) -> tuple[Floats, Floats]:
    """Bits and the negative logarithm of a task's losses: a quality that rises."""
    return np.array(curve.bpp), -np.log(np.maximum(curve.losses[label], LEAST_LOSS))


def curve_bd_rate(anchor: Curve, curve: Curve, label: str) -> float:
    """BD-rate in percent at equal log-loss of a task; NaN where the curves do not overlap."""
    try:
        return bd_rate(*monotone(*log_heights(anchor, label)), *monotone(*log_heights(curve, label)))
    except ValueError:
        return math.nan


class Trend:
    """A smooth, monotone line through the logarithms of a curve's values.

    A parabola by least squares, or a straight line where the parabola would turn or nearly so.

    Args:
        name: of what is fitted, for messages.
        qps: at least three.
        values: positive.
        rising: whether values rise with the qp.

    Raises:
        ValueError: they do not, not even on the whole, none is more than nothing, one is not finite, or one
            is below 0.
    """

    def __init__(self, name: str, qps: Sequence[int], values: Sequence[float], *, rising: bool) -> None:
        for qp, value in zip(qps, values, strict=True):
            if not math.isfinite(value):
                raise ValueError(f"{name} is {'NaN' if math.isnan(value) else 'infinite'} at qp {qp}")
            if value < -ROUNDING:
                raise ValueError(
                    f"{name} is {value:.4g} at qp {qp}, and what is below 0 has no logarithm, which the "
                    "weights go by: add a constant to it"
                )
        if not max(values) > LEAST_LOSS:
            raise ValueError(
                f"{name} is nothing at any qp, as with a network that was not trained: {list(values)}; "
                "more photos may help"
            )
        x = np.asarray(qps, np.float64)
        y = np.log(np.maximum(np.asarray(values, np.float64), LEAST_LOSS))
        straight = np.polynomial.Polynomial.fit(x, y, 1)
        slope = float(straight.deriv()(x[0]))
        if not slope * (1 if rising else -1) > 0:
            direction = "rise" if rising else "fall"
            raise ValueError(
                f"{name} does not {direction} from qp {qps[0]} to {qps[-1]}: {list(values)}; "
                "more photos may help"
            )
        curved = np.polynomial.Polynomial.fit(x, y, 2)
        ends = curved.deriv()(x[[0, -1]]) / slope
        self._log = curved if ends.min() >= _FLATTEST else straight
        self._slope = self._log.deriv()

    def value(self, qps: npt.ArrayLike) -> Floats:
        """Fitted values."""
        return np.exp(np.asarray(self._log(np.asarray(qps, np.float64)), np.float64))

    def log_slope(self, qps: npt.ArrayLike) -> Floats:
        """d log(value) / d qp."""
        return np.asarray(self._slope(np.asarray(qps, np.float64)), np.float64)


class Baseline:
    """The fitted curve.

    Raises:
        ValueError: bits do not fall or a loss does not rise with the qp.
    """

    def __init__(self, curve: Curve) -> None:
        self._bpp = Trend("bpp", curve.qps, curve.bpp, rising=False)
        self._losses = {
            label: Trend(f"the loss of {label}", curve.qps, losses, rising=True)
            for label, losses in curve.losses.items()
        }

    def bpp(self, qps: npt.ArrayLike) -> Floats:
        """Bits a pixel."""
        return self._bpp.value(qps)

    def loss(self, label: str, qps: npt.ArrayLike) -> Floats:
        """A task's loss."""
        return self._losses[label].value(qps)

    def slope(self, label: str, qps: npt.ArrayLike) -> Floats:
        """λ = -d bpp / d loss: the bits a pixel that a unit of loss costs on BPG's own curve."""
        loss = self._losses[label]
        return -self.bpp(qps) * self._bpp.log_slope(qps) / (loss.value(qps) * loss.log_slope(qps))


def save_curves(path: Path, curves: Mapping[str, Curve], conditions: Mapping[str, Any]) -> None:
    """Writes curves as JSON, with what they were measured under; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"conditions": conditions, "curves": {name: asdict(curve) for name, curve in curves.items()}}
    write_json(path, content)


def load_curves(path: Path, conditions: Mapping[str, Any]) -> dict[str, Curve] | None:
    """Curves from JSON; None where there is no such file or it was measured under other conditions.

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
