"""Building tasks by name, as configuration files give them."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from npp.checks import check_known_settings, did_you_mean
from npp.tasks.python_objects import imported
from npp.tasks.task import Task
from npp.torch_defaults import cpu_by_default

_TASKS = {
    "classification": ("npp.tasks.classification", "Classification"),
    "detection": ("npp.tasks.detection", "Detection"),
    "segmentation": ("npp.tasks.segmentation", "Segmentation"),
    "recognition": ("npp.tasks.recognition", "Recognition"),
    "match": ("npp.tasks.match", "Match"),
}


def available_tasks() -> list[str]:
    """The names that :func:`build_task` knows."""
    return sorted(_TASKS)


def _maker(name: str) -> Callable[..., Any]:
    if name.startswith("python:"):
        factory: Callable[..., Any] = imported(name.removeprefix("python:"))
        return factory
    if name not in _TASKS:
        names = available_tasks()
        raise ValueError(
            f"task must be one of {', '.join(names)}, or python:package.module:name, not {name!r}"
            f"{did_you_mean(name, names)}"
        )
    module, kind = _TASKS[name]
    maker: Callable[..., Any] = getattr(importlib.import_module(module), kind)
    return maker


def _check_settings(name: str, maker: Callable[..., Any], settings: dict[str, Any]) -> None:
    parameters = inspect.signature(maker).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    check_known_settings(f"task {name!r} has no setting", settings, parameters)
    missing = [
        key
        for key, parameter in parameters.items()
        if parameter.default is parameter.empty
        and key not in settings
        and parameter.kind is not parameter.VAR_POSITIONAL
    ]
    if missing:
        raise ValueError(f"task {name!r} needs the setting {missing[0]!r}")


def build_task(name: str, **settings: Any) -> Task:
    """Builds a task by its name.

    Args:
        name: one of :func:`available_tasks`, or ``python:package.module:name`` for a class or function
            of the user that returns a :class:`Task`.
        **settings: settings of that task, for example ``model="efficientnet-lite0"``.

    Returns:
        The task; networks that it loads by name are on the CPU.

    Raises:
        ValueError: a name or setting is unknown or missing; the message names what is allowed.
        TypeError: the result is not a :class:`Task`.
    """
    maker = _maker(name)
    _check_settings(name, maker, settings)
    with cpu_by_default():
        task = maker(**settings)
    if not isinstance(task, Task):
        raise TypeError(f"task {name!r} must be an npp.tasks.Task, not {type(task).__name__}")
    return task
