"""What every task offers to training, evaluation and refinement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from typing_extensions import Self

from npp.checks import brief, kind_of
from npp.codec.batch_hints import batch_hint, floats_hint
from npp.tasks.frozen import evaluation_mode, frozen
from npp.tasks.input_format import Prepared, fed
from npp.tasks.nested_outputs import floats_within
from npp.tasks.networks import private_network
from npp.tasks.task_methods import guarded


class Metric(Protocol):
    """A quality of many pictures together."""

    def update(self, predictions: Sequence[Any], targets: Sequence[Any]) -> None:
        """Adds pictures: what :meth:`Task.predict` gave, and what is right."""

    def compute(self) -> dict[str, float]:
        """Values by name, of everything since the start."""


def check_images(images: Tensor) -> None:
    """Raises TypeError or ValueError unless these are floating pictures (N, 3, H, W)."""
    if not isinstance(images, Tensor) or not images.is_floating_point():
        kind, hint = getattr(images, "dtype", type(images).__name__), floats_hint(images, "images")
        raise TypeError(f"images must be a floating tensor (N, 3, H, W) in [0, 1], not {kind}{hint}")
    if images.ndim != 4 or images.shape[1] != 3:
        hint = batch_hint(images, "images")
        raise ValueError(f"images must have shape (N, 3, H, W), not {tuple(images.shape)}{hint}")


def _methods(cls: type, *names: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Methods that a class of tasks has of itself, or of an ancestor that is no task."""
    for name in names:
        owner = next(base for base in cls.__mro__ if name in vars(base))
        if owner is cls or not issubclass(owner, Task):
            yield name, vars(owner)[name]


def check_predictions(predictions: Sequence[Any], targets: Sequence[Any]) -> None:
    """Raises ValueError unless a metric is given as many targets as predictions."""
    if len(predictions) != len(targets):
        raise ValueError(
            f"targets must hold one entry per prediction, {len(predictions)}, not {len(targets)}"
        )


def all_or_none(targets: Sequence[Any], is_kind: Callable[[Any], bool], kind: str) -> bool:
    """Whether targets are real ground truth; False if they are what a network said of clean pictures.

    Args:
        targets: of the pictures; none at all count as real ones.
        is_kind: whether one of them is real.
        kind: what the real ones are called, in the plural.

    Raises:
        ValueError: some are and some are not.
    """
    are_real = [is_kind(target) for target in targets]
    if any(are_real) and not all(are_real):
        raise ValueError(f"targets must be all {kind} or all predictions, not both")
    return all(are_real)


def not_a_tensor(output: Any) -> str:
    """For messages: what a network gave instead of a tensor, and how to help it."""
    if isinstance(output, Tensor):
        return str(tuple(output.shape))
    return f"{kind_of(output)}: wrap it in a module whose forward picks the logits out"


def as_tensor(target: Any) -> Tensor:
    """A target as a tensor: where it is if it is one, else on the CPU."""
    return target if isinstance(target, Tensor) else torch.as_tensor(target, device="cpu")


def stacked(name: str, targets: Sequence[Any], now: Tensor) -> Tensor:
    """What was said about each clean picture, as one tensor like what is said now.

    Raises:
        ValueError: the shapes differ, as those of pictures of other sizes do.
    """
    for index, target in enumerate(targets):
        if target.shape != now.shape[1:]:
            expected, shape = tuple(now.shape[1:]), tuple(target.shape)
            raise ValueError(f"targets[{index}] must hold {name} of shape {expected}, not {shape}")
    return torch.stack(list(targets)).to(now)


