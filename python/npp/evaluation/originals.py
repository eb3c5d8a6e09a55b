"""Qualities of the networks on the originals, against real labels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from npp.evaluation.coding import Batch, to_cpu
from npp.evaluation.dataset_metrics import DatasetMetrics
from npp.evaluation.judge_trials import TriedJudge, network_named
from npp.evaluation.judges import Judge
from npp.evaluation.measured_parts import CleanPart
from npp.evaluation.part_store import PartStore
from npp.evaluation.real_labels import RealLabels

#: The question of the warning if no output for the originals agrees with the real labels, by quality.
_MISUNDERSTOOD = {
    "top1": "are the labels the network's class indices?",
    "true_miou": "are the numbers of the masks the network's classes? mask_classes says what they mean",
    "exact_match": "are the texts what the network reads in these regions?",
}


def measure_originals(
    judges: Sequence[TriedJudge],
    batches: Sequence[Batch],
    metrics: DatasetMetrics,
    store: PartStore,
    labels: RealLabels,
) -> dict[tuple[str, str], float]:
    """Qualities against real labels, by network's label and name; means over all pictures.

    Warns if no output of a network is right.

    Args:
        judges: the networks.
        batches: all photos.
        metrics: metrics of all photos together, still empty.
        store: store of finished parts.
        labels: real labels of the photos.
    """
    qualities = {
        (tried.label, name) for tried in judges for name in (*tried.true_scores, *tried.true_metrics)
    }
    if not qualities:
        return {}
    total = sum(map(len, batches))
    values: dict[tuple[str, str], float] = {}
    for batch in batches:
        part = _clean_part(batch, judges, store, labels)
        metrics.add(batch, part.predictions)
        for label, scores in part.scores.items():
            for name, of_pictures in scores.items():
                share = float(of_pictures.double().sum()) / total
                values[label, name] = values.get((label, name), 0.0) + share
        batch.release()
    values |= {key: value for key, value in metrics.compute()[0].items() if key in qualities}
    for tried in judges:
        warn_of_labels(
            tried.judge, {name: value for (label, name), value in values.items() if label == tried.label}
        )
    return values


def _clean_part(
    batch: Batch, judges: Sequence[TriedJudge], store: PartStore, labels: RealLabels
) -> CleanPart:
    def answers() -> dict[str, Any]:
        scores, predictions = {}, {}
        images = batch.images  # loaded here, for a photo's error is not the network's
        for tried in judges:
            with network_named(tried.judge, batch):
                if tried.true_scores:
                    scores[tried.label] = labels.scores(tried.judge, images, batch.paths)
                if tried.predicts:
                    predictions[tried.label] = batch.task(tried.judge).predict(images)
        part: dict[str, Any] = to_cpu({"scores": scores, "predictions": predictions})
        return part

    networks = [tried.judge.key for tried in judges]
    key = {"clean": batch.key, "true": labels.key(batch.paths), "networks": networks}
    return CleanPart(**store.get_or_make(key, answers))


def warn_of_unused(labels: RealLabels, judges: Sequence[Judge]) -> None:
    """Warns of each file of real labels by which no judge is measured.

    Args:
        labels: real labels of the measured photos.
        judges: all judges of the evaluation.
    """
    for truth in labels.unused(judges):
        metrics = "" if truth.has_scores else " with metrics"
        warnings.warn(
            f"data.{truth.setting} are not used: they are for networks of the task {truth.task.name}"
            f"{metrics}, and none of seen and unseen is one",
            stacklevel=3,
        )


def warn_of_labels(network: Judge, clean: Mapping[str, float]) -> None:
    """Warns if no output of a network for the originals is right, as with classes in another order.

    Args:
        network: the network.
        clean: its qualities on the originals against real labels, by name.
    """
    if clean.get("ap_50") == 0:
        meant, other = ("id", "place") if network.says_category_ids else ("place", "id")
        warnings.warn(
            f"network {network.label} finds none of the real boxes on the originals (ap_50 is 0). Its labels "
            f"were taken for the {meant} of categories; it may be the {other} (categories: {other})",
            stacklevel=4,
        )
    for name, question in _MISUNDERSTOOD.items():
        if clean.get(name) == 0:
            warnings.warn(
                f"network {network.label}: {name} on the originals is 0.000: {question}", stacklevel=4
            )
