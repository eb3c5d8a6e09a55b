"""A task is given, and gives, an entry for each picture; nothing is stretched over several in silence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from task_nets import DenseFinder
from torch import Tensor, nn

import npp
from npp.allocation import importance
from npp.per_picture import values_by_picture
from npp.recipes import Recipe
from npp.tasks import AverageMetric, Task, build_task
from npp.training.allocator_labels import LabelSettings, label_photos
from npp.training.baseline import measure, task_losses

Change = Callable[[Tensor], Any]


class Changed(Task):
    """Squared error of colours, whose results are changed before they are given."""

    name, higher_is_better = "changed", {"loss": False, "share": True}

    def __init__(
        self, loss: Change = lambda x: x, score: Change = lambda x: x, entries: Change = lambda x: list(x)
    ) -> None:
        super().__init__(nn.Identity())
        self._loss, self._score, self._entries = loss, score, entries

    def targets(self, images: Tensor) -> Any:
        return self._entries(images)

    def loss(self, images: Tensor, targets: Sequence[Any]) -> Any:
        # What is stretched: too few targets would do as well, if nobody looked.
        errors = (
            (images - targets[0]).square() if len(targets) == 1 else (images - torch.stack([*targets])) ** 2
        )
        return self._loss(errors.mean((1, 2, 3)))

    def scores(self, images: Tensor, targets: Sequence[Any]) -> dict[str, Tensor]:
        return {"share": self._score(images.mean((1, 2, 3)))}

    def metric(self) -> AverageMetric:
        return AverageMetric(lambda now, clean: {"loss": float((now - clean).abs().mean())})


WRONG: dict[str, tuple[Change, type[Exception], str]] = {
    "mean": (lambda x: x.mean(), ValueError, r"of shape \(\); one per picture, \(2,\), is needed"),
    "column": (lambda x: x[:, None], ValueError, r"of shape \(2, 1\); one per picture, \(2,\)"),
    "first": (lambda x: x[:1], ValueError, r"of shape \(1,\); one per picture, \(2,\)"),
    "more": (lambda x: torch.cat([x, x]), ValueError, r"of shape \(4,\); one per picture, \(2,\)"),
    "number": (lambda x: float(x.detach().mean()), TypeError, "of float; a "),
    "list": (lambda x: [*x], TypeError, "of list; a "),
    "parts": (lambda x: {"box": x}, TypeError, "of dict of box; a "),
    "complex": (lambda x: x.to(torch.complex64), TypeError, "of torch.complex64; a "),
}


@pytest.fixture
def x() -> Tensor:
    torch.manual_seed(2)
    return torch.rand(2, 3, 32, 48)


def _refined(task: Task, x: Tensor) -> Any:
    return npp.refine(x, 40, task.bind(task.targets(x)), steps=1, effort=0)


def _refined_by_a_recipe(task: Task, x: Tensor) -> Any:
    return Recipe().refine(x, 40, task.bind(task.targets(x)), steps=1, effort=0)


def _measured(task: Task, x: Tensor) -> Any:
    return measure([x], {"one": task}, [30, 40], lambda pictures, qp: npp.compress(pictures, qp, effort=0))


USES: dict[str, Callable[[Task, Tensor], Any]] = {
    "loss": lambda task, x: task.loss(x, task.targets(x)),
    "call": lambda task, x: task(x, task.targets(x)),
    "bind": lambda task, x: task.bind(task.targets(x))(x),
    "refine": _refined,
    "a recipe's refine": _refined_by_a_recipe,
    "importance": lambda task, x: importance(x, task, 36, effort=0),
    "a step of training": lambda task, x: task_losses({"one": task}, x, {"one": task.targets(x)}),
    "a training's baseline": _measured,
}


@pytest.mark.parametrize("how", USES)
@pytest.mark.parametrize("wrong", WRONG)
def test_a_loss_that_is_not_one_per_picture_is_named(wrong: str, how: str, x: Tensor) -> None:
    change, error, text = WRONG[wrong]
    if how == "a training's baseline":  # which looks at one picture first
        text = text.partition(r" \(")[0]
    with pytest.raises(error, match=f"^the task 'changed' gave a loss {text}"):
        USES[how](Changed(change), x)


#: Those whose losses are of the clean pictures, and what they give.
_CLEAN = {"loss": lambda found: found, "call": lambda found: found, "bind": lambda found: found}
_CLEAN["a step of training"] = lambda found: found[:, 0]


@pytest.mark.parametrize("how", USES)
def test_a_loss_of_each_picture_serves_everywhere(how: str, x: Tensor) -> None:
    found = USES[how](Changed(), x)
    if how in _CLEAN:
        assert _CLEAN[how](found).tolist() == [0, 0]
    elif how == "importance":
        assert found.shape == (2, 2, 3) and bool((found > 0).all())


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_a_loss_of_whole_numbers_is_named(dtype: torch.dtype, x: Tensor) -> None:
    task = Changed(lambda loss: loss.to(dtype))
    with pytest.raises(TypeError, match=f"gave a loss of {dtype}; a floating tensor"):
        task.loss(x, task.targets(x))


def test_of_one_picture_a_loss_may_be_a_scalar_and_comes_with_its_dimension(x: Tensor) -> None:
    task = Changed(lambda loss: loss.mean(), lambda score: score.mean())
    one = x[:1].requires_grad_()
    loss = task.loss(one, task.targets(one))
    assert loss.shape == (1,) and loss.requires_grad
    assert task.scores(one, task.targets(one))["share"].shape == (1,)
    found = npp.refine(one.detach(), 40, lambda seen: seen.mean(), steps=1, effort=0)
    assert found.history[0].loss.shape == (1,)
    with pytest.raises(ValueError, match=r"of shape \(1, 1\); one per picture, \(1,\) or \(\)"):
        npp.refine(one.detach(), 40, lambda seen: seen.mean().reshape(1, 1), steps=1, effort=0)


def test_labels_of_an_allocator_take_a_scalar_of_their_one_picture_alone(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(photo)
    drawn = LabelSettings(count=1, size=32, longest=(32, 48), shard=1, effort=0)
    assert label_photos([photo], {"one": Changed(lambda loss: loss.mean())}, tmp_path / "fine", drawn) == 1
    with pytest.raises(ValueError, match=r"the task 'changed' gave a loss of shape \(1, 1\)"):
        label_photos([photo], {"one": Changed(lambda loss: loss[:, None])}, tmp_path / "wrong", drawn)


@pytest.mark.parametrize("wrong", WRONG)
def test_a_score_that_is_not_one_per_picture_is_named(wrong: str, x: Tensor) -> None:
    change, error, text = WRONG[wrong]
    task = Changed(score=change)
    with pytest.raises(error, match=f"^the task 'changed' gave the score 'share' {text}"):
        task.scores(x, task.targets(x))


@pytest.mark.parametrize("dtype", [torch.float16, torch.int64, torch.bool])
def test_a_score_may_count(dtype: torch.dtype, x: Tensor) -> None:
    task = Changed(score=lambda score: score.to(dtype))
    assert task.scores(x, task.targets(x))["share"].dtype == dtype


def test_scores_without_names_are_named(x: Tensor) -> None:
    class Nameless(Changed):
        def scores(self, images: Tensor, targets: Sequence[Any]) -> Any:
            return images.mean((1, 2, 3))

    class Silent(Changed):
        def scores(self, images: Tensor, targets: Sequence[Any]) -> dict[str, Tensor]:
            return {}

    task = Nameless()
    with pytest.raises(TypeError, match=r"^the task 'changed' gave scores of Tensor; a dict"):
        task.scores(x, task.targets(x))
    with pytest.raises(ValueError, match=r"^the task 'changed' gave no scores; at least one is needed"):
        Silent().scores(x, task.targets(x))


@pytest.mark.parametrize("method", ["loss", "scores"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_or_too_many_targets_are_named(count: int, method: str, x: Tensor) -> None:
    task, targets = Changed(), [x[0]] * count
    message = f"^the task 'changed': targets must hold one entry per image, 2, not {count}$"
    with pytest.raises(ValueError, match=message):
        getattr(task, method)(x, targets)
    with pytest.raises(ValueError, match=message):
        getattr(task, method)(x, targets=targets)


@pytest.mark.parametrize(
    ("targets", "kind"),
    [
        ({"a": 1, "b": 2}, "dict of a, b"),
        ("ab", "str"),
        (3.0, "float"),
        (torch.ones(()), "Tensor"),
        (None, "None"),
    ],
)
def test_targets_that_are_no_list_are_named(targets: Any, kind: str, x: Tensor) -> None:
    with pytest.raises(TypeError, match=f"^the task 'changed': targets must be a list .*, not {kind}"):
        Changed().loss(x, targets)


@pytest.mark.parametrize("targets", [tuple, list, torch.stack], ids=["tuple", "list", "tensor"])
def test_targets_may_be_any_sequence(targets: Callable[[Any], Any], x: Tensor) -> None:
    assert Changed().loss(x, targets(list(x))).shape == (2,)


@pytest.mark.parametrize("method", ["targets", "loss_targets", "predict"])
def test_entries_that_a_task_gives_are_counted(method: str, x: Tensor) -> None:
    with pytest.raises(
        ValueError, match=r"^the task 'changed': what \w+ gives must hold one entry per image, 2, not 1"
    ):
        getattr(Changed(entries=lambda images: [images[0]]), method)(x)
    with pytest.raises(
        TypeError, match=r"^the task 'changed': what \w+ gives must be a list .*, not dict of mean"
    ):
        getattr(Changed(entries=lambda images: {"mean": images}), method)(x)


def test_methods_from_beside_the_class_of_a_task_are_looked_at_too(x: Tensor) -> None:
    class Means:
        def loss(self, images: Tensor, targets: Sequence[Any]) -> Tensor:
            return images.mean()

    class Mixed(Means, Changed):
        pass

    task = Mixed()
    with pytest.raises(ValueError, match=r"the task 'changed' gave a loss of shape \(\)"):
        task.loss(x, task.targets(x))


def test_a_detectors_own_divergence_is_looked_at(x: Tensor) -> None:
    class Meaning(DenseFinder):
        def divergence(self, clean: Any, now: Any) -> Tensor:
            return super().divergence(clean, now).mean()

    task = build_task("detection", model=Meaning())
    targets = task.targets(x)
    for look in (task.loss, task.scores):
        with pytest.raises(
            ValueError, match=r"the network of the task 'detection' gave a divergence of shape \(\)"
        ):
            look(x, targets)


def test_a_divergence_of_other_pictures_is_refused(x: Tensor) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    keep = npp.keep_prediction(network, x)
    with pytest.raises(ValueError, match=r"logits \(2, 4\) as of the clean pictures, not \(1, 4\)"):
        keep(x[:1])


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_what_is_right_is_given_as_it_is(count: int) -> None:
    values = torch.rand(count)
    assert values_by_picture("it", "a loss", values, count) is values
