"""The identity of a training: everything that its steps and validations depend on, for resumed runs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from npp.config.digests import hash_sources, hash_state, hash_structures
from npp.config.kept_values import KeptValues, first_difference, hash_values, kept_values
from npp.config.typed import plain
from npp.config.yaml_files import ConfigError
from npp.recipes import Recipe
from npp.recipes.stored_parts import part_settings
from npp.tasks import Task
from npp.training.draws import Photos
from npp.training.train_config import TrainConfig

_OF_A_STEP = ("seed", "scale", "trade_off", "loss")
_OF_NO_STEP = ("threads",)  # the codec's bytes do not depend on its threads
_OF_A_PICTURE = ("size", "mode", "augment")
_PARTS = ("preprocessor", "allocator", "restorer")
_BEGINNING = 1 << 16  # bytes of a photo that are read
_NETWORKS = "model", "network"  # settings that name a network, the latter in custom tasks
_SOURCES = "files"  # the files of a network: weights and code
_VALUES = "values"  # what a network keeps besides weights
_TOLD = "told values"  # the same with names, so that a message can say what differs
_FOLDERS = re.compile(r"[^:]*[/\\]")  # the folders before the file of a network


def _digest(values: Iterable[object]) -> str:
    """A digest of values by their texts, apart from :func:`npp.config.digests.digest_of`, which takes JSON.

    Checkpoints, curves and labels of earlier versions hold this form, and must fit.
    """
    return hashlib.sha256("\n".join(map(str, values)).encode()).hexdigest()[:16]


def digest_of_tasks(tasks: Mapping[str, Task]) -> dict[str, str]:
    """Digests of the weights of each task's network, by label."""
    return {label: hash_state(task)[:16] for label, task in tasks.items()}


def digest_of_sources(
    tasks: Iterable[tuple[str, str, Mapping[str, Any]]], *, installed: bool
) -> dict[str, str]:
    """Digests of the files that each task's name and settings name, by label: those of code and weights.

    Args:
        tasks: label, name and settings of each task; their networks must be loaded.
        installed: whether files of installed packages count: a run may be resumed with newer ones, as it may
            with another torch.
    """
    return {
        label: _digest(hash_sources([name, settings], installed=installed)) for label, name, settings in tasks
    }


def sources_of(config: TrainConfig, *, installed: bool) -> dict[str, str]:
    """:func:`digest_of_sources` of a configuration's tasks."""
    return digest_of_sources(_named(config), installed=installed)


def digest_of_values(
    named: Iterable[tuple[str, str, Mapping[str, Any]]], tasks: Mapping[str, Task]
) -> dict[str, str]:
    """Digests of what custom networks keep besides weights, by label; tasks of other networks are left out.

    Args:
        named: label, name and settings of each task.
        tasks: the same by label, before their networks are used.
    """
    values = {label: hash_values([name, settings], tasks[label]) for label, name, settings in named}
    return {label: value[:16] for label, value in values.items() if value is not None}


def _named(config: TrainConfig) -> list[tuple[str, str, Mapping[str, Any]]]:
    """The label, name and settings of each task of a configuration."""
    pairs = zip(config.labels, config.tasks, strict=True)
    return [(label, task.name, task.settings) for label, task in pairs]


def values_of(config: TrainConfig, tasks: Mapping[str, Task]) -> dict[str, KeptValues]:
    """The values that custom networks keep besides weights, by label; tasks of other networks are left out.

    Args:
        config: the run's.
        tasks: the tasks by label, before their networks are used.
    """
    kept = {label: kept_values([name, settings], tasks[label]) for label, name, settings in _named(config)}
    return {label: values for label, values in kept.items() if values is not None}


def short_digests(values: Mapping[str, KeptValues]) -> dict[str, str]:
    """The digests of the values of :func:`values_of`, by label."""
    return {label: kept.digest[:16] for label, kept in values.items()}


def identity_of_values(values: Mapping[str, KeptValues]) -> dict[str, Any]:
    """The values that networks keep, by the name that messages give them, the most telling form first."""
    return {
        **{f"{_TOLD} of tasks.{label}": kept.values for label, kept in values.items()},
        **{f"{_VALUES} of tasks.{label}": digest for label, digest in short_digests(values).items()},
    }


def digest_of_files(paths: Sequence[Path]) -> str:
    """A digest of photos on this disk: their paths, sizes and times of change."""
    found = ((path, path.stat()) for path in paths)
    return _digest((path, stat.st_size, stat.st_mtime_ns) for path, stat in found)


def digest_of_contents(paths: Sequence[Path]) -> str:
    """A digest of the contents of photos, which is that of copies elsewhere too.

    It is of each photo's size and first bytes, for a data set may be too large to be read whole.
    """
    return _digest(map(_beginning, paths))


