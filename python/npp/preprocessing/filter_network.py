"""The base class of filter networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn


class FilterNetwork(nn.Module, ABC):
    """Base class of filters: maps pictures to pictures of the same size.

    Attributes:
        multiple: heights and widths must be multiples of this.
        untraced_macs: multiply-accumulates for each pixel outside of convolutions and matrix products.
    """

    multiple: int = 1
    untraced_macs: float = 0.0

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """All settings, defaults filled in, from which the filter can be built again."""

    @abstractmethod
    def forward(self, x: Tensor, qp: Tensor) -> Tensor:
        """Filters pictures.

        Args:
            x: (N, 3, H, W), float32 or float64, sizes multiples of :attr:`multiple`.
            qp: (N,) BPG qp, of x's dtype and device.

        Returns:
            The shape and dtype of x; values may leave [0, 1].
        """
