"""Builds the tasks of a configuration."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from npp.config.typed import refusal
from npp.config.yaml_files import ConfigError
from npp.tasks import Task, build_task
from npp.training.allocator_config import LabelTaskConfig
from npp.training.train_config import TaskConfig


def build_tasks(configs: Mapping[str, TaskConfig | LabelTaskConfig]) -> dict[str, Task]:
    """Builds tasks; optional ones only where their packages are, with a warning where they are not.

    Args:
        configs: the tasks' sections by label, in the order of the configuration.

    Returns:
        The tasks by label.

    Raises:
        ConfigError: an unknown task, network or setting; or all are optional and none can be built.
    """
    tasks: dict[str, Task] = {}
    for i, (label, config) in enumerate(configs.items()):
        try:
            tasks[label] = build_task(config.name, **config.settings)
        except (ImportError, OSError, TypeError, ValueError) as error:
            optional = isinstance(config, LabelTaskConfig) and config.optional
            if not (optional and isinstance(error, ModuleNotFoundError)):
                raise ConfigError(f"tasks[{i}]: {refusal(error, config)}") from None
            warnings.warn(f"tasks[{i}] {label!r} is left out: {error}", stacklevel=3)
    if configs and not tasks:
        raise ConfigError("tasks: all are optional, and none has its packages")
    return tasks
