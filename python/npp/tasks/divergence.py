"""How far a distribution moved from the one on the clean picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from npp.gradient.kl_divergence import is_small_change, kl_divergence, small_surplus
from npp.torch_state import widened

#: By how much the sum of probabilities may miss 1: rounding of each adds up over the classes.
SUM_TOLERANCES = {torch.bfloat16: 2e-2, torch.float16: 4e-3}
_SUM_TOLERANCE = 1e-3
_LEAST = 1e-6  # probability
_MOST_LOGIT = 65536.0  # above all of float16
_SMALL_CHANGE = 0.25  # of a logit: the series is exact to 1e-6 below it, differences to 1e-5 above it
Pair = tuple[Tensor, Tensor]


def binary_kl(clean: Tensor, now: Tensor) -> Tensor:
    """KL(clean || now) in nats of Bernoulli distributions with these probabilities, elementwise.

    For networks that give no logits; where there are some :func:`logit_kl` is more exact: below 1e-6 and
    above 1 - 1e-6 all probabilities are the same here.

    In float32 at least: half precision knows no probability between .998 and 1, nor small divergences.
    """
    clean, now = widened(clean), widened(now)
    clean, now = clean.clamp(_LEAST, 1 - _LEAST), now.clamp(_LEAST, 1 - _LEAST)
    # By the change, whose rounding is as small as the change: that of a ratio near 1 is not, and adds up.
    change, otherwise = now - clean, 1 - clean
    return clean * _log_surplus(change / clean) + otherwise * _log_surplus(-change / otherwise)


def _log_surplus(change: Tensor) -> Tensor:
    """change - log(1 + change), elementwise: never negative, and exact where it is small."""
    logarithm = change.log1p()
    is_small = is_small_change(logarithm)
    # Masked before the series as well as after it: what overflows there has no gradient that is a number.
    series = small_surplus(torch.where(is_small, logarithm, torch.zeros_like(logarithm)))
    return torch.where(is_small, series, change - logarithm)


def logit_kl(clean: Tensor, now: Tensor) -> Tensor:
    """KL(clean || now) in nats of Bernoulli distributions with these logits, elementwise.

    Exact however small the change or the probabilities, in float32 at least; finite with finite gradients
    for all logits, infinite ones included, which count as 65536.
    """
    clean = widened(clean).clamp(-_MOST_LOGIT, _MOST_LOGIT)
    now = widened(now).clamp(-_MOST_LOGIT, _MOST_LOGIT)
    # The divergence is the same of the opposite event; that of at most a half has no sum that cancels.
    sign = torch.where(clean > 0, -1.0, 1.0)
    clean, now = sign * clean, sign * now
    change, probability = now - clean, clean.sigmoid()
    differences = (F.softplus(now) - F.softplus(clean) - probability * change).clamp_min(0)
    is_small = change.abs() < _SMALL_CHANGE
    # Masked before the series as well as after it: what overflows there has no gradient that is a number.
    series = _small_logit_kl(probability, torch.where(is_small, change, torch.zeros_like(change)))
    return torch.where(is_small, series, differences)


def _small_logit_kl(probability: Tensor, change: Tensor) -> Tensor:
    """The KL of a small change of logits by its Taylor series: derivatives of softplus from the second on."""
    variance, skew = probability * (1 - probability), 1 - 2 * probability
    fourth = (1 - 6 * variance) / 24
    fifth = skew * (1 - 12 * variance) / 120
    sixth = (1 - 30 * variance + 120 * variance.square()) / 720
    factor = 0.5 + change * (skew / 6 + change * (fourth + change * (fifth + change * sixth)))
    return variance * change.square() * factor


def class_divergence(clean: Tensor, now: Tensor, background: int | None = None) -> tuple[Tensor, Tensor]:
    """How the classes at each place of a detector moved, and how surely something was there.

    Args:
        clean, now: logits (..., C).
        background: ``None`` where each class has a sigmoid of its own; under one softmax the place of the
            class that stands for nothing, 0 or -1.

    Returns:
        KL(clean || now) of each place in nats, summed over sigmoids, and the probability that there was
        something: the best class's, or 1 less that of the background; (...) each, in float32 at least.
    """
    clean, now = widened(clean), widened(now)
    if background is None:
        return logit_kl(clean, now).sum(-1), clean.sigmoid().amax(-1)
    divergence = kl_divergence(clean.log_softmax(-1), now.log_softmax(-1), dim=-1)
    return divergence, 1 - clean.softmax(-1)[..., background]


def dense_divergence(classes: Pair, boxes: Pair, centres: Pair | None, background: int | None) -> Tensor:
    """Change of all places of a one-stage detector: of classes, and of boxes as far as something was there.

    Boxes count by the smooth L1 distance of what the head says of them, centre-nesses by their KL.

    Args:
        classes: logits (N, P, C) on the clean pictures and now.
        boxes: (N, P, 4) of both as the head gives them, not in pixels.
        centres: logits (N, P, 1) of both; ``None`` where the head has none.
        background: see :func:`class_divergence`.

    Returns:
        (N,), summed over the P places; KL is in nats.
    """
    places, weight = class_divergence(*classes, background)
    clean, now = boxes
    places = places + weight * F.smooth_l1_loss(now, clean, reduction="none").sum(-1)
    if centres is not None:
        places = places + weight * class_divergence(*centres)[0]
    return places.sum(1)


def log_distributions(given: Sequence[Tensor], device: torch.device, dim: int = 1) -> Tensor:
    """Log-probabilities (N, ...) of what is, for each picture, either probabilities or logits.

    Where all of a picture's values are 0 or more and sum to 1 they are probabilities; everything else,
    log-probabilities included, is logits. All pictures are looked at together: whether there is NaN is the
    only thing that a GPU is waited for.

    Args:
        given: of each picture, of one shape.
        device: where they are wanted.
        dim: of the classes, with the pictures as the first one.

    Raises:
        ValueError: one is NaN.
    """
    tolerance = max(SUM_TOLERANCES.get(one.dtype, _SUM_TOLERANCE) for one in given)
    alike = len({one.device for one in given}) == 1
    stacked = torch.stack(list(given) if alike else [one.to(device) for one in given])
    values = stacked.to(device).float()
    if bool(values.isnan().any()):
        raise ValueError("targets must be probabilities or logits without NaN")
    sums = values.sum(dim, keepdim=True)
    fits = (values >= 0).all(dim, keepdim=True) & ((sums - 1).abs() < tolerance)
    likely = fits.flatten(1).all(1).reshape(-1, *[1] * (values.ndim - 1))
    exact = values if tolerance == _SUM_TOLERANCE else values / sums
    if device.type == "cpu" and bool(likely.all()):
        return exact.log()
    if device.type == "cpu" and not bool(likely.any()):
        return values.log_softmax(dim)
    return torch.where(likely, exact.log(), values.log_softmax(dim))


def one_hot_log(labels: Tensor, classes: int) -> Tensor:
    """Log-probabilities (N, classes): 0 at the label, -inf elsewhere."""
    hot = torch.full((len(labels), classes), -torch.inf, dtype=torch.float32, device=labels.device)
    return hot.scatter_(1, labels[:, None], 0.0)
