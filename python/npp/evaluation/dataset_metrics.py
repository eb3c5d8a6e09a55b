"""Qualities of all pictures together: against the networks' own clean output, and against real labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from npp.evaluation.coding import Batch
from npp.evaluation.judges import Judge
from npp.evaluation.part_store import PartStore
from npp.evaluation.real_labels import RealLabels
from npp.evaluation.truth import MatchedTruth, Matcher, Matches

if TYPE_CHECKING:
    from npp.tasks import Metric


@dataclass(frozen=True)
class JudgeNames:
    """Names of what a judge measures.

    Attributes:
        scores: of each picture, against its own clean output.
        metrics: of all pictures together, against its own clean output.
        true_scores, true_metrics: the same against real labels.
    """

    scores: list[str]
    metrics: list[str]
    true_scores: list[str]
    true_metrics: list[str]

    @property
    def predicts(self) -> bool:
        """Whether predictions are needed besides the scores."""
        return bool(self.metrics or self.true_metrics)


class DatasetMetrics:
    """The networks' metrics of one arm at one qp, where the store does not have them yet.

    Args:
        networks: the judges.
        names: of what each of them measures.
        store: finished parts.
        key: of the arm's files.
        labels: real ones.
    """

    def __init__(
        self,
        networks: Sequence[Judge],
        names: Sequence[JudgeNames],
        store: PartStore,
        key: Any,
        labels: RealLabels,
    ) -> None:
        self._store = store
        self._known: dict[tuple[str, str], float] = {}
        self._matches: dict[str, Matches] = {}
        self._open: list[tuple[Judge, list[str], Metric, Any]] = []
        self._unmatched: list[tuple[Judge, MatchedTruth, Matcher, Any]] = []
        for network, wanted in zip(networks, names, strict=True):
            if wanted.metrics:
                self._find(network, wanted.metrics, ["metric", network.key, key])
            if (truth := labels.matched(network)) is not None:
                self._find_matches(network, truth, ["matches", network.key, key])

    def _find(self, network: Judge, wanted: list[str], key: Any) -> None:
        stored = self._store.load(key)
        if stored is None:
            self._open.append((network, wanted, network.task.metric(), key))
        else:
            self._known |= {(network.label, name): stored[name] for name in wanted}

    def _find_matches(self, network: Judge, truth: MatchedTruth, key: Any) -> None:
        stored = self._store.load(key)
        if stored is None:
            self._unmatched.append((network, truth, truth.matcher(network), key))
        else:
            self._matches[network.label] = truth.unpacked(stored)

    def add(self, batch: Batch, predictions: dict[str, list[Any]]) -> None:
        """Adds a batch."""
        for network, _, metric, _ in self._open:
            metric.update(predictions[network.label], batch.targets_in_memory(network))
        for network, truth, matcher, _ in self._unmatched:
            matcher.add(predictions[network.label], truth.targets(network, batch.paths))

    def compute(self) -> tuple[dict[tuple[str, str], float], dict[str, Matches]]:
        """Values by network's label and metric's name, and matches by label, of all batches."""
        for network, wanted, metric, key in self._open:
            found = metric.compute()
            values = {name: float(found[name]) for name in wanted}
            self._store.save(key, values)
            self._known |= {(network.label, name): value for name, value in values.items()}
        for network, _, matcher, key in self._unmatched:
            matches = matcher.result()
            self._store.save(key, matches.packed())
            self._matches[network.label] = matches
        for label, matches in self._matches.items():
            self._known |= {(label, name): value for name, value in matches.values.items()}
        return self._known, self._matches
