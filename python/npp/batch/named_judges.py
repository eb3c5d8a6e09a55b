"""Networks, given by name, that judge what is lost in decoded pictures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from torch import Tensor

from npp.batch.outcomes import describe
from npp.batch.refined_frames import file_stamp, keep_seen, load_exported
from npp.codec.errors import EncodeError
from npp.config.digests import digest_of, hash_file, hash_files, hash_state, note_modules
from npp.config.kept_values import hash_values
from npp.gradient.prediction import PictureLoss

if TYPE_CHECKING:
    from npp.tasks import Task

_SETTINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class NamedJudge:
    """A judge given by name; it can be pickled, and loads its network where it runs.

    Attributes:
        spec: a file of ``torch.export.save``, a YAML file with a task's name and settings as
            :func:`npp.tasks.build_task` takes them, or a classifier's name for
            :func:`npp.tasks.load_network`.
    """

    spec: str

    @classmethod
    def of(cls, spec: str) -> NamedJudge:
        """A judge that can be loaded from any working directory: paths of files become absolute.

        Paths inside a YAML file stay as they are.
        """
        head, colon, tail = spec.rpartition(":")
        path = str(Path(tail).resolve()) if Path(tail).is_file() else tail
        return cls(str(Path(spec).resolve()) if Path(spec).is_file() else head + colon + path)

    def __call__(self, x: Tensor) -> PictureLoss:
        """The function from a decoded picture to its loss against the clean one ``x``, both (1, 3, H, W).

        Raises:
            EncodeError: the network cannot process this picture.
        """
        if self._is_exported():
            keep = self._naming_judge(lambda: keep_seen(self.spec, x))
            return lambda shown: self._naming_judge(lambda: keep(shown))
        loaded = _task(self.spec, file_stamp(self.spec))
        picture_loss = self._naming_judge(lambda: loaded.bind(x))
        return lambda shown: self._naming_judge(lambda: picture_loss(shown))

    def _naming_judge(self, look: Any) -> Any:
        try:
            return look()
        except EncodeError:
            raise
        except Exception as error:
            raise EncodeError(
                f"the judge {self.spec} cannot look at this picture: {describe(error)}"
            ) from error

    def check(self) -> None:
        """Loads the network, so that a wrong name is found before any work.

        Raises:
            ValueError: it cannot be loaded. Errors that a user's own module raises are not changed.
            ImportError: a package is missing.
            OSError: a file cannot be read.
        """
        if self._is_exported():
            try:
                load_exported(self.spec)
            except ValueError as error:
                from npp.tasks.form_suggestions import form_suggestion

                raise ValueError(f"{error}{form_suggestion(self.spec, ())}") from None
        else:
            _task(self.spec, file_stamp(self.spec))

    def digest(self) -> str:
        """Digest of the judge: of its file, or of its settings, weights and files."""
        if self._is_exported():
            return hash_file(Path(self.spec))
        loaded = _task(self.spec, file_stamp(self.spec))
        identity = [loaded.settings, hash_state(loaded.task), hash_files(loaded.settings)]
        if loaded.values is not None:
            identity.append(loaded.values)
        return digest_of(identity)

    def _is_exported(self) -> bool:
        return not self.spec.endswith(_SETTINGS) and Path(self.spec).is_file()


class _LoadedTask:
    """A task that one thread uses at a time, for a network may keep state between calls."""

    def __init__(self, settings: dict[str, Any], task: Task) -> None:
        self.settings, self.task = settings, task
        self.values = hash_values(settings, task)  # before the network runs
        note_modules(settings)
        self._lock = Lock()

    def bind(self, x: Tensor) -> PictureLoss:
        with self._lock:
            picture_loss = self.task.bind(self.task.targets(x))

        def lost(shown: Tensor) -> Tensor:
            with self._lock:
                return picture_loss(shown)

        return lost


@lru_cache(maxsize=2)
def _task(spec: str, stamp: tuple[int, int] | None) -> _LoadedTask:
    from npp.config.surroundings import folder_of, modules_below
    from npp.config.yaml_files import read_config
    from npp.tasks import build_task  # it imports the packages of networks

    if not spec.endswith(_SETTINGS):
        if ":" not in spec and ("/" in spec or Path(spec).suffix):
            raise FileNotFoundError(f"there is no file {spec}")
        settings: dict[str, Any] = {"name": "classification", "model": spec}
        return _LoadedTask(settings, build_task(**settings))
    settings = read_config(spec)
    if not isinstance(settings.get("name"), str):
        raise ValueError(f"{spec} must hold a task's name and settings; it has no name, or no text there")
    with modules_below(folder_of(spec)):
        return _LoadedTask(settings, build_task(**settings))
