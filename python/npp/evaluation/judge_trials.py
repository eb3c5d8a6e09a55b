"""Trials of judges on the first photos: names of their scores, and whether they fit task and labels."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from npp.checks import did_you_mean
from npp.config.typed import message_of
from npp.config.yaml_files import ConfigError
from npp.evaluation.coding import Batch
from npp.evaluation.judges import Axis, Judge
from npp.evaluation.part_store import PartStore
from npp.evaluation.real_labels import RealLabels
from npp.evaluation.score_checks import check_directions, check_scores_finite, check_scores_floor, directions
from npp.evaluation.score_stability import warn_of_instability
from npp.evaluation.truth import LabelError, NamedClass
from npp.tasks.cell_detector import CellDetector
from npp.tasks.detection import Detection
from npp.tasks.input_format import fed

_TRIED = 2  # photos


@dataclass(frozen=True)
class TriedJudge:
    """A judge with the names of what it measures.

    Attributes:
        judge: the network.
        scores: names of the scores of each picture, against its own clean output.
        metrics: names of the metrics of all pictures together, against its own clean output.
        true_scores, true_metrics: the same against real labels.
    """

    judge: Judge
    scores: list[str]
    metrics: list[str]
    true_scores: list[str]
    true_metrics: list[str]

    @property
    def label(self) -> str:
        """Its name in results."""
        return self.judge.label

    @property
    def predicts(self) -> bool:
        """Whether predictions are needed besides the scores."""
        return bool(self.metrics or self.true_metrics)

    def check_quality(self) -> None:
        """Raises ConfigError unless the quality that the judge is quoted on is measured."""
        known = [*self.scores, *self.metrics, *self.true_scores, *self.true_metrics]
        quality = self.judge.spec.quality
        if quality not in (None, *known):
            raise ConfigError(
                f"network {self.label}: quality must be one of {', '.join(known)}, not {quality!r}"
                f"{did_you_mean(quality, known)}"
            )

    def axes(self) -> list[Axis]:
        """Its qualities: against its own clean output first, then against real labels."""
        higher_is_better = directions(self.judge) | dict.fromkeys(self.true_metrics, True)
        primary = self.judge.spec.quality or self.scores[0]

        def axes_of(names: Sequence[str], *, dataset: bool, true: bool) -> list[Axis]:
            return [
                Axis(
                    self.label,
                    name,
                    higher_is_better=higher_is_better[name],
                    primary=name == primary,
                    dataset=dataset,
                    true=true,
                )
                for name in names
            ]

        return [
            *axes_of(self.scores, dataset=False, true=False),
            *axes_of(self.metrics, dataset=True, true=False),
            *axes_of(self.true_scores, dataset=False, true=True),
            *axes_of(self.true_metrics, dataset=True, true=True),
        ]


@contextmanager
def network_named(network: Judge, batch: Batch) -> Iterator[None]:
    """Turns errors of a network within the block into a ConfigError that names network and photos."""
    try:
        yield
    except (ConfigError, LabelError, ModuleNotFoundError, torch.cuda.OutOfMemoryError):
        raise
    except Exception as error:  # a user's network may raise anything
        photos = ", ".join(batch.names)
        raise ConfigError(f"network {network.label}: {_with_kind(error)} (with {photos})") from error


def _with_kind(error: Exception) -> str:
    """An error's message, with its type in front unless it is one of npp's own."""
    kind, message = type(error).__name__, message_of(error)
    return message if message.startswith(kind) or _is_npps(error) else f"{kind}: {message}"


def _is_npps(error: Exception) -> bool:
    """Whether npp's own code has raised the error, and not torch when npp called it."""
    *_, (last, _) = traceback.walk_tb(error.__traceback__)
    return isinstance(error, (TypeError, ValueError)) and str(last.f_globals["__name__"]).startswith("npp.")


def _class_count(network: Judge, batch: Batch) -> int | None:
    """Number of classes of a network; ``None`` if a detector does not tell it."""
    if not isinstance(network.task, Detection):
        return len(batch.targets(network)[0])
    detector: Any = network.task.network
    if isinstance(detector, CellDetector):
        with torch.no_grad():
            return int(detector.dense(fed(detector, batch.images[:1]))["scores"].shape[-1])
    count: int | None = getattr(detector, "class_count", None)
    return count


