"""The base class of tasks, with the interface for training, evaluation and refinement."""

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
    """A quality measured over many pictures."""

    def update(self, predictions: Sequence[Any], targets: Sequence[Any]) -> None:
        """Adds predictions of :meth:`Task.predict` and the targets."""

    def compute(self) -> dict[str, float]:
        """Values by name, over all pictures that were added."""


def check_images(images: Tensor) -> None:
    """Raises TypeError or ValueError unless these are floating pictures (N, 3, H, W)."""
    if not isinstance(images, Tensor) or not images.is_floating_point():
        kind, hint = getattr(images, "dtype", type(images).__name__), floats_hint(images, "images")
        raise TypeError(f"images must be a floating tensor (N, 3, H, W) in [0, 1], not {kind}{hint}")
    if images.ndim != 4 or images.shape[1] != 3:
        hint = batch_hint(images, "images")
        raise ValueError(f"images must have shape (N, 3, H, W), not {tuple(images.shape)}{hint}")


def _methods(cls: type, *names: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Methods that a task's class defines, or inherits from a class that is no task."""
    for name in names:
        owner = next(base for base in cls.__mro__ if name in vars(base))
        if owner is cls or not issubclass(owner, Task):
            yield name, vars(owner)[name]


def check_predictions(predictions: Sequence[Any], targets: Sequence[Any]) -> None:
    """Raises ValueError unless there are as many targets as predictions."""
    if len(predictions) != len(targets):
        raise ValueError(
            f"targets must hold one entry per prediction, {len(predictions)}, not {len(targets)}"
        )


def all_or_none(targets: Sequence[Any], is_kind: Callable[[Any], bool], kind: str) -> bool:
    """Whether targets are real ground truth, and not a network's output for clean pictures.

    Args:
        targets: targets of the pictures; an empty sequence counts as real.
        is_kind: whether a target is real.
        kind: name of real targets in messages, in the plural.

    Raises:
        ValueError: some targets are real and some are not.
    """
    are_real = [is_kind(target) for target in targets]
    if any(are_real) and not all(are_real):
        raise ValueError(f"targets must be all {kind} or all predictions, not both")
    return all(are_real)


def not_a_tensor(output: Any) -> str:
    """The message about an output that is no tensor, with a way out."""
    if isinstance(output, Tensor):
        return str(tuple(output.shape))
    return f"{kind_of(output)}: wrap it in a module whose forward picks the logits out"


def as_tensor(target: Any) -> Tensor:
    """A target as a tensor: on its own device if it is a tensor, else on the CPU."""
    return target if isinstance(target, Tensor) else torch.as_tensor(target, device="cpu")


def stacked(name: str, targets: Sequence[Any], now: Tensor) -> Tensor:
    """The outputs for the clean pictures stacked to a tensor with the shape of the output ``now``.

    Raises:
        ValueError: the shapes differ, as for pictures of other sizes.
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
        """Wraps the class's methods by :func:`npp.tasks.task_methods.guarded`.

        So the rules for all tasks hold without any code in a subclass."""
        super().__init_subclass__(**settings)
        written = dict(_methods(cls, "targets", "loss_targets"))
        if "targets" in written and "loss_targets" not in written:
            # An ancestor's shortcut does not fit the targets of this class.
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
            TypeError, ValueError: ``images`` are no pictures, or the output has NaN or is infinite.
        """
        check_images(images)
        output = self.bare_network(images)
        self.check_output(images, output, finite=True)
        return output

    def bare_network(self, images: Tensor) -> Any:
        """The network's output for pictures (N, 3, H, W), without any check."""
        return self.network(fed(self.network, images))

    def check_output(self, images: Tensor, output: Any, *, finite: bool = False) -> None:
        """Raises ValueError unless an output is free of NaN; the message names the task, or NaN in pictures.

        With ``finite`` the output must not be infinite, except for -inf, the logit of an impossible class.
        """
        for name, values in floats_within(output, "output"):
            if not values.numel():
                continue
            most = values.detach().amax()  # NaN if there is one; the only synchronisation with a device
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
        """The part of :meth:`targets` that :meth:`loss` needs, which may be faster. No grad.

        Trainings call it at every step. :meth:`targets` unless overridden.
        """
        return self.targets(images)

    @abstractmethod
    def loss(self, images: Tensor, targets: Sequence[Any]) -> Tensor:
        """Loss of each picture (N,), differentiable with respect to them.

        A picture's loss does not depend on the others in the batch. For a single picture a subclass may
        return (), which callers get as (1,).

        Args:
            images: (N, 3, H, W).
            targets: real ground truth or that of :meth:`targets`, one entry for each picture.

        Raises:
            TypeError: the loss is no floating tensor.
            ValueError: the number of targets is wrong, or the loss has another shape.
        """

    def predict(self, images: Tensor) -> list[Any]:
        """The network's predictions, one for each picture; :meth:`targets` unless overridden. No grad."""
        return self.targets(images)

    def scores(self, images: Tensor, targets: Sequence[Any]) -> dict[str, Tensor]:
        """Measures of each picture (N,) by name, less noisy than :meth:`metric`. No grad.

        ``{"loss"}`` unless overridden. Shapes are checked as for :meth:`loss`.
        """
        return {"loss": self.loss(images, targets)}

    @abstractmethod
    def metric(self) -> Metric:
        """A new, empty metric."""

    def forward(self, images: Tensor, targets: Sequence[Any]) -> Tensor:
        """Loss of each picture (N,), see :meth:`loss`."""
        return self.loss(images, targets)

    def bind(self, targets: Sequence[Any]) -> Callable[[Tensor], Tensor]:
        """The loss as a function of the pictures alone, as :func:`npp.refine` takes it.

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
