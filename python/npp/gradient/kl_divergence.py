"""KL(clean || now) as a sum of parts none of which is negative, exact however little the two differ."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from npp.torch_state import widened

# Of a logarithm: below it a series is exact to rounding, above it the difference of exponentials is.
_SMALL_CHANGES = {torch.float64: 0.05}
_SMALL_CHANGE = 0.5


def is_small_change(change: Tensor) -> Tensor:
    """Whether :func:`small_surplus` holds for changes of logarithms, elementwise."""
    return change.abs() < _SMALL_CHANGES.get(change.dtype, _SMALL_CHANGE)


def small_surplus(change: Tensor) -> Tensor:
    """exp(change) - 1 - change by its Taylor series, elementwise, where :func:`is_small_change`."""
    factor = 1 + change / 8
    for divisor in (7, 6, 5, 4, 3):
        factor = 1 + change / divisor * factor
    return change.square() / 2 * factor


class _WithoutTangents(torch.autograd.Function):
    """q - p - p log(q / p) of log p and log q, elementwise; where p is 0 that is q.

    Its own gradient, which is exact where the difference of the parts' gradients would cancel, and for which
    nothing of the series has to be kept.
    """

    @staticmethod
    def forward(clean: Tensor, now: Tensor) -> Tensor:
        probability, change, is_small = _changes(clean, now)
        parts = now.exp() - probability - probability * change
        return torch.where(is_small, probability * small_surplus(change), parts.clamp_min(0))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        wanted = ctx.needs_input_grad
        slopes = [_clean_slope, _now_slope]
        found = [
            gradients[0] * slope(*ctx.saved_tensors) if needed else None
            for slope, needed in zip(slopes, wanted, strict=True)
        ]
        return found[0], found[1]


class _Parts(_WithoutTangents):
    """The same for forward-mode AD and vmap too, which a compiled graph takes no Function for."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        clean, now = ctx.saved_tensors
        return tangents[0] * _clean_slope(clean, now) + tangents[1] * _now_slope(clean, now)


def _changes(clean: Tensor, now: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """p, log(q / p), or 0 where p is 0, and where the series is to be taken."""
    probability = clean.exp()
    change = torch.where(probability > 0, now - clean, torch.zeros_like(now))
    return probability, change, is_small_change(change) & (probability > 0)


def _clean_slope(clean: Tensor, now: Tensor) -> Tensor:
    probability, change, _ = _changes(clean, now)
    return -probability * change


def _now_slope(clean: Tensor, now: Tensor) -> Tensor:
    probability, change, is_small = _changes(clean, now)
    nearby = torch.where(is_small, change, torch.zeros_like(change))
    return torch.where(is_small, probability * nearby.expm1(), now.exp() - probability)


def kl_divergence(clean: Tensor, now: Tensor, dim: int = 1) -> Tensor:
    """KL(clean || now) in nats of log-probabilities, summed over ``dim``; zeros of the clean one are free.

    With a clean distribution that has a single 1 this is the cross-entropy. It is never negative, and its
    rounding is relative to itself, not to the terms of the usual sum, which cancel.

    Args:
        clean, now: of one shape; their probabilities sum to 1 over ``dim``.
        dim: of the classes.

    Returns:
        In float32 at least, infinite where something of the clean distribution is impossible now. Gradients
        are finite for all finite log-probabilities.
    """
    clean, now = widened(clean), widened(now)
    kind = torch.promote_types(clean.dtype, now.dtype)
    clean, now = clean.to(kind), now.to(kind)
    function = _WithoutTangents if torch.compiler.is_dynamo_compiling() else _Parts
    return cast(Tensor, function.apply(clean, now)).sum(dim)  # type: ignore[no-untyped-call]