class JudgeTrial:
    """Runs judges on the first photos before anything is measured; the findings are stored.

    Args:
        store: store of finished parts.
        labels: real labels of the photos.
        photos: the first photos, of one size.
        opened: makes a batch of photos.
    """

    def __init__(
        self,
        store: PartStore,
        labels: RealLabels,
        photos: Sequence[Path],
        opened: Callable[[Sequence[Path]], Batch],
    ) -> None:
        self._store, self._labels, self._photos, self._opened = store, labels, photos, opened

    def check_class(self, network: Judge, highest: NamedClass) -> None:
        """Raises ConfigError unless a network has the highest class of the real labels.

        For a detector there is only a warning, for it may be made for some of the categories. A detector that
        does not tell its number of classes is not checked.

        Raises:
            ConfigError: a network other than a detector lacks the class, or cannot process the photos.
        """

        def count() -> dict[str, int | None]:
            batch = self._opened(self._photos[:1])
            batch.images  # noqa: B018 (loaded here, for a photo's error is not the network's)
            with network_named(network, batch):
                return {"classes": _class_count(network, batch)}

        classes = self._store.get_or_make(["classes", network.key], count)["classes"]
        if classes is None or highest.number < classes:
            return
        if not isinstance(network.task, Detection):
            raise ConfigError(
                f"network {network.label}: real labels must be classes from 0 to {classes - 1}, "
                f"not {highest.number} (with {highest.photo})"
            )
        warnings.warn(
            f"network {network.label} has {classes} classes, 0 to {classes - 1}, and annotations have boxes "
            f"of the label {highest.number} (with {highest.photo}): ap counts what it has no class for as "
            "not found",
            stacklevel=3,
        )

    def tried(self, network: Judge) -> TriedJudge:
        """A network with the names of its scores, and of the metrics that are not among them.

        Raises:
            ConfigError: the network does not fit its task, has scores of which no curve can be drawn, or the
                task does not say which direction of a score is better.
        """
        matched = self._labels.matched(network)
        true_metrics = [] if matched is None else list(matched.metrics())
        key = ["names", network.key, self._labels.truth(network) is not None]
        names = self._store.get_or_make(key, lambda: self._names(network, true_metrics))
        judge = TriedJudge(network, **names)
        check_directions(network, [*judge.scores, *judge.metrics, *judge.true_scores])
        return judge

    def _names(self, network: Judge, true_metrics: list[str]) -> dict[str, list[str]]:
        batch = self._opened(self._photos[:_TRIED])
        images = batch.images  # loaded here, for a photo's error is not the network's
        scores = self._score_names(network, batch)
        with network_named(network, batch):
            true_scores = list(self._labels.scores(network, images, batch.paths))
        metrics = [] if true_metrics else self._metric_names(network, batch, scores)
        return {
            "scores": scores,
            "metrics": metrics,
            "true_scores": true_scores,
            "true_metrics": true_metrics,
        }

    def _score_names(self, network: Judge, batch: Batch) -> list[str]:
        """Names of the scores, from a first run that also shows whether the network fits its task.

        Warns if the scores differ from run to run.
        """
        with network_named(network, batch):
            scores = batch.task(network).scores(batch.images, batch.targets(network))
            check_directions(network, scores)  # before the next line asks for them
            check_scores_finite(network, scores, batch.names)
            check_scores_floor(network, scores, batch.names)
            warn_of_instability(network, batch, self._opened(self._photos[:1]), scores)
            return list(scores)

    @staticmethod
    def _metric_names(network: Judge, batch: Batch, scores: Sequence[str]) -> list[str]:
        if not network.spec.metrics:
            return []
        task: Any = batch.task(network)
        metric = task.metric()
        metric.update(task.predict(batch.images), batch.targets(network))
        # A metric that is the mean of a score adds nothing, and costs a forward pass.
        return [name for name in metric.compute() if name not in scores]
