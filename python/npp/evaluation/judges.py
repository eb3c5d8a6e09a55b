"""The networks that judge decoded pictures."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from npp.checks import flags
from npp.config.digests import hash_files, hash_state, note_modules
from npp.config.kept_values import hash_values
from npp.config.typed import REST, explain_unknown_keywords, label_of, plain, refusal
from npp.config.yaml_files import ConfigError
from npp.pchip import Floats

if TYPE_CHECKING:
    from npp.tasks import Task

#: The value of an error of 0 if all errors are 0, for its logarithm is infinite.
TINY = 1e-12


@explain_unknown_keywords
@dataclass(frozen=True)
class JudgeConfig:
    """A network as the configuration describes it.

    Attributes:
        name: name of the task, see :func:`npp.tasks.build_task`.
        label: name of the network in results; by default its ``model`` or the name of the task. A module
            given from Python has the name of its class.
        quality: the score that comparisons are quoted on, or ``None`` for the task's first.
        metrics: whether the task's metrics of all pictures together are computed too.
        categories: whether a detector's labels are the ``place`` of a category in the annotations' list or
            its ``id``; by default what the detector itself says: ``id`` for those of torchvision and
            DETR's kin, else ``place``.
        settings: all other keys go to the task.
    """

    name: str
    label: str = ""
    quality: str | None = None
    metrics: bool = True
    categories: Literal["place", "id"] | None = None
    settings: dict[str, Any] = field(default_factory=dict, metadata=REST)

    def __post_init__(self) -> None:
        flags(self, "metrics")
        if not self.label:
            object.__setattr__(self, "label", label_of(self.settings, self.name))

    def describe(self, *, seen: bool) -> dict[str, Any]:
        """The configuration as JSON, for results.

        Args:
            seen: whether the network took part in training or choosing what is measured.
        """
        head = {"label": self.label, "task": self.name, "seen": seen, "metrics": self.metrics}
        given = {} if self.categories is None else {"categories": self.categories}
        return {**head, **given, **plain(self.settings)}


@dataclass(frozen=True)
class Judge:
    """A network that is ready to judge.

    Attributes:
        spec: its configuration.
        task: the network with what it measures.
        seen: whether it took part in training or choosing what is measured.
    """

    spec: JudgeConfig
    task: Task
    seen: bool

    @property
    def label(self) -> str:
        """Its name in results."""
        return self.spec.label

    @property
    def says_category_ids(self) -> bool:
        """Whether a detector's labels are ids of categories."""
        if self.spec.categories is not None:
            return self.spec.categories == "id"
        return bool(getattr(self.task.network, "says_category_ids", False))

    @cached_property
    def key(self) -> dict[str, Any]:
        """A JSON value of all that determines its scores and their names, for keys of stored results."""
        settings = [self.spec.name, self.spec.settings]
        weights, files = hash_state(self.task), hash_files(settings)
        key = {**self.spec.describe(seen=self.seen), "weights": weights, "files": files}
        values = hash_values(settings, self.task)
        return key if values is None else {**key, "values": values}


@dataclass(frozen=True)
class Axis:
    """A quality that curves are drawn over.

    Attributes:
        network: label of the judge, or ``"picture"`` for PSNR.
        name: name of the score.
        higher_is_better: whether higher values are better.
        primary: whether comparisons are quoted on it.
        dataset: whether it is a metric of all pictures together, without a value for each.
        true: whether it is against real labels, and not against the network's own clean output.
    """

    network: str
    name: str
    _: KW_ONLY
    higher_is_better: bool
    primary: bool = False
    dataset: bool = False
    true: bool = False

    def quality(self, means: Floats, least: float = TINY) -> Floats:
        """Mean scores as the quality of a rate-quality curve, which rises.

        If higher is better, the score is its own quality. The quality of an error or a divergence is its
        negative natural logarithm.

        Args:
            means: mean scores, of any shape.
            least: smaller errors count as this.
        """
        return means if self.higher_is_better else -np.log(np.maximum(means, least))


def build_judge(spec: JudgeConfig, device: torch.device, *, seen: bool) -> Judge:
    """Loads a network.

    Raises:
        ConfigError: the task does not take these settings or needs something that is missing, or a user's
            module was edited since it was imported; the message names the network.
    """
    from npp.tasks import build_task

    try:
        task = build_task(spec.name, **spec.settings).to(device).eval()
        note_modules([spec.name, spec.settings])
        if spec.metrics:
            task.metric()
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:  # the code of a user's network may raise anything
        raise ConfigError(f"network {spec.label}: {refusal(error, spec)}") from error
    return Judge(spec, task, seen)
