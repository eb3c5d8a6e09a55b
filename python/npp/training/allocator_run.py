"""A whole training of an allocator: labelling, learning, and how well it ranks blocks of other photos."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from npp.allocation import Allocator
from npp.config.surroundings import modules_below
from npp.config.typed import plain
from npp.config.yaml_files import ConfigError, write_yaml
from npp.evaluation.by_photo import ByPhoto
from npp.evaluation.json_values import write_json
from npp.evaluation.label_places import check_places
from npp.evaluation.region_files import regions_listed
from npp.photos.finding import Part, name_below
from npp.photos.loading import photo_size
from npp.progress import Stage, no_stages
from npp.tasks import Task
from npp.tasks.region_task import Region
from npp.torch_defaults import plain_defaults
from npp.training.allocator_config import (
    AllocatorStartConfig,
    DistillationConfig,
    DistilSettings,
    PhotoSource,
)
from npp.training.allocator_distillation import check_folder, distil
from npp.training.allocator_labels import LabelSettings, label_photos
from npp.training.allocator_ranks import rank_correlation
from npp.training.allocator_start import build_start
from npp.training.configured_tasks import build_tasks
from npp.training.label_store import read_shards
from npp.training.run_identity import digest_of_contents, digest_of_sources, digest_of_tasks, digest_of_values

_VALIDATION_SHARE = 0.1  # of the number of labels
_VALIDATION_SHARD = 8
_PARTS: tuple[Part, Part] = ("train", "val")
_QUICK = 2  # pictures of each source in a trial run


class _Labeller(NamedTuple):
    """The photos of one source, and the tasks that label them.

    Attributes:
        photos: the photos.
        tasks: the tasks that label them, by the name of the head.
        folder: the folder of the labels.
        settings: says which pictures are drawn.
        regions: the parts of each photo that the tasks look at; empty for whole photos.
        origin: everything that labels depend on, by which those of another kind are told apart.
    """

    photos: Sequence[Path]
    tasks: Mapping[str, Task]
    folder: Path
    settings: LabelSettings
    regions: Mapping[Path, Sequence[Region]]
    origin: Mapping[str, Any]

    def pictures_drawn(self) -> int:
        """The number of pictures it labels: as many as fill whole shards."""
        return -(-self.settings.count // self.settings.shard) * self.settings.shard


def _label_all(labellers: Sequence[_Labeller], name: str, stage: Stage) -> None:
    progress = stage(name, sum(one.pictures_drawn() for one in labellers))
    for one in labellers:
        one.folder.mkdir(parents=True, exist_ok=True)
        if not _origin_file(one).is_file():
            write_json(_origin_file(one), one.origin)
        label_photos(one.photos, one.tasks, one.folder, one.settings, regions=one.regions, progress=progress)


def _origin_file(labeller: _Labeller) -> Path:
    return labeller.folder / "origin.json"


def _check_origin(labeller: _Labeller) -> None:
    """Raises ConfigError unless labels in the folder are of the same photos, tasks, networks and settings.

    The message names what differs.
    """
    if not _origin_file(labeller).is_file():
        return
    before = json.loads(_origin_file(labeller).read_text(encoding="utf-8"))
    for key, value in json.loads(json.dumps(labeller.origin)).items():
        if key in before and before[key] != value:  # older labels lack some
            raise ConfigError(
                f"out: {labeller.folder} holds labels that were made with other {key}; "
                "take another out, or remove them"
            )


class _Run(NamedTuple):
    """A training that is ready to begin.

    Attributes:
        out: its folder.
        labels: make the labels that are learned.
        validation: make those by which the ranks of blocks are checked; may be empty.
        settings: say how the allocator learns.
        allocator: the allocator as it begins.
    """

    out: Path
    labels: Sequence[_Labeller]
    validation: Sequence[_Labeller]
    settings: DistilSettings
    allocator: Allocator


def _label(run: _Run, stage: Stage) -> None:
    _label_all(run.labels, "labelling", stage)
    _label_all(run.validation, "labelling what validates", stage)


def _learn(run: _Run, stage: Stage) -> Path:
    """Trains the allocator and checks its ranks; returns the path of the weights."""
    progress = stage("learning", run.settings.optimiser.steps)
    path = distil(run.out / "labels", run.out, run.settings, allocator=run.allocator, progress=progress)
    if run.validation:
        ranks = rank_correlation(Allocator.load(path), read_shards(run.out / "validation"))
        write_json(run.out / "ranks.json", ranks)
    return path


def _fewer(drawn: LabelSettings) -> LabelSettings:
    """The settings with a tenth of the pictures, for validation."""
    count = max(1, round(_VALIDATION_SHARE * drawn.count))
    return dataclasses.replace(drawn, count=count, shard=min(drawn.shard, count))


@plain_defaults()
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

    Every part goes on where it was stopped; what is in ``out`` from other photos, tasks or settings is
    refused. Labels take most of the time: about a quarter of a second a picture for two classifiers on one
    core; the training takes about a tenth of a second a picture and epoch.

    Args:
        photos: none of those that results will be reported on.
        tasks: by the name that the allocator's head will have.
        out: folder for labels, checkpoints, ``allocator.safetensors`` and, with validation,
            ``ranks.json``.
        validation: photos of which a tenth as many pictures are labelled, to see how well blocks are ranked.
        labels, training: see :class:`~npp.training.allocator_labels.LabelSettings` and
            :class:`~npp.training.allocator_config.DistilSettings`.

    Returns:
        Path of the weights, for :meth:`npp.Allocator.load`.

    Raises:
        ValueError: no photos or no tasks; labels or a checkpoint of another training.
    """
    for name, values in (("photos", photos), ("tasks", tasks)):
        if not values:
            raise ValueError(f"{name} must not be empty")
    drawn, settings = labels or LabelSettings(), training or DistilSettings()
    labelled = _labellers_of_all(photos, tasks, out / "labels", drawn)
    validated = _labellers_of_all(validation, tasks, out / "validation", _fewer(drawn))
    allocator = build_start(AllocatorStartConfig(), sorted(tasks), settings.seed)
    run = _Run(out, labelled, validated, settings, allocator)
    _check_out(run)
    _label(run, no_stages)
    return _learn(run, no_stages)


