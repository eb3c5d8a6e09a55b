"""Measuring arms: photos are filtered, coded, decoded and judged, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from npp.codec.round_trip import start_round_trip
from npp.evaluation.arms import Arm
from npp.evaluation.judges import Axis, Judge, hash_file
from npp.evaluation.measured_values import PICTURE, ArmMeasurements, Measurements, PartStore, digest
from npp.photos.photo_set import PhotoSet

if TYPE_CHECKING:
    from npp.tasks import Metric


#: Called with the amount of work done since the last call.
Progress: TypeAlias = Callable[[int], None]

#: Called with the name of a stage and its amount of work; gives the stage's progress.
Stage: TypeAlias = Callable[[str, int], Progress]


def silent(_name: str, _total: int) -> Progress:
    """Nobody is told."""
    return lambda _done: None


_EXACT_MSE = 1e-10
_PROBED = 2


class Batch:
    """Photos of one size; they and the networks' clean outputs are made when first used."""

    def __init__(self, photos: PhotoSet, paths: Sequence[Path], device: torch.device) -> None:
        self._photos, self._paths, self._device = photos, list(paths), device
        self._targets: dict[str, list[Any]] = {}
        self._in_memory: dict[str, list[Any]] = {}

    def __len__(self) -> int:
        return len(self._paths)

    @cached_property
    def images(self) -> Tensor:
        """(N, 3, H, W) floats in [0, 1]."""
        return self._photos.load(self._paths).to(self._device)

    def targets(self, network: Judge) -> list[Any]:
        """A network's own output on the clean photos."""
        if network.label not in self._targets:
            self._targets[network.label] = network.task.targets(self.images)
        return self._targets[network.label]

    def targets_in_memory(self, network: Judge) -> list[Any]:
        """The same beside predictions from the store."""
        if network.label not in self._in_memory:
            self._in_memory[network.label] = _to_cpu(self.targets(network))
        return self._in_memory[network.label]

    def release(self) -> None:
        """Forgets what can be made again."""
        self._targets.clear()
        self._in_memory.clear()
        self.__dict__.pop("images", None)

    @cached_property
    def key(self) -> str:
        """A hash of what decides its pixels and where they are computed with."""
        files = [hash_file(path) for path in self._paths]
        return digest([files, self._photos.shape, self._photos.mode, self._device.type])


@dataclass(frozen=True)
class Coded:
    """A batch on its way through an arm.

    Attributes:
        filtered: (N, 3, H, W) what was encoded.
        x_hat: (N, 3, H, W) what was decoded.
        sizes: bytes of the files.
    """

    filtered: Tensor
    x_hat: Tensor
    sizes: Tensor


def code(batch: Batch, arm: Arm, qp: int, networks: Sequence[Judge], threads: int | None) -> Coded:
    """Filters, encodes and decodes a batch; the seen networks are there for refine."""

    def losses() -> list[Callable[[Tensor], Tensor]]:
        return [one.task.bind(batch.targets(one)) for one in networks if one.seen]

    filtered = arm.prefilter(batch.images, qp, losses, arm.options)
    x_hat, _, files = start_round_trip(filtered, qp, arm.options, threads).result()
    return Coded(filtered, x_hat, torch.tensor([len(file) for file in files]))


def _psnr(x: Tensor, x_hat: Tensor) -> Tensor:
    """(N,) dB over all samples; 100 for exact pictures."""
    return -10 * (x - x_hat).double().square().mean((1, 2, 3)).clamp_min(_EXACT_MSE).log10()


