"""Measuring arms: photos are coded and judged, batch by batch."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from npp.config.typed import told
from npp.config.yaml_files import ConfigError
from npp.evaluation.arms import Arm
from npp.evaluation.coding import Batch, code, to_cpu
from npp.evaluation.dataset_metrics import DatasetMetrics, JudgeNames
from npp.evaluation.judges import NETWORK_ERRORS, Axis, Judge
from npp.evaluation.labelled_photos import LabelledPhotos
from npp.evaluation.measured_values import PICTURE, ArmMeasurements, Measurements
from npp.evaluation.part_store import PartStore
from npp.evaluation.real_labels import UNLABELLED, RealLabels
from npp.evaluation.score_checks import check_directions, check_finite, check_floor, directions
from npp.evaluation.truth import Matches, NamedClass
from npp.photos.finding import name_below
from npp.photos.photo_set import PhotoSet
from npp.progress import Progress

_EXACT_MSE = 1e-10
_PROBED = 2


def _psnr(x: Tensor, x_hat: Tensor) -> Tensor:
    """(N,) dB over all samples; 100 for exact pictures."""
    return -10 * (x - x_hat).double().square().mean((1, 2, 3)).clamp_min(_EXACT_MSE).log10()


@contextmanager
def _network_named(network: Judge, batch: Batch) -> Iterator[None]:
    """What a network cannot look at, or a label that it cannot have, is told with network and photos."""
    try:
        yield
    except (ConfigError, torch.cuda.OutOfMemoryError):
        raise
    except NETWORK_ERRORS as error:
        photos = ", ".join(batch.names)
        raise ConfigError(f"network {network.label}: {told(error)} (with {photos})") from error


#: What is asked where nothing on the originals agrees with the real labels, by the quality.
_MISUNDERSTOOD = {
    "top1": "are the labels the network's class indices?",
    "true_miou": "are the numbers of the masks the network's classes? mask_classes says what they mean",
    "exact_match": "are the texts what the network reads in these regions?",
}


def _warn_of_labels(network: Judge, clean: Mapping[str, float]) -> None:
    """Warns where nothing that a network says of the originals is right, as with labels of another order.

    Args:
        network: it.
        clean: its qualities on the originals against real labels, by name.
    """
    if clean.get("ap_50") == 0:
        meant, other = ("id", "place") if network.says_category_ids else ("place", "id")
        warnings.warn(
            f"network {network.label} finds none of the real boxes on the originals (ap_50 is 0). Its labels "
            f"were taken for the {meant} of categories; it may be the {other} (categories: {other})",
            stacklevel=3,
        )
    for name, asked in _MISUNDERSTOOD.items():
        if clean.get(name) == 0:
            warnings.warn(f"network {network.label}: {name} on the originals is 0.000: {asked}", stacklevel=3)


class Measurer:
    """Measures arms on photos; what the store has is not measured again.

    Args:
        photos: how they are loaded.
        networks: the judges; those that are seen are refine's tasks too.
        store: finished parts.
        batch: most pictures together.
        device: of networks and preprocessors.
        threads: of the codec.
        labels: real ones of the photos.

    Raises:
        ConfigError: a network does not fit its task, lacks a class that real labels have, or gives scores of
            which no curve can be drawn or whose better direction its task does not say; the message names it.
        ValueError: a photo has no real label though there are some, or one cannot be right.
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
        self._networks, self._store, self._threads = list(networks), store, threads
        self._photos, self._device, self._labels = photos, device, labels
        self._judges = [network.key for network in self._networks]
        chosen = self._chosen(photos, labels)
        highest = labels.check(self._networks, chosen)
        self._batches = photos.batches(chosen, batch)
        for network in self._networks:
            if network.label in highest:
                self._check_class(network, highest[network.label])
        self._names = [self._probe(network) for network in self._networks]

    @staticmethod
    def _chosen(photos: LabelledPhotos | PhotoSet, labels: RealLabels) -> list[Path]:
        """The photos that can be read, and with ``unlabelled: skip`` those alone that have all labels."""
        if isinstance(photos, LabelledPhotos) and photos.unlabelled == "skip":
            paths = photos.readable_paths(labels.has)
        else:
            paths = photos.readable_paths()
        labels.check_names(paths)
        if missing := [name_below(photos.folder, path) for path in paths if not labels.has(path)]:
            raise ValueError(f"folder has photos without real labels: {', '.join(missing[:5])}")
        return paths

    def _open(self, paths: Sequence[Path]) -> Batch:
        return Batch(self._photos, paths, self._device, self._labels)

    @property
    def pictures(self) -> tuple[Path, ...]:
        """The photos, in the order of the results."""
        return tuple(path for part in self._batches for path in part)

    def first(self, count: int) -> list[Batch]:
        """The first photos, each as a batch of its own."""
        return [self._open([path]) for path in self.pictures[:count]]

    def axes(self) -> tuple[Axis, ...]:
        """All qualities: PSNR, and each network's scores and metrics."""
        found = [Axis(PICTURE, "psnr", higher_is_better=True, primary=True)]
        for network, names in zip(self._networks, self._names, strict=True):
            higher, label = directions(network), network.label
            primary = network.spec.quality or names.scores[0]
            found += [Axis(label, name, higher[name], name == primary) for name in names.scores]
            found += [Axis(label, name, higher[name], name == primary, True) for name in names.metrics]
            found += [
                Axis(label, name, higher[name], name == primary, true=True) for name in names.true_scores
            ]
            found += [Axis(label, name, True, name == primary, True, True) for name in names.true_metrics]
        return tuple(found)

    def check_qualities(self) -> None:
        """Raises ConfigError where a network is to be quoted on something that is not measured."""
        for network, names in zip(self._networks, self._names, strict=True):
            known = [*names.scores, *names.metrics, *names.true_scores, *names.true_metrics]
            if network.spec.quality not in (None, *known):
                raise ConfigError(
                    f"network {network.label}: quality must be one of {', '.join(known)}, "
                    f"not {network.spec.quality!r}"
                )

    def _probe(self, network: Judge) -> JudgeNames:
        """Names of a network's scores, and of those metrics that are not among them."""
        matched = self._labels.matched(network)
        true_metrics = [] if matched is None else list(matched.metrics())
        key = ["names", network.key, self._labels.truth(network) is not None]
        stored = self._store.load(key)
        if stored is None:
            batch = self._open(self._batches[0][:_PROBED])
            scores = self._score_names(network, batch, batch.images)
            stored = {"scores": scores, "metrics": [], "true_scores": [], "true_metrics": []}
            stored["true_metrics"] = true_metrics
            with _network_named(network, batch):
                stored["true_scores"] = list(self._labels.scores(network, batch.images, batch.paths))
            if not stored["true_metrics"]:
                stored["metrics"] = self._metric_names(network, batch, scores)
            self._store.save(key, stored)
        names = JudgeNames(**stored)
        check_directions(network, [*names.scores, *names.metrics, *names.true_scores])
        return names

    def _check_class(self, network: Judge, highest: NamedClass) -> None:
        """That a network has the highest class of the real labels; asked once, as it takes a look."""
        key = ["classes", network.key]
        stored = self._store.load(key)
        if stored is None:
            batch = self._open(self._batches[0][:1])
            with _network_named(network, batch):
                stored = {"classes": len(batch.targets(network)[0])}
            self._store.save(key, stored)
        if highest.number >= stored["classes"]:
            raise ConfigError(
                f"network {network.label}: real labels must be classes from 0 to {stored['classes'] - 1}, "
                f"not {highest.number} (with {highest.photo})"
            )

    @staticmethod
    def _score_names(network: Judge, batch: Batch, images: Tensor) -> list[str]:
        """Of the network's first look at photos, where one that does not fit its task shows.

        The images are loaded before: a photo's error is not the network's.
        """
        with _network_named(network, batch):
            found = batch.task(network).scores(images, batch.targets(network))
            check_directions(network, found)  # before the next line asks for them
            check_finite(network, found, batch.names)
            check_floor(network, found, batch.names)
            return list(found)

    @staticmethod
    def _metric_names(network: Judge, batch: Batch, scores: list[str]) -> list[str]:
        if not network.spec.metrics:
            return []
        task = batch.task(network)
        metric = task.metric()
        metric.update(task.predict(batch.images), batch.targets(network))
        # A metric that is the mean of a score says nothing new, and costs a forward pass.
        return [name for name in metric.compute() if name not in scores]

    def measure(self, arms: Sequence[Arm], qps: Sequence[int], progress: Progress) -> Measurements:
        """All arms at all qps on all photos.

        Raises:
            ConfigError: a network cannot look at a photo, or gives a score that is not finite; it names both.
        """
        batches = [self._open(paths) for paths in self._batches]
        everything = [batch.key for batch in batches]
        cells = [(arm, qp) for arm in arms for qp in qps]
        parts: list[list[dict[str, Any]]] = [[] for _ in cells]
        metrics = [self._metrics([everything, arm.key(qp)]) for arm, qp in cells]
        for batch in batches:
            true = self._labels.key(batch.paths)
            for i, (arm, qp) in enumerate(cells):
                part = self._part(batch, true, arm, qp)
                metrics[i].add(batch, part.pop("predictions"))
                parts[i].append(part)
                progress(len(batch))
            batch.release()
        found = {}
        for i, arm in enumerate(arms):
            cell = slice(i * len(qps), (i + 1) * len(qps))
            found[arm.name] = _joined(parts[cell], [metric.compute() for metric in metrics[cell]])
        names = tuple(name_below(self._photos.folder, path) for path in self.pictures)
        return Measurements(tuple(qps), names, self.axes(), found)

    def _metrics(self, key: Any) -> DatasetMetrics:
        true = self._labels.key(self.pictures)
        return DatasetMetrics(self._networks, self._names, self._store, [key, true], self._labels)

    def clean(self) -> dict[tuple[str, str], float]:
        """What the networks say about the originals, against real labels."""
        batches = [self._open(paths) for paths in self._batches]
        metrics = self._metrics(["clean", [batch.key for batch in batches]])
        sums: dict[tuple[str, str], float] = {}
        if not any(names.true_scores or names.true_metrics for names in self._names):
            return sums
        for batch in batches:
            part = self._clean_part(batch)
            metrics.add(batch, part["predictions"])
            for network, scores in part["scores"].items():
                for name, values in scores.items():
                    share = float(values.double().sum()) / len(self.pictures)
                    sums[network, name] = sums.get((network, name), 0.0) + share
            batch.release()
        true = {
            (network.label, name)
            for network, names in zip(self._networks, self._names, strict=True)
            for name in names.true_metrics
        }
        sums |= {key: value for key, value in metrics.compute()[0].items() if key in true}
        for network in self._networks:
            _warn_of_labels(
                network, {name: one for (label, name), one in sums.items() if label == network.label}
            )
        return sums

    def _clean_part(self, batch: Batch) -> dict[str, Any]:
        key = {"clean": batch.key, "true": self._labels.key(batch.paths), "networks": self._judges}
        stored: dict[str, Any] | None = self._store.load(key)
        if stored is None:
            scores, predictions = {}, {}
            for network, names in zip(self._networks, self._names, strict=True):
                if names.true_scores:
                    scores[network.label] = self._labels.scores(network, batch.images, batch.paths)
                if names.predicts:
                    predictions[network.label] = batch.task(network).predict(batch.images)
            stored = to_cpu({"scores": scores, "predictions": predictions})
            self._store.save(key, stored)
        return stored

    def _part(self, batch: Batch, true: Any, arm: Arm, qp: int) -> dict[str, Any]:
        """Measures a batch, whose labels have a key, in an arm at a qp unless that has been done."""
        key = {
            "batch": batch.key,
            "arm": arm.key(qp),
            "networks": self._judges,
            "true": true,
        }
        stored: dict[str, Any] | None = self._store.load(key)
        if stored is not None:
            return stored
        coded = code(batch, arm, qp, self._networks, self._threads)
        pixels = batch.images.shape[2] * batch.images.shape[3]
        scores = {PICTURE: {"psnr": _psnr(batch.images, coded.x_hat)}}
        predictions = {}
        for network, names in zip(self._networks, self._names, strict=True):
            with _network_named(network, batch):
                task = batch.task(network)
                found = task.scores(coded.x_hat, batch.targets(network))
                if names.true_scores:
                    found |= self._labels.scores(network, coded.x_hat, batch.paths)
                check_finite(network, found, batch.names)
                scores[network.label] = found
                if names.predicts:
                    predictions[network.label] = task.predict(coded.x_hat)
        sensitivity = None if coded.offsets is None else coded.offsets.sensitivity
        part: dict[str, Any] = to_cpu(
            {
                "sizes": coded.sizes,
                "bpp": 8 * coded.sizes.double() / pixels,
                "scores": scores,
                "predictions": predictions,
                "sensitivity": sensitivity,
            }
        )
        self._store.save(key, part)
        return part


