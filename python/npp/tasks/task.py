"""What every task offers to training, evaluation and refinement, and the parts that tasks are made of."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from typing_extensions import Self

Module = TypeVar("Module", bound=nn.Module)


def evaluation_mode(module: Module) -> Module:
    """Puts a network into eval mode so that gradients can still reach its input on every device.

    cuDNN's backward pass through recurrent layers wants them in training mode. The only other thing that
    mode does to them is dropout, which is set to 0.
    """
    module.eval()
    for part in module.modules():
        if isinstance(part, nn.RNNBase):
            part.dropout = 0.0
            part.training = True
    return module


def frozen(module: Module) -> Module:
    """The same network in eval mode, its parameters without gradients."""
    return evaluation_mode(module).requires_grad_(False)


def require(module: str, purpose: str, install: str = "'npp[tasks]'") -> Any:
    """The imported module.

    Raises:
        ModuleNotFoundError: it or something that it needs is missing; the message tells what to install.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        message = f"{purpose} needs the package {error.name}: pip install {install}"
        raise ModuleNotFoundError(message, name=error.name) from error


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


PerPicture = Callable[[Any, Any], Mapping[str, float]]


class AverageMetric:
    """Means over pictures, as torchmetrics computes them.

    Args:
        measure: values by name for one prediction and its target.
    """

    def __init__(self, measure: PerPicture) -> None:
        self._measure = measure
        self._mean = require("torchmetrics", "a metric").MeanMetric
        self._means: dict[str, Any] = {}

    def update(self, predictions: Sequence[Any], targets: Sequence[Any]) -> None:
        """Adds pictures."""
        for prediction, target in zip(predictions, targets, strict=True):
            for name, value in self._measure(prediction, target).items():
                self._means.setdefault(name, self._mean()).update(value)

    def compute(self) -> dict[str, float]:
        """Means by name; empty before the first picture."""
        return {name: float(mean.compute()) for name, mean in self._means.items()}
