"""Metrics of all pictures together, against the networks' own clean output or real labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from npp.evaluation.coding import Batch
from npp.evaluation.judge_trials import TriedJudge
from npp.evaluation.judges import Judge
from npp.evaluation.part_store import PartStore
from npp.evaluation.real_labels import RealLabels
from npp.evaluation.truth import MatchedTruth, Matches


class _BatchComparison(Protocol):
    """Compares a network's predictions with something, batch by batch."""

    def add(self, batch: Batch, predictions: list[Any]) -> None:
        """Adds the predictions for a batch."""

    def result(self) -> Any:
        """The result of all batches, in the form in which it is stored."""


class _WithCleanOutput:
    """Compares predictions with the network's own output on the originals, by its task's metric."""

    def __init__(self, judge: Judge, names: Sequence[str]) -> None:
        self._judge, self._names, self._metric = judge, names, judge.task.metric()

    def add(self, batch: Batch, predictions: list[Any]) -> None:
        self._metric.update(predictions, batch.targets_in_memory(self._judge))

    def result(self) -> dict[str, float]:
        values = self._metric.compute()
        return {name: float(values[name]) for name in self._names}


class _WithTruth:
    """Compares predictions with real labels."""

    def __init__(self, judge: Judge, truth: MatchedTruth) -> None:
        self._judge, self._truth, self._matcher = judge, truth, truth.matcher(judge)

    def add(self, batch: Batch, predictions: list[Any]) -> None:
        self._matcher.add(predictions, self._truth.targets(self._judge, batch.paths))

    def result(self) -> dict[str, Any]:
        return self._matcher.result().packed()


class _Unfinished(NamedTuple):
    """A comparison whose result the store does not have yet."""

    kind: str
    label: str
    key: Any
    comparison: _BatchComparison


class DatasetMetrics:
    """Metrics of the networks for one arm at one qp, or for the originals; stored ones are not recomputed.

    Args:
        judges: the networks.
        store: store of finished parts.
        key: key of the pictures.
        labels: real labels.
    """

    def __init__(self, judges: Sequence[TriedJudge], store: PartStore, key: Any, labels: RealLabels) -> None:
        self._store, self._judges = store, judges
        self._truths: dict[str, MatchedTruth] = {}
        self._results: dict[tuple[str, str], Any] = {}  # in their stored form, by kind and network's label
        self._unfinished: list[_Unfinished] = []
        for tried in judges:
            judge = tried.judge
            if tried.metrics:
                self._begin("metric", judge, key, partial(_WithCleanOutput, judge, tried.metrics))
            if (truth := labels.matched(judge)) is not None:
                self._truths[judge.label] = truth
                self._begin("matches", judge, key, partial(_WithTruth, judge, truth))

    def _begin(self, kind: str, judge: Judge, pictures: Any, begin: Callable[[], _BatchComparison]) -> None:
        key = [kind, judge.key, pictures]
        stored = self._store.load(key)
        if stored is None:
            self._unfinished.append(_Unfinished(kind, judge.label, key, begin()))
        else:
            self._results[kind, judge.label] = stored

    def add(self, batch: Batch, predictions: Mapping[str, list[Any]]) -> None:
        """Adds a batch and its predictions by label of the network."""
        for unfinished in self._unfinished:
            unfinished.comparison.add(batch, predictions[unfinished.label])

    def compute(self) -> tuple[dict[tuple[str, str], float], dict[str, Matches]]:
        """Values by network's label and metric's name, and matches by label, of all batches."""
        for kind, label, key, comparison in self._unfinished:
            self._results[kind, label] = comparison.result()
            self._store.save(key, self._results[kind, label])
        values: dict[tuple[str, str], float] = {
            (tried.label, name): self._results["metric", tried.label][name]
            for tried in self._judges
            for name in tried.metrics
        }
        all_matches = {
            label: truth.unpacked(self._results["matches", label]) for label, truth in self._truths.items()
        }
        for label, matches in all_matches.items():
            values |= {(label, name): value for name, value in matches.values.items()}
        return values, all_matches
