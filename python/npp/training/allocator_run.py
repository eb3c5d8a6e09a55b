"""A whole training of an allocator: labels, learning, and how well it ranks blocks of other photos."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from npp.allocation import Allocator
from npp.files import write_file
from npp.tasks import Task
from npp.training.allocator_distillation import DistilSettings, distil, rank_correlation
from npp.training.allocator_labels import LabelSettings, label_photos, read_labels

_VALIDATION_SHARE = 0.1  # of the number of labels


def train_allocator(
    photos: Sequence[Path],
    tasks: Mapping[str, Task],
    out: Path,
    *,
    validation: Sequence[Path] = (),
    labels: LabelSettings | None = None,
    training: DistilSettings | None = None,
) -> Path:
    """Labels crops of photos with the importance for several networks, and distils an allocator from them.

    Every part goes on where it was stopped. Labels take most of the time: about a quarter of a second a
    picture for two classifiers on one core; the training takes about a tenth of a second a picture and
    epoch.

    Args:
        photos: none of those that results will be reported on.
        tasks: by the name that the allocator's head will have.
        out: folder for labels, checkpoints, ``allocator.safetensors`` and, with validation,
            ``ranks.json``.
        validation: photos of which a tenth as many pictures are labelled, to see how well blocks are ranked.
        labels, training: see :class:`~npp.training.allocator_labels.LabelSettings` and
            :class:`~npp.training.allocator_distillation.DistilSettings`.

    Returns:
        Path of the weights, for :meth:`npp.Allocator.load`.

    Raises:
        ValueError: no photos or no tasks.
    """
    drawn = labels or LabelSettings()
    label_photos(photos, tasks, out / "labels", drawn)
    path = distil(out / "labels", out, training)
    if validation:
        count = max(1, round(_VALIDATION_SHARE * drawn.count))
        fewer = dataclasses.replace(drawn, count=count, shard=min(drawn.shard, count))
        label_photos(validation, tasks, out / "validation", fewer)
        ranks = rank_correlation(Allocator.load(path), read_labels(out / "validation"))
        write_file(out / "ranks.json", json.dumps(ranks, indent=1).encode(), force=True)
    return path
