"""Adam as torch has it, without the compiler that torch's loads."""

from __future__ import annotations

import torch
from torch import Tensor

_MEAN_DECAY, _SQUARE_DECAY, _EPSILON = 0.9, 0.999, 1e-8  # as the authors of Adam give them


class Adam:
    """Adam for one tensor. torch's own brings a compiler along, which takes seconds to load.

    Args:
        like: a tensor of the same shape, type and device.
    """

    def __init__(self, like: Tensor) -> None:
        self._mean, self._square = torch.zeros_like(like), torch.zeros_like(like)
        self._steps = 0

    def change(self, gradient: Tensor, lr: float) -> Tensor:
        """The change that a step subtracts from the tensor.

        Args:
            gradient: with respect to the tensor, of its shape.
            lr: the size of the step.
        """
        self._steps += 1
        self._mean.lerp_(gradient, 1 - _MEAN_DECAY)
        self._square.mul_(_SQUARE_DECAY).addcmul_(gradient, gradient, value=1 - _SQUARE_DECAY)
        size = (self._square / (1 - _SQUARE_DECAY**self._steps)).sqrt_().add_(_EPSILON)
        return self._mean.div(size).mul_(lr / (1 - _MEAN_DECAY**self._steps))
