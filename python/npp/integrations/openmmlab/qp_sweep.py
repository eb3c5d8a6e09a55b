"""A test loop of mmengine over several qps, which writes the curve as a result file of npp and as a plot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from npp.codec.options import resolve_qp
from npp.evaluation.json_values import finite, write_json
from npp.evaluation.judges import Axis
from npp.evaluation.measured_values import PICTURE, ArmMeasurements, Measurements
from npp.evaluation.report_files import arm_results
from npp.evaluation.report_pictures import plot_curves
from npp.extras import require
from npp.integrations.openmmlab.bpp_metric import BppMetric
from npp.integrations.openmmlab.recipe_hook import coded_model

_runner: Any = require("mmengine.runner", "npp.integrations.openmmlab")
_PREFIX = BppMetric.default_prefix
_RATES = ("bpp", "bytes", "bpp_of_photo", "qp")  # of BppMetric
_MORE_RATES = ("bpp_of_photo", "bytes")  # that an arm of npp evaluate does not have by itself
_DIRECTION = ("loss", "error", "mae", "mse")  # in the name of what is better when smaller


def _axis(name: str) -> Axis:
    network, _, quality = name.rpartition("/")
    rises = not any(word in quality.lower() for word in _DIRECTION)
    return Axis(network or PICTURE, quality, higher_is_better=rises, dataset=True)


def _value(at_qp: Mapping[str, Any], name: str) -> float:
    """The value of a metric at one qp, NaN where it has none.

    Without a single detection there is no precision, and COCO's is -1 where there is nothing to find.
    """
    value = float(at_qp.get(name, math.nan))
    return math.nan if name.startswith("coco/") and value < 0 else value


def _column(metrics: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [_value(at_qp, name) for at_qp in metrics]


def _numbers(metrics: Sequence[Mapping[str, Any]], prefix: str) -> list[str]:
    """The names of metrics, rates apart, that are numbers at one qp at least."""
    rates = {f"{prefix}/{rate}" for rate in _RATES}
    return sorted(
        {
            name
            for at_qp in metrics
            for name, value in at_qp.items()
            if name not in rates and isinstance(value, int | float | np.number)
        }
    )


def _measurements(
    qps: Sequence[int], metrics: Sequence[Mapping[str, Any]], arm: str, prefix: str
) -> Measurements:
    axes = {name: _axis(name) for name in _numbers(metrics, prefix)}
    curve = ArmMeasurements(
        sizes=np.array(_column(metrics, f"{prefix}/bytes")).astype(np.int64)[:, None],
        bpp=np.array(_column(metrics, f"{prefix}/bpp"))[:, None],
        scores={},
        metrics={(axis.network, axis.name): np.array(_column(metrics, name)) for name, axis in axes.items()},
    )
    return Measurements(tuple(qps), ("all",), tuple(axes.values()), {arm: curve})


def curve_results(
    qps: Sequence[int],
    metrics: Sequence[Mapping[str, Any]],
    name: str,
    description: str,
    prefix: str = _PREFIX,
) -> dict[str, Any]:
    """The results of a sweep as ``npp evaluate`` writes an arm.

    Args:
        qps: rising.
        metrics: at each of them, by mmengine's names.
        name, description: those of the curve.
        prefix: the prefix of :class:`BppMetric` in these names.
    """
    content = arm_results(_measurements(qps, metrics, name, prefix), name, description)
    results: dict[str, Any] = content["results"]
    results |= {rate: _column(metrics, f"{prefix}/{rate}") for rate in _MORE_RATES}
    content["results"] = {quality: [finite(value) for value in values] for quality, values in results.items()}
    return content


class QPSweepLoop(_runner.TestLoop):  # type: ignore[misc]  # mmengine has no types
    """Tests a :class:`CodedModel` at several qps.

    In the run's folder it writes NAME.json, ``{"name", "description", "results"}`` as ``npp evaluate`` does
    for an arm, and NAME.png. ``results`` has lists over the qps: ``q``, ``bpp`` and ``bpp_of_photo`` (see
    :class:`BppMetric`), ``bytes`` and each metric; ``null`` where the evaluator said nothing, as for mean
    average precision without a single detection.

    Args:
        runner, dataloader, evaluator, fp16: as for mmengine's ``TestLoop``.
        qps: 0 to 51.
        name: the name of the files and of the curve.

    Raises:
        ValueError: a wrong qp, or an evaluator without :class:`BppMetric`.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: Any,
        evaluator: Any,
        qps: Sequence[int] = (25, 28, 31, 34, 37, 40, 44),
        name: str = "bpg_curve",
        fp16: bool = False,
    ) -> None:
        super().__init__(runner, dataloader, evaluator, fp16)
        self.qps = sorted(set(resolve_qp(list(qps), len(qps))))
        self._name = name
        rates = [metric for metric in self.evaluator.metrics if isinstance(metric, BppMetric)]
        if not rates:
            raise ValueError("QPSweepLoop needs dict(type='BppMetric') in test_evaluator")
        self._prefix: str = rates[0].prefix

    def run(self) -> dict[str, Any]:
        """Tests at each qp.

        Returns:
            All metrics, as ``qp37/coco/bbox_mAP``.
        """
        model = coded_model(self.runner)
        before, metrics = model.test_qp, []
        try:
            for qp in self.qps:
                model.test_qp = qp
                metrics.append(dict(super().run()))
        finally:
            model.test_qp = before
        if require("mmengine.dist", "a test").is_main_process():
            self._write(metrics)
        return {
            f"qp{qp}/{name}": value
            for qp, at_qp in zip(self.qps, metrics, strict=True)
            for name, value in at_qp.items()
        }

    def _write(self, metrics: Sequence[Mapping[str, Any]]) -> None:
        folder = Path(self.runner.work_dir)
        folder.mkdir(parents=True, exist_ok=True)
        model = coded_model(self.runner)
        options = ", ".join(f"{name} {value}" for name, value in model.recipe.options.items())
        text = (
            f"{self.runner.experiment_name}, BPG ({options}); bpp is for pixels of what the network was given"
        )
        content = curve_results(self.qps, metrics, self._name, text, self._prefix)
        write_json(folder / f"{self._name}.json", content)
        measured = _measurements(self.qps, metrics, self._name, self._prefix)
        if measured.axes:
            plot_curves(measured, folder / f"{self._name}.png", self.runner.experiment_name)
