"""What every change of pictures before the codec offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor


class Prefilter(ABC):
    """Changes pictures before the codec, whatever will look at them."""

    @abstractmethod
    def identity(self, qp: int) -> Any:
        """A JSON value that says what it does at a qp; ``None`` where it leaves pictures as they are."""

    @abstractmethod
    def __call__(self, images: Tensor, qp: int) -> Tensor:
        """Filtered pictures.

        Args:
            images: (N, 3, H, W) floats in [0, 1].
            qp: of the file that will be written.
        """
