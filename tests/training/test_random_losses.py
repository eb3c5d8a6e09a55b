"""Tasks that do not say the same of the same picture each time are warned of at a training's start."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from small_runs import NETWORK, pictures, smoke
from torch import Tensor
from training_nets import dropping

from npp.tasks import Task, build_task
from npp.tasks.classification import Classification
from npp.training.baseline_curves import BaselineCurves
from npp.training.draws import Photos
from npp.training.random_losses import warn_of_random_losses

_RANDOM = r"^task {}: its loss of a photo is \S+ and, asked again, \S+: its answers are random"


def test_the_random_one_of_several_is_named() -> None:
    tasks = {
        "one": build_task("classification", model=NETWORK),
        "other": build_task("classification", model=dropping()),
    }
    with pytest.warns(UserWarning, match=_RANDOM.format("other")) as caught:
        warn_of_random_losses(tasks, pictures(2, 64))
    assert len(caught) == 1


class _Rounding(Classification):
    """Its losses differ in their last digits, as on devices that add up in any order."""

    def loss(self, images: Tensor, targets: object) -> Tensor:
        exact = super().loss(images, targets)  # type: ignore[arg-type]
        return exact + 1e-7 * torch.rand_like(exact)


def test_rounding_is_not_random() -> None:
    tasks: dict[str, Task] = {"one": _Rounding(NETWORK)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_random_losses(tasks, pictures(2, 64))


def test_a_training_warns_when_it_measures_its_baseline(photos: Path, tmp_path: Path) -> None:
    config = smoke(photos, tmp_path)
    tasks: dict[str, Task] = {"classification": build_task("classification", model=dropping())}
    with pytest.warns(UserWarning, match=_RANDOM.format("classification")) as caught:
        BaselineCurves(config, Photos(config), tasks).measure(torch.device("cpu"), quick=True)
    assert len([one for one in caught if "task classification" in str(one.message)]) == 1


class _OnePicture(Classification):
    """A random loss of a network that takes no two pictures."""

    def loss(self, images: Tensor, targets: object) -> Tensor:
        if len(images) > 1:
            raise RuntimeError("this network takes one picture")
        return super().loss(images, targets) + torch.rand(())  # type: ignore[arg-type]


class _NoPicture(Classification):
    def loss(self, images: Tensor, targets: object) -> Tensor:
        raise RuntimeError("this network takes no picture")


def test_pictures_are_shown_alone_and_errors_are_left_to_the_training() -> None:
    tasks: dict[str, Task] = {"none": _NoPicture(NETWORK), "one": _OnePicture(NETWORK)}
    with pytest.warns(UserWarning, match=_RANDOM.format("one")):
        warn_of_random_losses(tasks, pictures(2, 64))