def _labellers_of_all(
    paths: Sequence[Path], tasks: Mapping[str, Task], folder: Path, settings: LabelSettings
) -> list[_Labeller]:
    """A labeller of whole photos, wherever they are, for all tasks; none where there are no photos."""
    photos = [Path(path) for path in paths]
    if not photos:
        return []
    origin = {
        "photos": [path.name for path in photos],
        "contents of photos": digest_of_contents(photos),
        "tasks": [[label, task.name] for label, task in tasks.items()],
        "networks": digest_of_tasks(tasks),
        **_drawn(settings),
    }
    return [_Labeller(photos, tasks, folder, settings, {}, origin)]


def distil_allocator(
    config: DistillationConfig, *, fast_dev_run: bool = False, stage: Stage = no_stages
) -> Path:
    """Trains an allocator from a configuration: :func:`train_allocator` with photos of several kinds.

    Every part goes on where it was stopped; what is in ``out`` from other photos, tasks or settings is
    refused.

    Args:
        config: see :class:`npp.training.allocator_config.DistillationConfig`.
        fast_dev_run: two pictures of each source and one step, in a folder of its own below ``out``.
        stage: called for each stage of the work.

    Returns:
        Path of the weights, for :meth:`npp.Allocator.load`.

    Raises:
        ConfigError: the configuration does not fit the photos, a task, the start or what is in ``out``.
        ModuleNotFoundError: a package is missing.
    """
    if fast_dev_run:
        config = _quick(config)
        shutil.rmtree(config.out, ignore_errors=True)  # an earlier trial would be gone on with
    with modules_below(config.modules), plain_defaults():
        tasks = build_tasks({task.label: task for task in config.tasks})
        allocator = build_start(config.allocator, list(tasks), config.seed + config.training.seed)
        labelled, validated = (_labellers(config, tasks, part) for part in _PARTS)
        training = dataclasses.replace(config.training, seed=config.seed + config.training.seed)
        run = _Run(Path(config.out), labelled, validated, training, allocator)
        _check_out(run)
        write_yaml(run.out / "config.yaml", config.as_mapping())
        _label(run, stage)
        try:
            return _learn(run, stage)
        except ValueError as error:
            raise ConfigError(f"training: {error}") from None


def _check_out(run: _Run) -> None:
    """Raises ConfigError unless what is in the folder is of the same training, before anything is replaced.

    See :func:`_check_origin` and :func:`check_folder`.
    """
    for labeller in (*run.labels, *run.validation):
        _check_origin(labeller)
    try:
        check_folder(run.out, run.settings, run.allocator)
    except ValueError as error:
        raise ConfigError(f"training: {error}") from None


