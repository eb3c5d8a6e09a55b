"""What refining minimises: real bits and the tasks' loss, and the errors of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from npp.checks import brief
from npp.gradient.pairing import Compressed
from npp.gradient.prediction import PictureLoss
from npp.per_picture import values_by_picture

#: For messages: what is the matter with a loss that gradients cannot go through.
NO_GRADIENT = "no gradient with respect to the pictures: is its network quantised, or something detached?"


class RefineStep(NamedTuple):
    """One step of :func:`refine`, before pixels or map are changed again.

    Attributes:
        step: 0 is the picture as given.
        bpp, loss, objective: (N,) the real ones; objective = bpp + weight * loss.
    """

    step: int
    bpp: Tensor
    loss: Tensor
    objective: Tensor


class TaskError(ValueError):
    """A task of :func:`refine` gave a loss or a gradient that is NaN or infinite, or has no gradient.

    Attributes:
        task: index of the task.
        picture: index of the first picture that met it.
        history: every evaluation before.
    """

    def __init__(self, message: str, task: int, picture: int) -> None:
        super().__init__(message)
        self.task = task
        self.picture = picture
        self.history: list[RefineStep] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.task, self.picture), vars(self)  # for another process


def default_weight(qp: Tensor) -> Tensor:
    """Bits a pixel that a unit of task loss is worth at a qp: 2^((34 - qp) / 3).

    Half of the published schedule (arXiv 2206.05650: 16 at qp 25, 8 at 28, 4 at 31, 2 at 34, 1 at 37), which
    on photos is about the slope of BPG's own curve of bpp over KL. With the whole of it less is saved for
    networks that took no part.
    """
    return torch.exp2((34 - qp) / 3)


def listed_tasks(task: PictureLoss | Sequence[PictureLoss]) -> list[PictureLoss]:
    """One task or several as a list.

    Raises:
        TypeError: what cannot be called with pictures alone, or no task at all.
    """
    several = isinstance(task, Sequence) and not callable(task)
    tasks: list[PictureLoss] = list(task) if several else [task]  # type: ignore[arg-type, list-item]
    if not tasks or not all(callable(loss) for loss in tasks):
        raise TypeError(f"task must be a callable or several, not {task!r}")
    if any(hasattr(loss, "bind") for loss in tasks):
        raise TypeError("task must be a function of pictures alone: task.bind(task.targets(x)) makes one")
    return tasks


def resolve_weight(weight: float | Sequence[float] | Tensor | None, qps: list[int], x: Tensor) -> Tensor:
    """Weights of the pictures' loss, () or (N,) float32 on x's device; by default those of their qps.

    Raises:
        ValueError: not one finite number of 0 or more, or one per picture.
    """
    if weight is None:
        return default_weight(torch.tensor(qps, dtype=torch.float32, device=x.device))
    try:
        weights = torch.as_tensor(weight, device=x.device).detach().float()
    except (TypeError, ValueError, RuntimeError):  # words, or rows of different lengths
        weights = torch.full((), torch.nan)
    fits = weights.ndim < 2 and weights.numel() in (1, len(x))
    if not fits or not bool((weights.isfinite() & (weights >= 0)).all()):
        raise ValueError(
            f"weight must be one finite number of 0 or more, or one per picture, not {brief(weight)}"
        )
    return weights


def gradient_of(loss: Tensor, images: Tensor, *, retain_graph: bool = False) -> Tensor | None:
    """The gradient of a loss () with respect to pictures; ``None`` where none reaches them."""
    if not loss.requires_grad:
        return None
    (gradient,) = torch.autograd.grad(loss, images, retain_graph=retain_graph, allow_unused=True)
    return gradient


def _unreached_by(index: int) -> TaskError:
    return TaskError(f"task {index} has {NO_GRADIENT}", index, 0)


class RefineObjective:
    """bpp + weight * mean loss of the tasks, for each picture."""

    def __init__(
        self,
        task: PictureLoss | Sequence[PictureLoss],
        weight: float | Sequence[float] | Tensor | None,
        qps: list[int],
        x: Tensor,
    ) -> None:
        self._tasks = listed_tasks(task)
        self._weight = resolve_weight(weight, qps, x)
        self._unreached: set[int] = set()

    def __call__(self, step: int, compressed: Compressed) -> RefineStep:
        losses = [self._loss(i, compressed, first=step == 0) for i in range(len(self._tasks))]
        mean = torch.stack([loss.float() for loss in losses]).mean(0)
        return RefineStep(step, compressed.bpp, mean, compressed.bpp + self._weight * mean)

    def _loss(self, index: int, compressed: Compressed, *, first: bool) -> Tensor:
        seen = compressed.x_hat.clone()  # its own, as some networks change their input in place
        watched = first and seen.requires_grad
        if watched:
            self._watch(index, seen)
        bpp = compressed.bpp
        loss = values_by_picture(f"task {index}", "a loss", self._tasks[index](seen), len(bpp))
        if loss.device != bpp.device:
            raise ValueError(f"task {index} gave a loss on {loss.device}; the pictures are on {bpp.device}")
        self._check_finite(index, loss.detach(), "a loss")
        if watched and not loss.requires_grad:
            raise _unreached_by(index)
        return loss

    def _watch(self, index: int, seen: Tensor) -> None:
        """Notes whether a task's gradient arrives at its pictures: that the loss has one is not enough."""

        def arrived(gradient: Tensor | None) -> None:
            if gradient is not None:
                self._unreached.discard(index)

        self._unreached.add(index)
        seen.register_hook(arrived)  # type: ignore[no-untyped-call]

    def _check_finite(self, index: int, values: Tensor, what: str) -> None:
        """Raises TaskError for values (N, ...) of a task that are not finite."""
        wrong = (~values.isfinite()).flatten(1 if values.dim() > 1 else 0)
        pictures = (wrong.any(1) if values.dim() > 1 else wrong).nonzero().flatten().tolist()
        if pictures:
            value = "NaN" if bool(values[pictures[0]].isnan().any()) else "infinity"
            raise TaskError(
                f"task {index} gave {what} of {value} for picture {pictures[0]}", index, pictures[0]
            )

    def check_gradients(self, gradient: Tensor, x_hat: Tensor) -> None:
        """Finds the task whose gradient is not finite, if the whole one is not, or that has none.

        Args:
            gradient: (N, C, H, W) of the objective, with respect to the pixels.
            x_hat: the decoded pictures where it was found.
        """
        if self._unreached:
            raise _unreached_by(min(self._unreached))
        if bool(gradient.isfinite().all()):
            return
        for index, task in enumerate(self._tasks):
            seen = x_hat.detach().clone().requires_grad_()
            task_gradient = gradient_of(task(seen.clone()).sum(), seen)
            if task_gradient is not None:
                self._check_finite(index, task_gradient, "a gradient")
        raise ValueError("the surrogate gave a gradient that is not finite")
