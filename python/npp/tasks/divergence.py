"""How far a distribution moved from the one on the clean picture."""

from __future__ import annotations

import torch
from torch import Tensor

# By how much the sum of probabilities may miss 1: rounding of each adds up over the classes.
_SUM_TOLERANCES = {torch.bfloat16: 2e-2, torch.float16: 4e-3}
_SUM_TOLERANCE = 1e-3
_LEAST = 1e-6


def kl_divergence(clean: Tensor, now: Tensor, dim: int = 1) -> Tensor:
    """KL(clean || now) in nats of log-probabilities, summed over ``dim``; zeros of the clean one are free.

    With a clean distribution that has a single 1 this is the cross-entropy.
    """
    possible = clean > -torch.inf
    difference = torch.where(possible, clean, torch.zeros_like(clean)) - now
    return torch.where(possible, clean.exp() * difference, torch.zeros_like(now)).sum(dim)


def binary_kl(clean: Tensor, now: Tensor) -> Tensor:
    """KL(clean || now) in nats between coins with these probabilities, elementwise."""
    clean, now = clean.clamp(_LEAST, 1 - _LEAST), now.clamp(_LEAST, 1 - _LEAST)
    return clean * (clean / now).log() + (1 - clean) * ((1 - clean) / (1 - now)).log()


def class_divergence(clean: Tensor, now: Tensor, background: int | None = None) -> tuple[Tensor, Tensor]:
    """How the classes at each place of a detector moved, and how surely something was there.

    Args:
        clean, now: logits (..., C).
        background: ``None`` where each class has a sigmoid of its own; under one softmax the place of the
            class that stands for nothing, 0 or -1.

    Returns:
        KL(clean || now) of each place in nats, summed over sigmoids, and the probability that there was
        something: the best class's, or 1 less that of the background; (...) each.
    """
    if background is None:
        before = clean.sigmoid()
        return binary_kl(before, now.sigmoid()).sum(-1), before.amax(-1)
    divergence = kl_divergence(clean.log_softmax(-1), now.log_softmax(-1), dim=-1)
    return divergence, 1 - clean.softmax(-1)[..., background]


def log_distribution(values: Tensor, dim: int = 0) -> Tensor:
    """Log-probabilities of what is either probabilities or logits along ``dim``.

    Values of 0 or more that sum to 1 are probabilities; everything else, log-probabilities included, is
    logits.

    Raises:
        ValueError: one is NaN.
    """
    tolerance = _SUM_TOLERANCES.get(values.dtype, _SUM_TOLERANCE)
    values = values.float()
    if bool(values.isnan().any()):
        raise ValueError("targets must be probabilities or logits without NaN")
    sums = values.sum(dim)
    if bool((values >= 0).all()) and bool(((sums - 1).abs() < tolerance).all()):
        return values.log() if tolerance == _SUM_TOLERANCE else (values / sums.unsqueeze(dim)).log()
    return values.log_softmax(dim)


def one_hot_log(labels: Tensor, classes: int) -> Tensor:
    """Log-probabilities (N, classes): 0 at the label, -inf elsewhere."""
    hot = torch.full((len(labels), classes), -torch.inf, dtype=torch.float32, device=labels.device)
    return hot.scatter_(1, labels[:, None], 0.0)
