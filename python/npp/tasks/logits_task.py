"""The base of tasks whose networks output logits of classes."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor, nn

from npp.tasks.softmax_detection import LogitsOf
from npp.tasks.task import Task, check_images


class LogitsTask(Task):
    """A task whose network returns logits, or probabilities if it ends in a softmax.

    :meth:`targets` gives the log-probabilities of each picture.

    Args:
        network: the network, which is frozen without a copy.
        probabilities: whether the network ends in a softmax; ``None`` finds out.
        dim: dimension of the classes in its output.
    """

    def __init__(self, network: nn.Module, *, probabilities: bool | None, dim: int) -> None:
        super().__init__(network, copy=False)
        self._logits_of = LogitsOf(probabilities, dim)

    def _logits_in(self, output: Any) -> Any:
        """The logits in the output of the network; the whole output unless overridden."""
        return output

    def _output(self, images: Tensor) -> Any:
        """The network's logits or probabilities, of any shape.

        Raises:
            TypeError, ValueError: ``images`` are no pictures, or the output is no tensor or not finite.
        """
        check_images(images)
        self._logits_of.look(images, lambda noise: self._logits_in(self.bare_network(noise)))
        return self._logits_in(self.run_network(images))

    @abstractmethod
    def _log_probabilities(self, images: Tensor) -> Tensor:
        """Log-probabilities of each picture, (N, ...)."""

    def targets(self, images: Tensor) -> list[Any]:
        """The log-probabilities of each picture."""
        return list(self._log_probabilities(images))
