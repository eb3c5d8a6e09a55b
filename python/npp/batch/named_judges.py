"""Networks that say what is lost of pictures, by what people call them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from npp.batch.refined_frames import colour_of, keep_seen, load_network
from npp.gradient.prediction import PictureLoss

if TYPE_CHECKING:
    from npp.tasks import Task

_SETTINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class NamedJudge:
    """What a network must go on seeing in a picture; it can be pickled, and loads the network where it runs.

    Attributes:
        spec: a file of ``torch.export.save``, a YAML file with a task's name and settings as
            :func:`npp.tasks.build_task` takes them, or a classifier's name for
            :func:`npp.tasks.load_network`.
    """

    spec: str

    def __call__(self, x: Tensor) -> PictureLoss:
        """The loss of decoded pictures against the clean one (1, C, H, W)."""
        if self._is_exported():
            return keep_seen(self.spec, x)
        task = _task(self.spec)
        kept = task.bind(task.targets(colour_of(x)))
        return lambda pictures: kept(colour_of(pictures))

    def check(self) -> None:
        """Loads the network.

        Raises:
            ValueError: it cannot be loaded.
            ImportError: a package is missing.
            OSError: a file cannot be read.
        """
        if self._is_exported():
            load_network(self.spec)
        else:
            _task(self.spec)

    def digest(self) -> str:
        """Tells it from other judges, as far as its name and its file do."""
        found = hashlib.sha256(self.spec.encode())
        if Path(self.spec).is_file():
            found.update(Path(self.spec).read_bytes())
        return found.hexdigest()

    def _is_exported(self) -> bool:
        return not self.spec.endswith(_SETTINGS) and Path(self.spec).is_file()


@lru_cache(maxsize=2)
def _task(spec: str) -> Task:
    from npp.tasks import build_task  # the network's own packages come with it

    if not spec.endswith(_SETTINGS):
        return build_task("classification", model=spec)
    from npp.config.yaml_files import read_config

    settings = read_config(spec)
    if "name" not in settings:
        raise ValueError(f"{spec} must hold a task's name and settings; it has no key name")
    return build_task(**settings)