def _beginning(path: Path) -> tuple[int, str]:
    """The size of a file, and a digest of its first bytes."""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.sha256(file.read(_BEGINNING)).hexdigest()


def _without_folders(settings: Any) -> Any:
    """A task's settings without the folders in the names of its networks."""
    if not isinstance(settings, Mapping):
        return settings
    return {
        name: _FOLDERS.sub("", value) if name in _NETWORKS and isinstance(value, str) else value
        for name, value in settings.items()
    }


def settings_of_tasks(config: TrainConfig) -> dict[str, Any]:
    """The settings of each task, without the folders of their networks."""
    found = {}
    for label, task in zip(config.labels, config.tasks, strict=True):
        settings = _without_folders(plain(task.settings))
        found[f"tasks.{label}"] = settings
        if structures := hash_structures(task.settings):
            found[f"networks of tasks.{label}"] = structures
    return found


def _settings_of_parts(recipe: Recipe) -> dict[str, Any]:
    """The settings of a recipe's parts, also those that no shape of weights shows, as a map's strength."""
    found = part_settings(None, recipe.preprocessor, recipe.allocator, recipe.restorer)
    return {
        f"{part}.{name}": plain(value)
        for part, settings in found.items()
        if settings is not None
        for name, value in settings.items()
    }


def _trained(config: TrainConfig) -> list[str]:
    """The names of the parts that are trained."""
    return [name for name in _PARTS if (part := getattr(config, name)) is not None and part.train]


def identity_of_steps(
    config: TrainConfig,
    photos: Photos,
    recipe: Recipe,
    networks: Mapping[str, str],
    values: Mapping[str, KeptValues],
) -> dict[str, Any]:
    """Everything that must be the same in a resumed run, by the name that messages give it.

    The photos may lie in another place.

    Args:
        config: the run's.
        photos: the run's.
        recipe: the recipe that is trained.
        networks: the result of :func:`digest_of_tasks`.
        values: the result of :func:`values_of`.
    """
    settings = config.as_mapping()
    tasks = [
        [label, task.name, task.weight, networks[label]]
        for label, task in zip(config.labels, config.tasks, strict=True)
    ]
    sources = sources_of(config, installed=False)
    return {
        **{name: settings[name] for name in _OF_A_STEP},
        "codec": {name: value for name, value in settings["codec"].items() if name not in _OF_NO_STEP},
        **{f"data.{name}": settings["data"][name] for name in _OF_A_PICTURE},
        "photos": _digest(path.name for path in photos.training),
        "tasks": tasks,
        **{f"{_SOURCES} of tasks.{label}": digest for label, digest in sources.items()},
        **settings_of_tasks(config),
        **_settings_of_parts(recipe),
        "trained parts": _trained(config),
        # Last, for the entries above say more about what differs.
        **identity_of_values(values),
    }


def identity_of_validation(config: TrainConfig, photos: Photos, networks: Mapping[str, str]) -> str:
    """A digest of everything that must be the same for two validations to be compared."""
    shown = [path.name for path in photos.validation]
    return _digest([sorted(set(config.validation.qps)), shown, networks, config.trainer.precision])


def check_identity(before: Mapping[str, Any], now: Mapping[str, Any], path: object) -> None:
    """Raises ConfigError unless a checkpoint is of the same training; the message names the first difference.

    Args:
        before: the identity in the checkpoint.
        now: that of the run.
        path: the checkpoint, for the message.
    """
    for name, value in now.items():
        if name in before and name.startswith(_TOLD):
            if (difference := first_difference(before[name], value)) is not None:
                other = name.replace(_TOLD, _VALUES, 1)
                raise ConfigError(f"resume: {path} is of a training with other {other}: {difference}")
        elif name in before and _without_folders(before[name]) != _without_folders(value):
            hashes = name in ("photos", "tasks") or name.startswith((_SOURCES, _VALUES))
            said = "" if hashes else f" {before[name]!r}, not {value!r}"
            raise ConfigError(f"resume: {path} is of a training with other {name}{said and ':'}{said}")


def check_step_size(before: int | None, batch: int, processes: int) -> None:
    """Raises ConfigError unless steps take as many pictures as those of a checkpoint.

    The place of a run among its photos follows from its steps and this number.

    Args:
        before: the pictures that a step of the checkpoint took; ``None`` where it does not say.
        batch: the pictures of a step in each process now.
        processes: the number of processes now.
    """
    now = batch * processes
    if before not in (None, now):
        raise ConfigError(
            f"resume: the checkpoint's steps took {before} pictures, and these would take {now} "
            f"({processes} processes with optimiser.batch {batch}): their product must stay"
        )
