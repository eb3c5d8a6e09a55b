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

    @classmethod
    def of(cls, spec: str) -> NamedJudge:
        """The same from whatever folder it is asked later: files by their whole path."""
        return cls(str(Path(spec).resolve()) if Path(spec).is_file() else spec)

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
        """Tells it from other judges, as far as its name or its file does."""
        file = Path(self.spec)
        return hashlib.sha256(file.read_bytes() if file.is_file() else self.spec.encode()).hexdigest()

    def _is_exported(self) -> bool:
        return not self.spec.endswith(_SETTINGS) and Path(self.spec).is_file()


@lru_cache(maxsize=2)
def _task(spec: str) -> Task:
    from npp.tasks import build_task  # the network's own packages come with it

    if not spec.endswith(_SETTINGS):
        return build_task("classification", model=spec)
    from npp.config.surroundings import modules_below
    from npp.config.yaml_files import read_config

    settings = read_config(spec)
    if "name" not in settings:
        raise ValueError(f"{spec} must hold a task's name and settings; it has no key name")
    with modules_below(str(Path(spec).resolve().parent)):
        return build_task(**settings)