class Task(nn.Module, ABC):
    """A frozen network with its loss and its measures.

    Pictures are always floats in [0, 1], RGB, (N, 3, H, W); resizing and normalising are the task's own.
    Weights get no gradients and batch norm keeps its statistics, also after ``train()``; gradients reach
    the pictures.

    Args:
        network: stays as it is: the task freezes and uses a copy. Later changes of its weights do not reach
            the task. Or a name as :func:`npp.tasks.load_network` takes it, so that a configuration can say
            which network is meant.
        copy: False hands the network over instead, which is then frozen itself.

    Raises:
        TypeError: network is neither a network nor a name, or one that cannot be copied.
        ValueError: no such name; what loading it raises comes as it is.

    Attributes:
        network: the frozen network.
        name: which kind of task this is.
        higher_is_better: for every name that :meth:`scores` and :meth:`metric` give.
    """

    name: str
    higher_is_better: Mapping[str, bool]
    network: nn.Module
    _scale_is_known = False

    def __init_subclass__(cls, **settings: Any) -> None:
        """Puts the class's methods within :func:`npp.tasks.task_methods.guarded`, which says what holds for
        all tasks: nobody who writes one has to think of it."""
        super().__init_subclass__(**settings)
        written = dict(_methods(cls, "targets", "loss_targets"))
        if "targets" in written and "loss_targets" not in written:
            # What an ancestor takes a shorter way to is not what this class says.
            cls.loss_targets = Task.loss_targets  # type: ignore[method-assign]
        for name, method in _methods(cls, "targets", "loss_targets", "predict", "scores", "loss"):
            setattr(cls, name, guarded(name, method))

    def __init__(self, network: str | nn.Module, *, copy: bool = True) -> None:
        super().__init__()
        if not isinstance(network, (str, nn.Module)):
            raise TypeError(f"network must be a torch.nn.Module or a name of one, not {brief(network)}")
        if isinstance(network, str):
            network = Prepared(*private_network(network, "network"))
        elif copy:
            network, _ = private_network(network)
        self.network = frozen(network)
        self.training = False

    def run_network(self, images: Tensor) -> Any:
        """The network's output for pictures (N, 3, H, W): for a copy of them in its dtype.

        Raises:
            TypeError, ValueError: these are no pictures, or the output has NaN or is infinite.
        """
        check_images(images)
        output = self.bare_network(images)
        self.check_output(images, output, finite=True)
        return output

    def bare_network(self, images: Tensor) -> Any:
        """The network's output for pictures (N, 3, H, W), whatever it is."""
        return self.network(fed(self.network, images))

    def check_output(self, images: Tensor, output: Any, *, finite: bool = False) -> None:
        """Raises ValueError where an output has NaN; it names the task, or the pictures if they have it.

        With ``finite`` infinity too. Negative infinity, of a class that is not possible, is right.
        """
        for name, values in floats_within(output, "output"):
            if not values.numel():
                continue
            most = values.detach().amax()  # NaN where there is one; all that a device is waited for
            if bool(most < torch.inf if finite else ~most.isnan()):
                continue
            problem = "NaN" if bool(most.isnan()) else "infinity"
            whose = "its pictures have NaN" if bool(images.isnan().any()) else "its pictures have no NaN"
            raise ValueError(f"the network of the task {self.name!r} gave {problem} as {name}; {whose}")

    @abstractmethod
    def targets(self, images: Tensor) -> list[Any]:
        """Pseudo ground truth: the network's own output on these clean pictures, an entry each.

        Like ``predict`` and ``scores`` of every task it runs without gradients, and outside of
        ``torch.inference_mode``, whose tensors could not be used in training.
        """

    def loss_targets(self, images: Tensor) -> list[Any]:
        """As much of :meth:`targets` as :meth:`loss` goes by, which may be had sooner. No grad.

        Trainings ask for it at every step. :meth:`targets` unless overridden.
        """
        return self.targets(images)

    @abstractmethod
    def loss(self, images: Tensor, targets: Sequence[Any]) -> Tensor:
        """Loss of each picture (N,), differentiable with respect to them.

        A picture's loss does not depend on its neighbours. Of one picture alone it may be () too, which
        callers are given as (1,).

        Args:
            images: (N, 3, H, W).
            targets: real ground truth or that of :meth:`targets`, an entry each.

        Raises:
            TypeError: the loss is no floating tensor.
            ValueError: too few or too many targets, or a loss of another shape.
        """

    def predict(self, images: Tensor) -> list[Any]:
        """What the network says, an entry for each picture; :meth:`targets` unless overridden. No grad."""
        return self.targets(images)

    def scores(self, images: Tensor, targets: Sequence[Any]) -> dict[str, Tensor]:
        """Measures of each picture (N,) by name, less noisy than :meth:`metric`. No grad.

        ``"loss"`` unless overridden. Shapes are checked as those of :meth:`loss`.
        """
        return {"loss": self.loss(images, targets)}

    @abstractmethod
    def metric(self) -> Metric:
        """A new, empty metric."""

    def forward(self, images: Tensor, targets: Sequence[Any]) -> Tensor:
        """Loss of each picture (N,), see :meth:`loss`."""
        return self.loss(images, targets)

    def bind(self, targets: Sequence[Any]) -> Callable[[Tensor], Tensor]:
        """The loss as a function of the pictures alone, as :func:`npp.refine` wants it.

        ``npp.refine(x, qp, task.bind(task.targets(x)))`` keeps what the network sees in ``x``. The function
        raises ValueError for a loss that is NaN.
        """

        def bound(images: Tensor) -> Tensor:
            loss = self.loss(images, targets)
            self.check_output(images, {"loss": loss})
            return loss

        return bound

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode whatever ``mode`` is, so that a surrounding module's ``train()`` is harmless."""
        super().train(False)
        evaluation_mode(self.network)
        return self
