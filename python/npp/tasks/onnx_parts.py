"""Modules that replace some of onnx2torch's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Slice(nn.Module):
    """ONNX's Slice; that of onnx2torch 1.5 indexes with a list, which torch is about to understand
    otherwise, and warns of it."""

    def forward(
        self, x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None
    ) -> Tensor:
        """The part of ``x``; a negative step runs backwards."""
        firsts, lasts = starts.tolist(), ends.tolist()
        dims = range(len(firsts)) if axes is None else axes.tolist()
        strides = [1] * len(firsts) if steps is None else steps.tolist()
        for first, last, dim, stride in zip(firsts, lasts, dims, strides, strict=True):
            if stride < 0:
                x, first, last, stride = x.flip(dim), -first - 1, -last - 1, -stride
            index: list[Any] = [slice(None)] * x.ndim
            index[dim] = slice(first, last, stride)
            x = x[tuple(index)]
        return x


class Reshape(nn.Module):
    """ONNX's Reshape to sides that are known. onnx2torch's fetches them in every call, from the GPU if the
    network is there."""

    def __init__(self, sides: Sequence[int]) -> None:
        super().__init__()
        self.sides = tuple(sides)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` with these sides; 0 keeps a side, -1 takes the rest."""
        return x.reshape([x.shape[i] if side == 0 else side for i, side in enumerate(self.sides)])

    def extra_repr(self) -> str:
        """The sides, for the printed module."""
        return str(self.sides)


class Pick(nn.Module):
    """ONNX's Gather of one index, which onnx2torch's, too, fetches in every call."""

    def __init__(self, dim: int, place: int) -> None:
        super().__init__()
        self.dim, self.place = dim, place

    def forward(self, x: Tensor) -> Tensor:
        """``x`` without the dimension."""
        return x.select(self.dim, self.place)


class Split(nn.Module):
    """ONNX's Split. onnx2torch's, where parts cannot be equal, makes more of them than there are."""

    def __init__(self, dim: int, parts: int) -> None:
        super().__init__()
        self.dim, self.parts = dim, parts

    def forward(self, x: Tensor, sides: Tensor | None = None) -> tuple[Tensor, ...]:
        """Parts of these sizes; without ``sides`` equal ones, of which the last may be smaller."""
        side = -(-x.shape[self.dim] // self.parts) if sides is None else sides.tolist()
        return torch.split(x, side, self.dim)
