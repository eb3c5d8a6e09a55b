"""Detection of a final softmax, and logits from the output of networks with or without one."""

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
    """Logits from the output of a network, which may end in a softmax.

    Args:
        probabilities: whether it does; ``None`` finds out, once, from its output for noise. So the answer
            does not depend on photos, and is the same in every process.
        dim: dimension of the classes.
    """

    def __init__(self, probabilities: bool | None, dim: int) -> None:
        if probabilities is not None:
            flag("probabilities", probabilities)
        self._has_softmax = probabilities
        self._dim = dim

    def look(self, images: Tensor, run: Callable[[Tensor], Any]) -> None:
        """Finds out what the network returns, before it is first used.

        Args:
            images: the pictures (N, 3, H, W) that it will be used for.
            run: the network; if it fails for noise, its output counts as logits.
        """
        if self._has_softmax is not None or not len(images) or not has_readable_values(images):
            return
        has_softmax = self._sums_to_one(images[:1], run)
        if has_softmax is None:  # some networks take batches of one size only
            has_softmax = self._sums_to_one(images, run)
        self._has_softmax = bool(has_softmax)

    def _sums_to_one(self, images: Tensor, run: Callable[[Tensor], Any]) -> bool | None:
        """Whether the network returns probabilities; ``None`` if it fails."""
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                output = run(_noise_like(images))
        except Exception:  # the network may raise anything for a batch or pictures that it does not take
            return None
        if not isinstance(output, Tensor) or output.ndim < 2:
            return False
        return _are_probabilities(output.float(), self._dim)

    def __call__(self, output: Tensor) -> Tensor:
        """Logits, float32, of logits or of probabilities."""
        values = output.float()
        return values.clamp_min(torch.finfo(values.dtype).tiny).log() if self._has_softmax else values


def _noise_like(images: Tensor) -> Tensor:
    """Noise like the pictures, from NumPy, for transforms of torch.func forbid torch's generators."""
    noise = np.random.default_rng(0).random(tuple(images.shape), dtype=np.float32)
    return torch.from_numpy(noise).to(images.device, images.dtype)


def _are_probabilities(values: Tensor, dim: int) -> bool:
    """Whether all values are at least 0 and sum to 1 along a dimension, as logits of noise never do."""
    near = (values.sum(dim) - 1).abs() < max(SUM_TOLERANCES.values())
    return bool((values >= 0).all() & near.all())