def _to_cpu(value: Any) -> Any:
    """Nested lists and dicts with copies of their tensors in main memory, free of what they are views of."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {name: _to_cpu(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_cpu(one) for one in value]
    return value


class Measurer:
    """Measures arms on photos; what the store has is not measured again.

    Args:
        photos: how they are loaded.
        networks: the judges; those that are seen are refine's tasks too.
        store: finished parts.
        batch: most pictures together.
        device: of networks and preprocessors.
        threads: of the codec.
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
    ) -> None:
        self._networks, self._store, self._threads = list(networks), store, threads
        self._photos, self._device = photos, device
        self._judges = [network.key for network in self._networks]
        self._batches = photos.batches(photos.readable_paths(), batch)
        self._names = [self._probe(network) for network in self._networks]

    def _open(self, paths: Sequence[Path]) -> Batch:
        return Batch(self._photos, paths, self._device)

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
        for network, (scores, metrics) in zip(self._networks, self._names, strict=True):
            higher, primary = network.task.higher_is_better, network.spec.quality or scores[0]
            found += [Axis(network.label, name, higher[name], name == primary) for name in scores]
            found += [Axis(network.label, name, higher[name], name == primary, True) for name in metrics]
        return tuple(found)

    def _probe(self, network: Judge) -> tuple[list[str], list[str]]:
        """Names of a network's scores, and of those metrics that are not among them."""
        key = ["names", network.key]
        stored = self._store.load(key)
        if stored is None:
            batch = self._open(self._batches[0][:_PROBED])
            scores = list(network.task.scores(batch.images, batch.targets(network)))
            stored = {"scores": scores, "metrics": self._metric_names(network, batch, scores)}
            self._store.save(key, stored)
        return stored["scores"], stored["metrics"]

    @staticmethod
    def _metric_names(network: Judge, batch: Batch, scores: list[str]) -> list[str]:
        if not network.spec.metrics:
            return []
        metric = network.task.metric()
        metric.update(network.task.predict(batch.images), batch.targets(network))
        # A metric that is the mean of a score says nothing new, and costs a forward pass.
        return [name for name in metric.compute() if name not in scores]

    def measure(self, arms: Sequence[Arm], qps: Sequence[int], progress: Progress) -> Measurements:
        """All arms at all qps on all photos."""
        batches = [self._open(paths) for paths in self._batches]
        everything = [batch.key for batch in batches]
        cells = [(arm, qp) for arm in arms for qp in qps]
        parts: list[list[dict[str, Any]]] = [[] for _ in cells]
        metrics = [
            _DatasetMetrics(self._networks, self._names, self._store, [everything, arm.key(qp)])
            for arm, qp in cells
        ]
        for batch in batches:
            for i, (arm, qp) in enumerate(cells):
                part = self._part(batch, arm, qp)
                metrics[i].add(batch, part.pop("predictions"))
                parts[i].append(part)
                progress(len(batch))
            batch.release()
        found = {}
        for i, arm in enumerate(arms):
            cell = slice(i * len(qps), (i + 1) * len(qps))
            found[arm.name] = _joined(parts[cell], [metric.compute() for metric in metrics[cell]])
        names = tuple(path.name for path in self.pictures)
        return Measurements(tuple(qps), names, self.axes(), found)

    def _part(self, batch: Batch, arm: Arm, qp: int) -> dict[str, Any]:
        """Measures a batch in an arm at a qp unless that has been done."""
        key = {"batch": batch.key, "arm": arm.key(qp), "networks": self._judges}
        stored: dict[str, Any] | None = self._store.load(key)
        if stored is not None:
            return stored
        coded = code(batch, arm, qp, self._networks, self._threads)
        pixels = batch.images.shape[2] * batch.images.shape[3]
        scores = {PICTURE: {"psnr": _psnr(batch.images, coded.x_hat)}}
        predictions = {}
        for network, (_, metrics) in zip(self._networks, self._names, strict=True):
            scores[network.label] = network.task.scores(coded.x_hat, batch.targets(network))
            if metrics:
                predictions[network.label] = network.task.predict(coded.x_hat)
        part: dict[str, Any] = _to_cpu(
            {
                "sizes": coded.sizes,
                "bpp": 8 * coded.sizes.double() / pixels,
                "scores": scores,
                "predictions": predictions,
            }
        )
        self._store.save(key, part)
        return part


class _DatasetMetrics:
    """The networks' metrics of one arm at one qp, where the store does not have them yet."""

    def __init__(
        self,
        networks: Sequence[Judge],
        names: Sequence[tuple[list[str], list[str]]],
        store: PartStore,
        key: Any,
    ) -> None:
        self._store = store
        self._known: dict[tuple[str, str], float] = {}
        self._open: list[tuple[Judge, list[str], Metric, Any]] = []
        for network, (_, wanted) in zip(networks, names, strict=True):
            if not wanted:
                continue
            own_key = ["metric", network.key, key]
            stored = store.load(own_key)
            if stored is None:
                self._open.append((network, wanted, network.task.metric(), own_key))
            else:
                self._known |= {(network.label, name): stored[name] for name in wanted}

    def add(self, batch: Batch, predictions: dict[str, list[Any]]) -> None:
        """Adds a batch."""
        for network, _, metric, _ in self._open:
            metric.update(predictions[network.label], batch.targets_in_memory(network))

    def compute(self) -> dict[tuple[str, str], float]:
        """Values by network's label and metric's name, of all batches."""
        for network, wanted, metric, key in self._open:
            found = metric.compute()
            values = {name: float(found[name]) for name in wanted}
            self._store.save(key, values)
            self._known |= {(network.label, name): value for name, value in values.items()}
        return self._known


def _joined(
    parts: Sequence[Sequence[dict[str, Any]]], metrics: Sequence[dict[tuple[str, str], float]]
) -> ArmMeasurements:
    """An arm's arrays from its batches, qp by qp."""
    flat = [[_flat(part) for part in row] for row in parts]
    tables = {
        key: np.stack([np.concatenate([part[key].double().numpy() for part in row]) for row in flat])
        for key in flat[0][0]
    }
    return ArmMeasurements(
        sizes=tables.pop(_SIZES).astype(np.int64),
        bpp=tables.pop(_BPP),
        scores=tables,
        metrics={key: np.array([row[key] for row in metrics]) for key in metrics[0]},
    )


_SIZES, _BPP = (PICTURE, "bytes"), (PICTURE, "bpp")


def _flat(part: dict[str, Any]) -> dict[tuple[str, str], Tensor]:
    """A stored part's values by network and name."""
    scores = {
        (network, name): values for network, found in part["scores"].items() for name, values in found.items()
    }
    return {_SIZES: part["sizes"], _BPP: part["bpp"], **scores}
