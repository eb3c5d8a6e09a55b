"""What decides what a training's steps and validations do: a run that goes on must have the same."""

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
_OF_NO_STEP = ("threads",)  # of the codec: its bytes do not depend on them
_OF_A_PICTURE = ("size", "mode", "augment")
_PARTS = ("preprocessor", "allocator", "restorer")
_BEGINNING = 1 << 16  # bytes of a photo
_NETWORKS = "model", "network"  # settings that name one, the latter of tasks of one's own
_SOURCES = "files"  # of networks: weights and what defines them
_VALUES = "values"  # of networks: what they keep besides weights
_TOLD = "told values"  # the same, so that a message can name what differs
_FOLDERS = re.compile(r"[^:]*[/\\]")  # of a file that a network is loaded from


def _digest(values: Iterable[object]) -> str:
    return hashlib.sha256("\n".join(map(str, values)).encode()).hexdigest()[:16]


def digest_of_tasks(tasks: Mapping[str, Task]) -> dict[str, str]:
    """The weights of each task's network, by label."""
    return {label: hash_state(task)[:16] for label, task in tasks.items()}


def digest_of_sources(
    tasks: Iterable[tuple[str, str, Mapping[str, Any]]], *, installed: bool
) -> dict[str, str]:
    """The files that each task's name and settings lead to, by label: what a network does with its weights.

    Args:
        tasks: label, name and settings of each; their networks are loaded.
        installed: whether files of installed packages count: a run may go on with newer ones, as it may with
            another torch.
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
    """What each network of somebody's own keeps besides its weights, by label; no other task is in it.

    Args:
        named: label, name and settings of each task.
        tasks: the same by label, before their networks are used.
    """
    values = {label: hash_values([name, settings], tasks[label]) for label, name, settings in named}
    return {label: value[:16] for label, value in values.items() if value is not None}


def _named(config: TrainConfig) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Label, name and settings of a configuration's tasks."""
    pairs = zip(config.labels, config.tasks, strict=True)
    return [(label, task.name, task.settings) for label, task in pairs]


def values_of(config: TrainConfig, tasks: Mapping[str, Task]) -> dict[str, KeptValues]:
    """What each network of somebody's own keeps besides its weights, by label; no other task is in it.

    Args:
        config: of the run.
        tasks: by label, before their networks are used.
    """
    kept = {label: kept_values([name, settings], tasks[label]) for label, name, settings in _named(config)}
    return {label: values for label, values in kept.items() if values is not None}


def short_digests(values: Mapping[str, KeptValues]) -> dict[str, str]:
    """The digests of what :func:`values_of` gives, by label."""
    return {label: kept.digest[:16] for label, kept in values.items()}


def identity_of_values(values: Mapping[str, KeptValues]) -> dict[str, Any]:
    """What networks keep, by the name that a message has for it; what says most of it stands first."""
    return {
        **{f"{_TOLD} of tasks.{label}": kept.told for label, kept in values.items()},
        **{f"{_VALUES} of tasks.{label}": digest for label, digest in short_digests(values).items()},
    }


def digest_of_files(paths: Sequence[Path]) -> str:
    """Photos on this disk: where they are, how large, and since when."""
    found = ((path, path.stat()) for path in paths)
    return _digest((path, stat.st_size, stat.st_mtime_ns) for path, stat in found)


def digest_of_contents(paths: Sequence[Path]) -> str:
    """What is in photos, wherever they are: a copy is as good, which their times would not say.

    Of each how large it is and how it begins: a data set may be too large to be read whole.
    """
    return _digest(map(_beginning, paths))


def _beginning(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.sha256(file.read(_BEGINNING)).hexdigest()


def _without_folders(settings: Any) -> Any:
    """A task's settings without the folders that its networks lie in; all else as it is."""
    if not isinstance(settings, Mapping):
        return settings
    return {
        name: _FOLDERS.sub("", value) if name in _NETWORKS and isinstance(value, str) else value
        for name, value in settings.items()
    }


def settings_of_tasks(config: TrainConfig) -> dict[str, Any]:
    """What each task is asked, but for the folder that its network lies in."""
    found = {}
    for label, task in zip(config.labels, config.tasks, strict=True):
        settings = _without_folders(plain(task.settings))
        found[f"tasks.{label}"] = settings
        if structures := hash_structures(task.settings):
            found[f"networks of tasks.{label}"] = structures
    return found


def _settings_of_parts(recipe: Recipe) -> dict[str, Any]:
    """Settings that the shapes of the weights do not show too, such as the strength of a map."""
    found = part_settings(None, recipe.preprocessor, recipe.allocator, recipe.restorer)
    return {
        f"{part}.{name}": plain(value)
        for part, settings in found.items()
        if settings is not None
        for name, value in settings.items()
    }


def _trained(config: TrainConfig) -> list[str]:
    return [name for name in _PARTS if (part := getattr(config, name)) is not None and part.train]


def identity_of_steps(
    config: TrainConfig,
    photos: Photos,
    recipe: Recipe,
    networks: Mapping[str, str],
    values: Mapping[str, KeptValues],
) -> dict[str, Any]:
    """What must be as it was, by the name that a message has for it; another place of the photos may be.

    Args:
        config: of the run.
        photos: of the run.
        recipe: that is trained.
        networks: what :func:`digest_of_tasks` gives.
        values: what :func:`values_of` gives.
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
        # Last, for what stands above says more of what differs.
        **identity_of_values(values),
    }


def identity_of_validation(config: TrainConfig, photos: Photos, networks: Mapping[str, str]) -> str:
    """What must be as it was for two validations to be compared."""
    shown = [path.name for path in photos.validation]
    return _digest([sorted(set(config.validation.qps)), shown, networks, config.trainer.precision])


def check_identity(before: Mapping[str, Any], now: Mapping[str, Any], path: object) -> None:
    """Refuses to go on with another training.

    Raises:
        ConfigError: something differs; the message names the first.
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
    """Refuses steps of another number of pictures: where a run is among its photos follows from both.

    Args:
        before: pictures that a step of the checkpoint took; ``None`` where it does not say.
        batch, processes: what they are made of now.

    Raises:
        ConfigError: the numbers differ.
    """
    now = batch * processes
    if before not in (None, now):
        raise ConfigError(
            f"resume: the checkpoint's steps took {before} pictures, and these would take {now} "
            f"({processes} processes with optimiser.batch {batch}): their product must stay"
        )
