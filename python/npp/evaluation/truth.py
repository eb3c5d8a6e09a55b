"""What is right for networks of one kind of task, and how their answers are compared with it."""

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

#: Answers to all pictures together against what is right, in a form that can be drawn anew.
Matches: TypeAlias = BoxMatches | ClassOverlaps
Matcher: TypeAlias = BoxMatcher | ClassCounter


class LabelError(ValueError):
    """A label cannot be right for a network; the message begins with the configuration's key."""


class NamedClass(NamedTuple):
    """A class, and the photo that has it."""

    number: int
    photo: str


class Truth(ABC):
    """What a file says of photos, for judges of one kind of task; false where it says nothing.

    Attributes:
        setting: the configuration's key of the file.
        task: the kind of these judges' tasks.
        has_scores: whether each picture has scores of its own, and not only all pictures together.
        by_photo: what is right for each photo.
    """

    setting: ClassVar[str]
    task: ClassVar[type[Task]]
    has_scores: ClassVar[bool] = True
    by_photo: ByPhoto[Any]

    def __bool__(self) -> bool:
        return len(self.by_photo) > 0

    @property
    def tables(self) -> tuple[ByPhoto[Any], ...]:
        """The tables that a photo needs an entry in, empty ones too."""
        return (self.by_photo,)

    def helps(self, judge: Judge) -> bool:
        """Whether something is measured or looked at by it where a judge is of its kind of task."""
        return isinstance(judge.task, self.task) and (self.has_scores or judge.spec.metrics)

    @abstractmethod
    def check(self, judges: Sequence[Judge], photos: Sequence[Path]) -> Mapping[str, NamedClass]:
        """Looks through what is right for photos, before anything is measured.

        Args:
            judges: of this kind of task.
            photos: that will be measured.

        Returns:
            The highest class that a judge needs, by its label; none for judges that need no classes.

        Raises:
            ValueError: something cannot be right; the message begins with the configuration's key.
        """

    @abstractmethod
    def key(self, photos: Sequence[Path]) -> Any:
        """A JSON value that says what is right for these photos."""

    def targets(self, judge: Judge, photos: Sequence[Path]) -> list[Any]:
        """What is right for these photos in the form of a judge's answers."""
        return [self.by_photo[photo] for photo in photos]

    def scores(
        self, judge: Judge, task: Task, images: Tensor, photos: Sequence[Path]
    ) -> Mapping[str, Tensor]:
        """A judge's scores of pictures (N, 3, H, W) of these photos, (N,) by name.

        Args:
            judge: whose scores they are.
            task: what it does with these photos.
            images: the pictures.
            photos: what they are pictures of.

        Raises:
            LabelError: a label cannot be right for the judge.
        """
        return task.scores(images, self.targets(judge, photos))


class MatchedTruth(Truth):
    """A truth of which something is measured of all pictures together, in place of the task's own metrics."""

    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """Names of what is measured of all pictures together.

        Raises:
            ModuleNotFoundError: a package is missing that computes them.
        """

    @abstractmethod
    def matcher(self, judge: Judge) -> Matcher:
        """Compares a judge's predictions with :meth:`targets`."""

    @abstractmethod
    def unpacked(self, stored: Mapping[str, Any]) -> Matches:
        """What a :meth:`matcher` gave, from its ``packed`` form."""
