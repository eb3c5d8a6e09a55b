"""Computes a step's total part by part, so that the tasks' networks and the codec work at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import lightning
import torch
from torch import Tensor

from npp.training.objective import Terms
from npp.training.recipe_model import PreparedBatch

#: Yields the terms of a batch part by part, from pictures and a map that need gradients.
PartsOfTerms = Callable[[PreparedBatch], Iterator[Terms]]


class _BackwardAlready(torch.autograd.Function):
    """The mean total of a batch, whose gradient by pictures and map is computed together with it."""

    @staticmethod
    def forward(
        ctx: Any, x_pre: Tensor, qp_map: Tensor | None, ready: PreparedBatch, work: Any, scale: Tensor
    ) -> Any:
        leaf = x_pre.detach().requires_grad_()
        leaf_map = None if qp_map is None else qp_map.detach().requires_grad_()
        found = []
        with torch.enable_grad():
            for terms in work(ready._replace(x_pre=leaf, qp_map=leaf_map)):
                with torch.autocast(device_type=x_pre.device.type, enabled=False):
                    (terms.total.sum() / len(leaf) * scale).backward()
                found.append([one.detach() for one in terms])
        ctx.save_for_backward(leaf.grad, None if leaf_map is None else leaf_map.grad, scale)
        joined = [torch.cat(one) for one in zip(*found, strict=True)]
        ctx.mark_non_differentiable(*joined)
        return joined[-1].mean(), *joined

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        *saved, scale = ctx.saved_tensors
        # Not the gradients by the scale: what half precision could hold thanks to it would be lost.
        left = gradients[0] / scale
        of_pictures, of_map = (None if one is None else one * left for one in saved)
        return of_pictures, of_map, None, None, None


def total_in_parts(ready: PreparedBatch, work: PartsOfTerms, scale: Tensor) -> tuple[Tensor, Terms]:
    """The mean total of a batch and its terms; each part goes forward and backward by itself.

    Autograd sees one step from the prepared pictures to the total. While a part is in the task's network,
    the codec has those after it. The networks' graphs are freed part by part, too: less memory is needed.

    Args:
        ready: the prepared pictures, with a gradient of a filter or an allocator.
        work: yields the terms; called with the same pictures, detached from the filter's graph.
        scale: the factor by which the total will be multiplied before its own ``backward()``, as in
            ``16-mixed``. The parts go backward with it already, so that no gradient in half precision is too
            small.

    Returns:
        The mean total with its gradient, and the terms without.
    """
    total, *terms = _BackwardAlready.apply(  # type: ignore[no-untyped-call]
        ready.x_pre, ready.qp_map, ready, work, scale
    )
    return total, Terms(*terms)


def loss_scale(trainer: lightning.Trainer, device: torch.device) -> Tensor:
    """The factor by which Lightning scales a total before its ``backward()``: 1 but for ``16-mixed``."""
    one, scaler = torch.ones((), device=device), getattr(trainer.precision_plugin, "scaler", None)
    return one if scaler is None else scaler.scale(one)
