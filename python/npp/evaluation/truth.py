"""Real labels for one kind of task, and the comparison of outputs with them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeAlias

from torch import Tensor

from npp.evaluation.average_precision import BoxMatcher, BoxMatches
from npp.evaluation.by_photo import ByPhoto
from npp.evaluation.class_overlaps import ClassCounter, ClassOverlaps
from npp.evaluation.judges import Judge
from npp.tasks import Task

#: Comparison of all outputs with the truth, in a form that can be resampled over pictures.
Matches: TypeAlias = BoxMatches | ClassOverlaps
Matcher: TypeAlias = BoxMatcher | ClassCounter


class LabelError(ValueError):
    """A label cannot be right for a network; the message begins with the key of the configuration."""


class NamedClass(NamedTuple):
    """A class, and a photo that has it."""

    number: int
    photo: str


class Truth(ABC):
    """Labels of photos from a file, for judges of one kind of task; false if there are none.

    Attributes:
        setting: key of the file in the configuration.
        task: kind of task of the judges.
        has_scores: whether each picture has scores of its own, and not only all pictures together.
        by_photo: the label of each photo.
    """

    setting: ClassVar[str]
    task: ClassVar[type[Task]]
    has_scores: ClassVar[bool] = True
    by_photo: ByPhoto[Any]

    def __bool__(self) -> bool:
        return len(self.by_photo) > 0

    @property
    def tables(self) -> tuple[ByPhoto[Any], ...]:
        """The tables in which a photo needs an entry, empty ones too."""
        return (self.by_photo,)

    def helps(self, judge: Judge) -> bool:
        """Whether a judge of this kind of task needs the labels."""
        return isinstance(judge.task, self.task) and (self.has_scores or judge.spec.metrics)

    @abstractmethod
    def check(self, judges: Sequence[Judge], photos: Sequence[Path]) -> Mapping[str, NamedClass]:
        """Checks the labels of photos before anything is measured.

        Args:
            judges: the judges of this kind of task.
            photos: the photos that will be measured.

        Returns:
            The highest class in the labels, by label of the judge, for judges that need classes.

        Raises:
            ValueError: a label cannot be right; the message begins with the key of the configuration.
        """

    @abstractmethod
    def key(self, photos: Sequence[Path]) -> Any:
        """A JSON value that determines the labels of these photos."""

    def targets(self, judge: Judge, photos: Sequence[Path]) -> list[Any]:
        """The labels of these photos in the form of a judge's outputs."""
        return [self.by_photo[photo] for photo in photos]

    def scores(
        self, judge: Judge, task: Task, images: Tensor, photos: Sequence[Path]
    ) -> Mapping[str, Tensor]:
        """A judge's scores (N,) by name, for pictures (N, 3, H, W) of these photos.

        Args:
            judge: the judge.
            task: its task for these photos.
            images: the pictures.
            photos: the photos that they show.

        Raises:
            LabelError: a label cannot be right for the judge.
        """
        return task.scores(images, self.targets(judge, photos))


class MatchedTruth(Truth):
    """A truth with metrics of all pictures together, which replace the task's own metrics."""

    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics of all pictures together.

        Raises:
            ModuleNotFoundError: a package that computes them is missing.
        """

    @abstractmethod
    def matcher(self, judge: Judge) -> Matcher:
        """A matcher that compares a judge's predictions with :meth:`targets`."""

    @abstractmethod
    def unpacked(self, stored: Mapping[str, Any]) -> Matches:
        """The result of a :meth:`matcher`, from its ``packed`` form."""
