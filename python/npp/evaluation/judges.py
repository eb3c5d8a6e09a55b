"""The networks that judge decoded pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from npp.config.yaml_files import ConfigError, Section
from npp.pchip import Floats

if TYPE_CHECKING:
    from npp.tasks import Task


_TINY = 1e-12


@dataclass(frozen=True)
class JudgeConfig:
    """A network as the configuration describes it.

    Attributes:
        label: its name in results.
        task, settings: as :func:`npp.tasks.build_task`.
        seen: whether it took part in training what is measured.
        quality: the score that comparisons are quoted on, or ``None`` for the task's first.
        metrics: whether the task's metrics of all pictures together are computed too.
    """

    label: str
    task: str
    settings: Mapping[str, Any]
    seen: bool
    quality: str | None
    metrics: bool

    def describe(self) -> dict[str, Any]:
        """What decides its scores and where they stand, for keys of stored results."""
        return {
            "label": self.label,
            "task": self.task,
            "seen": self.seen,
            "metrics": self.metrics,
            **self.settings,
        }


@dataclass(frozen=True)
class Judge:
    """A network that is ready to judge."""

    spec: JudgeConfig
    task: Task

    @property
    def label(self) -> str:
        """Its name in results."""
        return self.spec.label


@dataclass(frozen=True)
class Axis:
    """A quality that curves are drawn over.

    Attributes:
        network: the judge's label, or ``"picture"`` for PSNR.
        name: of the score.
        higher_is_better: its direction.
        primary: whether it is the one that comparisons are quoted on.
        dataset: a metric of all pictures together, without a value for each.
    """

    network: str
    name: str
    higher_is_better: bool
    primary: bool = False
    dataset: bool = False

    def heights(self, means: Floats) -> Floats:
        """Mean scores as values that rise with quality.

        What is better when it is smaller, as a divergence, goes on a logarithmic scale.
        """
        return means if self.higher_is_better else -np.log(np.maximum(means, _TINY))


def read_judges(sections: list[Section], *, seen: bool) -> list[JudgeConfig]:
    """``seen:`` or ``unseen:``: the task's ``name`` and settings, ``label``, ``quality``, ``metrics``."""
    specs = []
    for section in sections:
        task = section.text("name")
        label = section.take("label", None)
        quality = section.take("quality", None)
        metrics = section.flag("metrics", True)
        settings = section.rest()
        default = str(settings.get("model", task))
        name = default if label is None else str(label)
        specs.append(JudgeConfig(name, task, settings, seen, quality, metrics))
    return specs


def build_judge(spec: JudgeConfig, device: str) -> Judge:
    """Loads a network.

    Raises:
        ConfigError: the task does not take these settings, or has no such score; it names the network.
    """
    from npp.tasks import build_task

    try:
        task = build_task(spec.task, **spec.settings).to(device).eval()
    except (TypeError, ValueError, OSError) as error:
        raise ConfigError(f"network {spec.label}: {error}") from error
    if spec.quality is not None and spec.quality not in task.higher_is_better:
        raise ConfigError(
            f"network {spec.label}: quality must be one of {', '.join(task.higher_is_better)}, "
            f"not {spec.quality!r}"
        )
    return Judge(spec, task)