def _joined(
    parts: Sequence[Sequence[dict[str, Any]]],
    metrics: Sequence[tuple[dict[tuple[str, str], float], dict[str, Matches]]],
) -> ArmMeasurements:
    """An arm's arrays from its batches, qp by qp."""
    flat = [[_flat(part) for part in row] for row in parts]
    tables = {
        key: np.stack([np.concatenate([part[key].double().numpy() for part in row]) for row in flat])
        for key in flat[0][0]
    }
    values = [one for one, _ in metrics]
    return ArmMeasurements(
        sizes=tables.pop(_SIZES).astype(np.int64),
        bpp=tables.pop(_BPP),
        sensitivity=tables.pop(_SENSITIVITY, None),
        scores=tables,
        metrics={key: np.array([row[key] for row in values]) for key in values[0]},
        matches={label: tuple(row[label] for _, row in metrics) for label in metrics[0][1]},
    )


_SIZES, _BPP, _SENSITIVITY = (PICTURE, "bytes"), (PICTURE, "bpp"), (PICTURE, "sensitivity")


def _flat(part: dict[str, Any]) -> dict[tuple[str, str], Tensor]:
    """A stored part's values by network and name."""
    found = {_SIZES: part["sizes"], _BPP: part["bpp"]}
    if part["sensitivity"] is not None:
        found[_SENSITIVITY] = part["sensitivity"]
    for network, scores in part["scores"].items():
        found |= {(network, name): values for name, values in scores.items()}
    return found
