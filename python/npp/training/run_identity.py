"""What decides what a training's steps and validations do: a run that goes on must have the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from npp.config.digests import hash_state
from npp.config.yaml_files import ConfigError
from npp.tasks import Task
from npp.training.draws import Photos
from npp.training.train_config import TrainConfig

_OF_A_STEP = ("seed", "scale", "trade_off", "loss")
_OF_NO_STEP = ("threads",)  # of the codec: its bytes do not depend on them
_OF_A_PICTURE = ("size", "mode", "augment")


def _digest(values: Iterable[object]) -> str:
    return hashlib.sha256("\n".join(map(str, values)).encode()).hexdigest()[:16]


def digest_of_tasks(tasks: Mapping[str, Task]) -> dict[str, str]:
    """The weights of each task's network, by label."""
    return {label: hash_state(task)[:16] for label, task in tasks.items()}


def digest_of_files(paths: Sequence[Path]) -> str:
    """Photos on this disk: where they are, how large, and since when."""
    found = ((path, path.stat()) for path in paths)
    return _digest((path, stat.st_size, stat.st_mtime_ns) for path, stat in found)


def identity_of_steps(config: TrainConfig, photos: Photos, networks: Mapping[str, str]) -> dict[str, Any]:
    """What must be as it was, by the name that a message has for it; another place of the photos may be.

    Args:
        config: of the run.
        photos: of the run.
        networks: what :func:`digest_of_tasks` gives.
    """
    settings = config.as_mapping()
    tasks = [
        [label, task.name, task.weight, networks[label]]
        for label, task in zip(config.labels, config.tasks, strict=True)
    ]
    return {
        **{name: settings[name] for name in _OF_A_STEP},
        "codec": {name: value for name, value in settings["codec"].items() if name not in _OF_NO_STEP},
        **{f"data.{name}": settings["data"][name] for name in _OF_A_PICTURE},
        "photos": _digest(path.name for path in photos.training),
        "tasks": tasks,
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
        if name in before and before[name] != value:
            said = "" if name in ("photos", "tasks") else f" {before[name]!r}, not {value!r}"
            raise ConfigError(f"resume: {path} is of a training with other {name}{said and ':'}{said}")