def _quick(config: DistillationConfig) -> DistillationConfig:
    """The configuration of a trial run: two pictures of each source and one step."""
    optimiser = dataclasses.replace(config.training.optimiser, steps=1, batch=_QUICK)
    count = _QUICK * len(config.photos)
    return dataclasses.replace(
        config,
        out=str(Path(config.out) / "fast-dev-run"),
        photos=[dataclasses.replace(source, share=1.0) for source in config.photos],
        labels=dataclasses.replace(config.labels, count=count, shard=_QUICK),
        training=dataclasses.replace(config.training, optimiser=optimiser),
    )


class _Used(NamedTuple):
    """A source of photos, its place in the configuration, and the tasks that look at it."""

    place: int
    source: PhotoSource
    tasks: Mapping[str, Task]


def _sources_used(config: DistillationConfig, tasks: Mapping[str, Task], part: Part) -> list[_Used]:
    """The sources that some task looks at and that have photos of the part."""
    found = []
    for i, source in enumerate(config.photos):
        own = {label: task for label, task in tasks.items() if source.tasks is None or label in source.tasks}
        if own and (part == "train" or source.fractions[1]):
            found.append(_Used(i, source, own))
    return found


def _labellers(config: DistillationConfig, tasks: Mapping[str, Task], part: Part) -> list[_Labeller]:
    """The labellers of the sources that are used, each with its share of the pictures."""
    drawn = dataclasses.replace(config.labels, seed=config.seed + config.labels.seed)
    if part == "val":
        drawn = dataclasses.replace(_fewer(drawn), shard=min(drawn.shard, _VALIDATION_SHARD))
    used = _sources_used(config, tasks, part)
    whole = sum(one.source.share for one in used)
    counts = [max(1, round(drawn.count * one.source.share / whole)) for one in used]
    return [
        _labeller(config, one, part, dataclasses.replace(drawn, count=count))
        for one, count in zip(used, counts, strict=True)
    ]


def _labeller(config: DistillationConfig, used: _Used, part: Part, settings: LabelSettings) -> _Labeller:
    """The labeller of one source.

    Raises:
        ConfigError: the source has no photos of the part, or its regions are wrong.
    """
    try:
        photos = used.source.part(part).readable_paths()
        regions = _regions(used.source)
        if regions:
            photos = _listed(photos, regions, used.source, part)
    except ValueError as error:
        raise ConfigError(f"photos[{used.place}].{error}") from None
    folder = Path(config.out) / ("labels" if part == "train" else "validation") / str(used.place)
    by_path = {path: regions[path] for path in photos} if regions else {}
    origin = _origin(config, used, photos, by_path, settings)
    return _Labeller(photos, used.tasks, folder, settings, by_path, origin)


def _regions(source: PhotoSource) -> ByPhoto[list[Region]]:
    """The regions of the photos that a source's file lists; empty where whole photos are looked at."""
    if not source.regions:
        return ByPhoto({})
    listed = regions_listed(source.regions)
    by_name = {name: [row.region for row in rows] for name, rows in listed.items()}
    return ByPhoto(by_name, source.folder, source=f"regions ({source.regions})")


def _listed(
    photos: Sequence[Path], regions: ByPhoto[list[Region]], source: PhotoSource, part: Part
) -> list[Path]:
    """The photos that have regions.

    Raises:
        ValueError: there are none, a name means several photos, or a region has no pixel of its photo.
    """
    found = [path for path in photos if path in regions]
    if not found:
        raise ValueError(f"regions: {source.regions} lists none of the photos of {part}")
    regions.check_clear(found)
    for path in found:
        check_places("regions", regions.name(path), regions[path], photo_size(path))
    return found


def _origin(
    config: DistillationConfig,
    used: _Used,
    photos: Sequence[Path],
    regions: Mapping[Path, Sequence[Region]],
    settings: LabelSettings,
) -> dict[str, Any]:
    """Everything that labels in a folder must have in common, by the name that messages give it."""
    chosen = [task for task in config.tasks if task.label in used.tasks]
    named = [(task.label, task.name, task.settings) for task in chosen]
    return {
        "photos": [name_below(used.source.folder, path) for path in photos],
        "contents of photos": digest_of_contents(photos),
        "regions": used.source.regions,
        "lines of regions": [regions.get(path, []) for path in photos],
        "tasks": [plain(task) for task in chosen],
        "networks": digest_of_tasks(used.tasks),
        "files of networks": digest_of_sources(named, installed=False),
        "values of networks": digest_of_values(named, used.tasks),
        **_drawn(settings),
    }


def _drawn(settings: LabelSettings) -> dict[str, Any]:
    """The settings by which labels are drawn, by the name that messages give them; ``count`` may change."""
    return {f"labels.{name}": value for name, value in plain(settings).items() if name != "count"}
