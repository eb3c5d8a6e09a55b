"""The task of classification: one class for each picture."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from npp.extras import require
from npp.gradient.kl_divergence import kl_divergence
from npp.tasks.divergence import log_distributions, one_hot_log
from npp.tasks.frozen import plain_torch
from npp.tasks.input_format import InputSettings
from npp.tasks.logits_task import LogitsTask
from npp.tasks.networks import resolve_network
from npp.tasks.task import (
    Metric,
    all_or_none,
    as_tensor,
    check_predictions,
    not_a_tensor,
)


def is_label(target: Any) -> bool:
    """Whether a target is a class index rather than a distribution."""
    if isinstance(target, Tensor):
        return target.ndim == 0 and not target.is_floating_point() and target.dtype != torch.bool
    return isinstance(target, Integral) and not isinstance(target, bool)


def _all_labels(targets: Sequence[Any]) -> bool:
    return all_or_none(targets, is_label, "class indices")


def _labels(targets: Sequence[Any], classes: int, device: torch.device) -> Tensor:
    values = [int(target) for target in targets]
    for index, value in enumerate(values):
        if not 0 <= value < classes:
            raise ValueError(
                f"targets must be class indices from 0 to {classes - 1}, not {value} as in targets[{index}]"
            )
    return torch.tensor(values, dtype=torch.int64, device=device)


def _distributions(targets: Sequence[Any], now: Tensor) -> Tensor:
    """Log-probabilities (N, C) from labels or predictions."""
    classes = now.shape[1]
    if _all_labels(targets):
        return one_hot_log(_labels(targets, classes, now.device), classes)
    vectors = [as_tensor(target) for target in targets]
    for index, vector in enumerate(vectors):
        if vector.shape != (classes,):
            shape = tuple(vector.shape)
            raise ValueError(f"targets must be class indices or have shape ({classes},), not {shape}")
        if not vector.is_floating_point() and sorted(vector.tolist()) != [0] * (classes - 1) + [1]:
            raise ValueError(
                "targets must be class indices, or logits or probabilities as floats; "
                f"targets[{index}] is {vector.dtype} and does not choose one class"
            )
    return log_distributions(vectors, now.device)


class ClassificationMetric:
    """Top-1 and top-5 accuracy for labels; agreement of the top class for clean predictions."""

    def __init__(self) -> None:
        self._accuracy = require("torchmetrics.classification", "a metric").MulticlassAccuracy
        self._metrics: dict[str, Any] = {}

    def _update(self, name: str, top_k: int, now: Tensor, labels: Tensor) -> None:
        if name not in self._metrics:
            with plain_torch():
                metric = self._accuracy(now.shape[1], top_k=top_k, average="micro", validate_args=False)
            self._metrics[name] = metric.to(now.device)
        self._metrics[name].update(now, labels)

    def update(self, predictions: Sequence[Any], targets: Sequence[Any]) -> None:
        """Adds log-probabilities (C,) each, with labels or clean predictions."""
        check_predictions(predictions, targets)
        if not predictions:
            return
        now = torch.stack(list(predictions))
        clean = _distributions(targets, now).argmax(1)
        if not _all_labels(targets):
            self._update("agreement", 1, now, clean)
            return
        self._update("top1", 1, now, clean)
        if now.shape[1] > 5:
            self._update("top5", 5, now, clean)

    def compute(self) -> dict[str, float]:
        """``{"top1", "top5"}`` or ``{"agreement"}``, from 0 to 1; empty before the first picture."""
        return {name: float(metric.compute()) for name, metric in self._metrics.items()}


class Classification(LogitsTask):
    """A classifier with logits (N, C), or with probabilities if it ends in a softmax.

    Targets are class indices, or logits or probabilities (C,): the loss is the cross-entropy to the former,
    KL(target || now) to the latter, in nats. :meth:`targets` and :meth:`predict` give log-probabilities (C,).

    Args:
        model: see :func:`npp.tasks.load_network`, or a network.
        input: replaces parts of the network's own input by name, or all of it with an
            :class:`npp.tasks.InputFormat`.
        probabilities: whether the network ends in a softmax and returns probabilities instead of logits;
            ``None`` finds out.
    """

    name = "classification"
    higher_is_better = MappingProxyType(
        {"kl": False, "cross_entropy": False, "agreement": True, "top1": True, "top5": True}
    )

    def __init__(
        self,
        model: str | nn.Module,
        *,
        input: InputSettings | None = None,  # noqa: A002
        probabilities: bool | None = None,
    ) -> None:
        super().__init__(resolve_network(model, input), probabilities=probabilities, dim=1)

    def _log_probabilities(self, images: Tensor) -> Tensor:
        logits = self._output(images)
        if not isinstance(logits, Tensor) or logits.ndim != 2 or logits.shape[1] < 2:
            raise ValueError(
                f"the network must give logits (N, C) of at least 2 classes, not {not_a_tensor(logits)}"
            )
        return self._logits_of(logits).log_softmax(1)

    def loss(self, images: Tensor, targets: Sequence[Any]) -> Tensor:
        """Cross-entropy or KL (N,) in nats."""
        now = self._log_probabilities(images)
        return kl_divergence(_distributions(targets, now), now)

    def scores(self, images: Tensor, targets: Sequence[Any]) -> dict[str, Tensor]:
        """``{"cross_entropy", "top1"}`` for labels, ``{"kl", "agreement"}`` for predictions."""
        now = self._log_probabilities(images)
        clean = _distributions(targets, now)
        same = (clean.argmax(1) == now.argmax(1)).float()
        names = ("cross_entropy", "top1") if _all_labels(targets) else ("kl", "agreement")
        return dict(zip(names, (kl_divergence(clean, now), same), strict=True))

    def metric(self) -> Metric:
        """Accuracy or agreement, see :class:`ClassificationMetric`."""
        return ClassificationMetric()
