"""What every task offers to training, evaluation and refinement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from typing_extensions import Self

from npp.tasks.freezing import evaluation_mode, frozen


class Metric(Protocol):
    """A quality of many pictures together."""

    def update(self, predictions: Sequence[Any], targets: Sequence[Any]) -> None:
        """Adds pictures: what :meth:`Task.predict` gave, and what is right."""

    def compute(self) -> dict[str, float]:
        """Values by name, of everything since the start."""


def check_images(images: Tensor) -> None:
    """Raises TypeError or ValueError unless these are floating pictures (N, 3, H, W)."""
    if not isinstance(images, Tensor) or not images.is_floating_point():
        kind = getattr(images, "dtype", type(images).__name__)
        raise TypeError(f"images must be a floating tensor (N, 3, H, W) in [0, 1], not {kind}")
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images must have shape (N, 3, H, W), not {tuple(images.shape)}")


def check_targets(images: Tensor, targets: Sequence[Any]) -> None:
    """Raises ValueError unless there is one target for each picture."""
    if len(targets) != len(images):
        raise ValueError(f"targets must hold one entry per image, {len(images)}, not {len(targets)}")


class Task(nn.Module, ABC):
    """A frozen network with its loss and its measures.

    Pictures are always floats in [0, 1], RGB, (N, 3, H, W); resizing and normalising are the task's own.
    Weights get no gradients and batch norm keeps its statistics, also after ``train()``; gradients reach
    the pictures.

    Attributes:
        network: the frozen network.
        name: which kind of task this is.
        higher_is_better: for every name that :meth:`scores` and :meth:`metric` give.
    """

    name: str
    higher_is_better: Mapping[str, bool]
    network: nn.Module

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = frozen(network)
        self.training = False

    @abstractmethod
    def targets(self, images: Tensor) -> list[Any]:
        """Pseudo ground truth: the network's own output on these clean pictures, an entry each. No grad."""

    @abstractmethod
    def loss(self, images: Tensor, targets: Sequence[Any]) -> Tensor:
        """Loss of each picture (N,), differentiable with respect to them.

        A picture's loss does not depend on its neighbours.

        Args:
            images: (N, 3, H, W).
            targets: real ground truth or that of :meth:`targets`, an entry each.
        """

    def predict(self, images: Tensor) -> list[Any]:
        """What the network says, an entry for each picture; :meth:`targets` unless overridden. No grad."""
        return self.targets(images)

    @torch.no_grad()
    def scores(self, images: Tensor, targets: Sequence[Any]) -> dict[str, Tensor]:
        """Measures of each picture (N,) by name, less noisy than :meth:`metric`. No grad.

        ``"loss"`` unless overridden.
        """
        return {"loss": self.loss(images, targets)}

    @abstractmethod
    def metric(self) -> Metric:
        """A new, empty metric."""

    def forward(self, images: Tensor, targets: Sequence[Any]) -> Tensor:
        """:meth:`loss`."""
        return self.loss(images, targets)

    def bind(self, targets: Sequence[Any]) -> Callable[[Tensor], Tensor]:
        """The loss as a function of the pictures alone, as :func:`npp.refine` wants it.

        ``npp.refine(x, qp, task.bind(task.targets(x)))`` keeps what the network sees in ``x``.
        """
        return lambda images: self.loss(images, targets)

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode whatever ``mode`` is, so that a surrounding module's ``train()`` is harmless."""
        super().train(False)
        evaluation_mode(self.network)
        return self
