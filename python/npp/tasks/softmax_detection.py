"""Whether a network ends in a softmax: logits of what it puts out, either way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from npp.checks import flag
from npp.tasks.divergence import SUM_TOLERANCES
from npp.torch_state import has_readable_values


class LogitsOf:
    """Logits of what one network puts out, which may have a softmax of its own.

    Args:
        probabilities: whether it has; ``None`` looks for itself, once, at what it says of noise. So it
            depends on no photo, and is the same in every process.
        dim: of the classes.
    """

    def __init__(self, probabilities: bool | None, dim: int) -> None:
        if probabilities is not None:
            flag("probabilities", probabilities)
        self._has_softmax = probabilities
        self._dim = dim

    def look(self, images: Tensor, run: Callable[[Tensor], Any]) -> None:
        """Finds out what the network gives, before it is used for the first time.

        Args:
            images: the pictures (N, 3, H, W) that it will be used for.
            run: the network; one that cannot take noise gives logits until something else is said.
        """
        if self._has_softmax is not None or not len(images) or not has_readable_values(images):
            return
        has_softmax = self._sums_to_one(images[:1], run)
        if has_softmax is None:  # some take batches of one size alone
            has_softmax = self._sums_to_one(images, run)
        self._has_softmax = bool(has_softmax)

    def _sums_to_one(self, images: Tensor, run: Callable[[Tensor], Any]) -> bool | None:
        """Whether it gives probabilities; ``None`` where it cannot be asked."""
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                output = run(_noise_like(images))
        except Exception:  # whatever a network raises for a batch or for pictures that it does not take
            return None
        if not isinstance(output, Tensor) or output.ndim < 2:
            return False
        return _are_probabilities(output.float(), self._dim)

    def __call__(self, output: Tensor) -> Tensor:
        """Logits, float32, of logits or of probabilities."""
        values = output.float()
        return values.clamp_min(torch.finfo(values.dtype).tiny).log() if self._has_softmax else values


def _noise_like(images: Tensor) -> Tensor:
    """By NumPy: torch's generators may not be asked within the transforms of torch.func."""
    noise = np.random.default_rng(0).random(tuple(images.shape), dtype=np.float32)
    return torch.from_numpy(noise).to(images.device, images.dtype)


def _are_probabilities(values: Tensor, dim: int) -> bool:
    """Whether all are 0 or more and sum to 1 along a dimension, which logits of noise do by no chance."""
    near = (values.sum(dim) - 1).abs() < max(SUM_TOLERANCES.values())
    return bool((values >= 0).all() & near.all())
