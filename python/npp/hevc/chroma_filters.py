"""The codec's chroma filters along one dimension: half the samples, or twice as many.

They are linear maps whose gradient is their adjoint, written as sums of shifted slices: a convolution of one
channel is several times slower, above all backward.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

_Taps = tuple[int, ...]
_Filtered = Sequence[tuple[Tensor, _Taps]]
_DOWN_SCALE, _UP_SCALE = 128, 64

# JPEG siting: around the pair; MPEG-2 siting: around the even sample.
_DOWN_JPEG, _DOWN_JPEG_BEFORE = (2, -4, -8, 17, 57, 57, 17, -8, -4, 2), 4
_DOWN_MPEG2, _DOWN_MPEG2_BEFORE = (-1, 0, 4, 0, -11, 0, 40, 64, 40, 0, -11, 0, 4, 0, -1), 7

# (even output, odd output), both over samples i-3 .. i+4.
_UP_JPEG = ((2, -6, 18, 57, -10, 4, -1, 0), (-1, 4, -10, 57, 18, -6, 2, 0))
_UP_MPEG2 = ((0, 0, 0, 64, 0, 0, 0, 0), (-1, 4, -11, 40, 40, -11, 4, -1))
_UP_BEFORE, _UP_AFTER = 3, 4


class _LinearMap(torch.autograd.Function):
    """``apply(x, map, adjoint)`` is map(x), its gradient adjoint(g); differentiable twice and more."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, direct: Callable[[Tensor], Tensor], adjoint: Callable[[Tensor], Tensor]) -> Tensor:
        return direct(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, *ctx.maps = inputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        direct, adjoint = ctx.maps
        return _LinearMap.apply(gradients[0], adjoint, direct), None, None  # type: ignore[no-untyped-call]

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return _LinearMap.apply(tangents[0], *ctx.maps)  # type: ignore[no-any-return, no-untyped-call]


def _repeat_edges(x: Tensor, dim: int, before: int, after: int) -> Tensor:
    """Repeats the first and the last sample along a dimension."""
    sizes = [-1] * x.ndim
    first, last = x.narrow(dim, 0, 1), x.narrow(dim, x.shape[dim] - 1, 1)
    sizes[dim] = before
    head = first.expand(sizes)
    sizes[dim] = after
    return torch.cat([head, x, last.expand(sizes)], dim)


def _fold_edges(x: Tensor, dim: int, before: int, after: int) -> Tensor:
    """The adjoint of :func:`_repeat_edges`; x is changed."""
    size = x.shape[dim] - before - after
    inner = x.narrow(dim, before, size)
    inner.narrow(dim, 0, 1).add_(x.narrow(dim, 0, before).sum(dim, keepdim=True))
    inner.narrow(dim, size - 1, 1).add_(x.narrow(dim, before + size, after).sum(dim, keepdim=True))
    return inner


def _apart(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """The even and the odd samples along a dimension of even size."""
    # Not unflatten or flatten, which vmap does not know as autograd.grad(is_grads_batched=True) uses it.
    pairs = x.reshape(*x.shape[:dim], x.shape[dim] // 2, 2, *(x.shape[dim + 1 :] if dim != -1 else ()))
    return pairs.select(dim, 0).contiguous(), pairs.select(dim, 1).contiguous()


def _together(even: Tensor, odd: Tensor, dim: int) -> Tensor:
    """The inverse of :func:`_apart`."""
    return torch.stack([even, odd], dim).reshape(_resized(even, dim, 2 * even.shape[dim]))


def _gather(parts: _Filtered, dim: int, size: int, scale: int) -> Tensor:
    """Sum over parts and their taps k of tap / scale * part[k : k + size]."""
    total = parts[0][0].new_zeros(_resized(parts[0][0], dim, size))
    for samples, taps in parts:
        for k, tap in enumerate(taps):
            if tap:
                total.add_(samples.narrow(dim, k, size), alpha=tap / scale)
    return total


def _scatter(parts: _Filtered, dim: int, size: int, scale: int) -> Tensor:
    """Sum over parts and their taps k of tap / scale * part, moved by k, with ``size`` samples."""
    total = parts[0][0].new_zeros(_resized(parts[0][0], dim, size))
    for samples, taps in parts:
        for k, tap in enumerate(taps):
            if tap:
                total.narrow(dim, k, samples.shape[dim]).add_(samples, alpha=tap / scale)
    return total


def _resized(x: Tensor, dim: int, size: int) -> list[int]:
    """x's shape with another size along a dimension."""
    shape = list(x.shape)
    shape[dim] = size
    return shape


def halve(x: Tensor, dim: int, mpeg2: bool) -> Tensor:
    """Halves the number of samples along a dimension, after a low-pass filter; the edge samples repeat.

    Args:
        x: any shape.
        dim: the dimension, negative.
        mpeg2: whether samples lie at the even ones, as in MPEG-2, instead of between two, as in JPEG.

    Returns:
        x's shape with ceil(size / 2) along ``dim``.
    """
    taps = _DOWN_MPEG2 if mpeg2 else _DOWN_JPEG
    before = _DOWN_MPEG2_BEFORE if mpeg2 else _DOWN_JPEG_BEFORE
    size = (x.shape[dim] + 1) // 2
    # As many as the last output reaches, and one more where that makes the padded size even.
    after = 2 * (size - 1) + len(taps) - before - x.shape[dim]
    after += (before + x.shape[dim] + after) % 2
    half = (before + x.shape[dim] + after) // 2

    def direct(x: Tensor) -> Tensor:
        even, odd = _apart(_repeat_edges(x, dim, before, after), dim)
        return _gather([(even, taps[::2]), (odd, taps[1::2])], dim, size, _DOWN_SCALE)

    def adjoint(g: Tensor) -> Tensor:
        even, odd = (_scatter([(g, each)], dim, half, _DOWN_SCALE) for each in (taps[::2], taps[1::2]))
        return _fold_edges(_together(even, odd, dim), dim, before, after)

    return _LinearMap.apply(x, direct, adjoint)  # type: ignore[no-any-return, no-untyped-call]


def double(x: Tensor, dim: int, size: int, mpeg2: bool) -> Tensor:
    """Doubles the number of samples along a dimension by interpolation; the edge samples repeat.

    Args:
        x: any shape, ceil(size / 2) along ``dim``.
        dim: the dimension, negative.
        size: the number of samples afterwards.
        mpeg2: as of :func:`halve`.

    Returns:
        x's shape with ``size`` along ``dim``.
    """
    taps_even, taps_odd = _UP_MPEG2 if mpeg2 else _UP_JPEG
    count = x.shape[dim]

    def direct(x: Tensor) -> Tensor:
        padded = _repeat_edges(x, dim, _UP_BEFORE, _UP_AFTER)
        even, odd = (_gather([(padded, taps)], dim, count, _UP_SCALE) for taps in (taps_even, taps_odd))
        return _together(even, odd, dim).narrow(dim, 0, size)

    def adjoint(g: Tensor) -> Tensor:
        whole = torch.cat([g, torch.zeros_like(g.narrow(dim, 0, 1))], dim) if size % 2 else g
        even, odd = _apart(whole, dim)
        parts = [(even, taps_even), (odd, taps_odd)]
        padded = _scatter(parts, dim, count + _UP_BEFORE + _UP_AFTER, _UP_SCALE)
        return _fold_edges(padded, dim, _UP_BEFORE, _UP_AFTER)

    return _LinearMap.apply(x, direct, adjoint)  # type: ignore[no-any-return, no-untyped-call]
