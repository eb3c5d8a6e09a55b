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

#: What an error that is gone counts as where nobody has any left: its logarithm has no end.
TINY = 1e-12


@explain_unknown_keywords
@dataclass(frozen=True)
class JudgeConfig:
    """A network as the configuration describes it.

    Attributes:
        name: of the task, as :func:`npp.tasks.build_task` knows it.
        label: of the network in results; its ``model``, or the task's name, where it is not given. A module
            that is given from Python has the name of its class.
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
        """For results.

        Args:
            seen: whether it took part in training or choosing what is measured.
        """
        head = {"label": self.label, "task": self.name, "seen": seen, "metrics": self.metrics}
        given = {} if self.categories is None else {"categories": self.categories}
        return {**head, **given, **plain(self.settings)}


@dataclass(frozen=True)
class Judge:
    """A network that is ready to judge.

    Attributes:
        spec: the configuration's.
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
        """What decides its scores and where they stand, for keys of stored results."""
        settings = [self.spec.name, self.spec.settings]
        weights, files = hash_state(self.task), hash_files(settings)
        key = {**self.spec.describe(seen=self.seen), "weights": weights, "files": files}
        values = hash_values(settings, self.task)
        return key if values is None else {**key, "values": values}


@dataclass(frozen=True)
class Axis:
    """A quality that curves are drawn over.

    Attributes:
        network: the judge's label, or ``"picture"`` for PSNR.
        name: of the score.
        higher_is_better: its direction.
        primary: whether it is the one that comparisons are quoted on.
        dataset: a metric of all pictures together, without a value for each.
        true: against real labels, not against the network's own clean output.
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

        What is better when it is larger is its own quality; that of an error or a divergence is its negative
        natural logarithm.

        Args:
            means: of any shape.
            least: what less counts as.
        """
        return means if self.higher_is_better else -np.log(np.maximum(means, least))


def build_judge(spec: JudgeConfig, device: torch.device, *, seen: bool) -> Judge:
    """Loads a network.

    Raises:
        ConfigError: the task does not take these settings or needs something that is missing, or a module of
            somebody's own was edited since it was imported; it names the network.
    """
    from npp.tasks import build_task

    try:
        task = build_task(spec.name, **spec.settings).to(device).eval()
        note_modules([spec.name, spec.settings])
        if spec.metrics:
            task.metric()
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:  # whatever the code of somebody's network raises
        raise ConfigError(f"network {spec.label}: {refusal(error, spec)}") from error
    return Judge(spec, task, seen)
