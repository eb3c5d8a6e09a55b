"""Measurement of arms: photos are coded and judged, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from npp.evaluation.arms import Arm
from npp.evaluation.coding import Batch, code_batch, to_cpu
from npp.evaluation.dataset_metrics import DatasetMetrics
from npp.evaluation.judge_trials import JudgeTrial, network_named
from npp.evaluation.judges import Axis, Judge
from npp.evaluation.measured_parts import BPP, SENSITIVITY, SIZES, ArmPart
from npp.evaluation.measured_values import PICTURE, ArmMeasurements, Measurements
from npp.evaluation.originals import measure_originals
from npp.evaluation.part_store import PartStore
from npp.evaluation.real_labels import UNLABELLED, RealLabels, photos_with_labels
from npp.evaluation.score_checks import check_scores_finite
from npp.evaluation.truth import Matches
from npp.photos.finding import name_below
from npp.photos.photo_set import PhotoSet
from npp.progress import Progress

_EXACT_MSE = 1e-10


def _psnr(x: Tensor, x_hat: Tensor) -> Tensor:
    """PSNR (N,) in dB over all samples, 100 for exact pictures, so that it can be averaged and plotted.

    Reports of the command line have no number there instead (:mod:`npp.batch.picture_quality`).
    """
    return -10 * (x - x_hat).double().square().mean((1, 2, 3)).clamp_min(_EXACT_MSE).log10()


class Measurer:
    """Measures arms on photos; stored parts are not measured again.

    Args:
        photos: the set of photos.
        networks: the judges; the seen ones are also the tasks for refining.
        store: store of finished parts.
        batch: the most pictures in a batch.
        device: device of networks and preprocessors.
        threads: threads of the codec.
        labels: real labels of the photos.

    Raises:
        ConfigError: a network does not fit its task, lacks a class of the real labels, has scores of which no
            curve can be drawn, or its task does not say which direction is better; the message names it.
        ValueError: real labels are given and a photo has none, or a label cannot be right.
    """

    def __init__(
        self,
        photos: PhotoSet,
        networks: Sequence[Judge],
        store: PartStore,
        *,
        batch: int,
        device: torch.device,
        threads: int | None,
        labels: RealLabels = UNLABELLED,
    ) -> None:
        self._store, self._threads = store, threads
        self._photos, self._device, self._labels = photos, device, labels
        readable = photos_with_labels(photos, labels)
        highest = labels.check(networks, readable)
        self._batches = photos.batches(readable, batch)
        trial = JudgeTrial(store, labels, self._batches[0], self._open)
        for network in networks:
            if network.label in highest:
                trial.check_class(network, highest[network.label])
        self._judges = [trial.tried(network) for network in networks]

    def _open(self, paths: Sequence[Path]) -> Batch:
        return Batch(self._photos, paths, self._device, self._labels)

    @property
    def pictures(self) -> tuple[Path, ...]:
        """The photos, in the order of the results."""
        return tuple(path for batch in self._batches for path in batch)

    def first(self, count: int) -> list[Batch]:
        """The first photos, each as a batch of its own."""
        return [self._open([path]) for path in self.pictures[:count]]

    def axes(self) -> tuple[Axis, ...]:
        """All qualities: PSNR, and each network's scores and metrics."""
        psnr = Axis(PICTURE, "psnr", higher_is_better=True, primary=True)
        return psnr, *(axis for judge in self._judges for axis in judge.axes())

    def check_qualities(self) -> None:
        """Raises ConfigError unless the qualities that networks are quoted on are measured."""
        for judge in self._judges:
            judge.check_quality()

    def measure(self, arms: Sequence[Arm], qps: Sequence[int], progress: Progress) -> Measurements:
        """Measures all arms at all qps on all photos.

        Raises:
            ConfigError: a network cannot process a photo, or has a score that is not finite; the message
                names both.
        """
        batches = [self._open(paths) for paths in self._batches]
        everything = [batch.key for batch in batches]
        cells = [(arm, qp) for arm in arms for qp in qps]
        values: list[list[dict[tuple[str, str], Tensor]]] = [[] for _ in cells]
        metrics = [self._metrics([everything, arm.key(qp)]) for arm, qp in cells]
        for batch in batches:
            true = self._labels.key(batch.paths)
            for i, (arm, qp) in enumerate(cells):
                part = self._arm_part(batch, true, arm, qp)
                metrics[i].add(batch, part.predictions)
                values[i].append(part.values_by_name())
                progress(len(batch))
            batch.release()
        measured = {}
        for i, arm in enumerate(arms):
            of_arm = slice(i * len(qps), (i + 1) * len(qps))
            measured[arm.name] = _joined(values[of_arm], [metric.compute() for metric in metrics[of_arm]])
        names = tuple(name_below(self._photos.folder, path) for path in self.pictures)
        return Measurements(tuple(qps), names, self.axes(), measured)

    def _metrics(self, key: Any) -> DatasetMetrics:
        true = self._labels.key(self.pictures)
        return DatasetMetrics(self._judges, self._store, [key, true], self._labels)

    def clean(self) -> dict[tuple[str, str], float]:
        """Qualities of the networks on the originals, against real labels."""
        batches = [self._open(paths) for paths in self._batches]
        metrics = self._metrics(["clean", [batch.key for batch in batches]])
        return measure_originals(self._judges, batches, metrics, self._store, self._labels)

    def _arm_part(self, batch: Batch, true: Any, arm: Arm, qp: int) -> ArmPart:
        """The part of a batch in an arm at a qp, from the store or measured; ``true`` is the labels' key."""
        key = {
            "batch": batch.key,
            "arm": arm.key(qp),
            "networks": [tried.judge.key for tried in self._judges],
            "true": true,
        }
        return ArmPart(**self._store.get_or_make(key, lambda: self._measured(batch, arm, qp)))

    def _measured(self, batch: Batch, arm: Arm, qp: int) -> dict[str, Any]:
        """Measures an :class:`ArmPart`, in the form in which it is stored."""
        coded = code_batch(batch, arm, qp, [tried.judge for tried in self._judges], self._threads)
        pixels = batch.images.shape[2] * batch.images.shape[3]
        scores = {PICTURE: {"psnr": _psnr(batch.images, coded.x_hat)}}
        predictions = {}
        for tried in self._judges:
            judge = tried.judge
            with network_named(judge, batch):
                task = batch.task(judge)
                of_judge = task.scores(coded.x_hat, batch.targets(judge))
                if tried.true_scores:
                    of_judge |= self._labels.scores(judge, coded.x_hat, batch.paths)
                check_scores_finite(judge, of_judge, batch.names)
                scores[judge.label] = of_judge
                if tried.predicts:
                    predictions[judge.label] = task.predict(coded.x_hat)
        sensitivity = None if coded.offsets is None else coded.offsets.sensitivity
        part = ArmPart(coded.sizes, 8 * coded.sizes.double() / pixels, scores, predictions, sensitivity)
        stored: dict[str, Any] = to_cpu(vars(part))
        return stored


def _joined(
    by_qp: Sequence[Sequence[Mapping[tuple[str, str], Tensor]]],
    metrics: Sequence[tuple[dict[tuple[str, str], float], dict[str, Matches]]],
) -> ArmMeasurements:
    """The arrays of an arm, joined from the values of its batches at each qp."""
    tables = {
        key: np.stack(
            [np.concatenate([batch[key].double().numpy() for batch in batches]) for batches in by_qp]
        )
        for key in by_qp[0][0]
    }
    values = [metric for metric, _ in metrics]
    return ArmMeasurements(
        sizes=tables.pop(SIZES).astype(np.int64),
        bpp=tables.pop(BPP),
        sensitivity=tables.pop(SENSITIVITY, None),
        scores=tables,
        metrics={key: np.array([row[key] for row in values]) for key in values[0]},
        matches={label: tuple(matches[label] for _, matches in metrics) for label in metrics[0][1]},
    )
