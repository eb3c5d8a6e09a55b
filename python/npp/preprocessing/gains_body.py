"""The network that decides on the gains, from the coefficients around each block."""

from __future__ import annotations

from itertools import cycle, islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from npp.hevc.quantiser import QP_FEATURES
from npp.hevc.zero_start import start_at_zero
from npp.torch_state import first_weight, in_transform

_DILATIONS = (1, 2, 4)
_EMBEDDING = 32
_POSITIONS = 1024  # half a megabyte of a body's widest layer


def as_convolutions(x: Tensor) -> bool:
    """Whether layers run as convolutions, which exporters, vmap and counters know, not as faster products."""
    return in_transform() or torch.compiler.is_compiling() or x.device.type == "meta"


def without_gradient(x: Tensor) -> bool:
    """Whether work may be done in place: on the CPU, without gradients, autocast, transforms or exports."""
    return (
        x.device.type == "cpu"
        and not torch.is_grad_enabled()
        and not as_convolutions(x)
        and not torch.is_autocast_enabled("cpu")
    )


def _is_plain(layer: nn.Module) -> bool:
    """Whether a layer only does what its weights say, so that they may be used without calling it.

    Pruning, LoRA and the like put something else in its place, or work when it is called.
    """
    hooks = (layer._forward_pre_hooks, layer._forward_hooks, layer._backward_pre_hooks, layer._backward_hooks)
    return type(layer) is nn.Conv2d and not any(hooks) and "forward" not in vars(layer)


def _pointwise(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """Computes a 1x1 convolution of pictures in channels-last memory as one matrix product.

    For the convolution torch copies its input, which takes longer than the product.
    """
    if as_convolutions(x) or not _is_plain(layer):
        convolved: Tensor = layer(x)
        return convolved
    rows = F.linear(x.permute(0, 2, 3, 1), layer.weight.flatten(1), layer.bias)
    return rows.permute(0, 3, 1, 2)


def _pointwise_in(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """Computes a 1x1 convolution from contiguous memory to channels-last memory.

    Most of the work is pointwise layers, which are faster in channels-last memory.
    """
    if in_transform():  # vmap allows no choice of memory order
        convolved: Tensor = layer(x)
        return convolved
    if as_convolutions(x) or not _is_plain(layer):
        ordered: Tensor = layer(x.contiguous(memory_format=torch.channels_last))
        return ordered
    rows = F.linear(x.flatten(2).transpose(1, 2), layer.weight.flatten(1), layer.bias)
    return rows.view(len(x), *x.shape[-2:], -1).permute(0, 3, 1, 2)


def _widened_and_narrowed(widen: nn.Conv2d, narrow: nn.Conv2d, x: Tensor, conditioned: Tensor) -> Tensor:
    """Computes x + narrow(relu(widen(conditioned))) in place of x, some positions of the picture at a time.

    So the wide features stay in the cache.
    """
    assert widen.bias is not None and narrow.bias is not None
    up, down = widen.weight.flatten(1).T, narrow.weight.flatten(1).T
    out = x.permute(0, 2, 3, 1).add_(narrow.bias)
    for picture, condition in zip(
        out.flatten(1, 2), conditioned.permute(0, 2, 3, 1).flatten(1, 2), strict=True
    ):
        for outputs, inputs in zip(picture.split(_POSITIONS), condition.split(_POSITIONS), strict=True):
            outputs.addmm_(torch.addmm(widen.bias, inputs, up).relu_(), down)
    return out.permute(0, 3, 1, 2)


def _pointwise_out(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """Computes a 1x1 convolution from channels-last memory to contiguous memory."""
    if as_convolutions(x) or not _is_plain(layer):
        convolved: Tensor = layer(x)
        return convolved
    rows = x.permute(0, 2, 3, 1).flatten(1, 2)
    bias = None if layer.bias is None else layer.bias[:, None]
    channels = layer.weight.flatten(1) @ rows.transpose(1, 2)
    moved = channels if bias is None else channels + bias
    return moved.view(len(x), -1, *x.shape[-2:])


class _Block(nn.Module):
    """A residual block: depthwise 3x3, scale and shift by qp, two pointwise layers."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, groups=width)
        self.condition = nn.Linear(_EMBEDDING, 2 * width)
        self.widen = nn.Conv2d(width, 2 * width, 1)
        self.narrow = nn.Conv2d(2 * width, width, 1)
        start_at_zero(self.condition)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.condition(embedding)[:, :, None, None].chunk(2, dim=1)
        conditioned = torch.addcmul(shift, self.spread(x), 1 + scale)
        if without_gradient(x) and _is_plain(self.widen) and _is_plain(self.narrow):
            return _widened_and_narrowed(self.widen, self.narrow, x, conditioned)
        return x + _pointwise(self.narrow, F.relu(_pointwise(self.widen, conditioned)))


class Body(nn.Module):
    """Logits of the gains from the coefficients around a block, which start at 0.

    Its three parts are called one after the other; for a large picture the first and the last are called for
    some rows of blocks at a time.
    """

    def __init__(self, inputs: int, width: int, depth: int, outputs: int) -> None:
        super().__init__()
        self.embed = nn.Linear(QP_FEATURES, _EMBEDDING)
        self.enter = nn.Conv2d(inputs, width, 1)
        self.blocks = nn.ModuleList(_Block(width, d) for d in islice(cycle(_DILATIONS), depth))
        self.leave = nn.Conv2d(width, outputs, 1)
        start_at_zero(self.leave)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        weight = first_weight(self)
        assert weight is not None
        return weight.dtype

    def forward(self, features: Tensor, qp: Tensor) -> Tensor:
        """Logits (N, outputs, h, w) of features (N, inputs, h, w) and those of the qp."""
        return self.decide(self.look_around(self.take_in(features), qp))

    def take_in(self, features: Tensor) -> Tensor:
        """Makes features (N, width, h, w) for the residual blocks: a 1x1 convolution."""
        return _pointwise_in(self.enter, features)

    def look_around(self, x: Tensor, qp: Tensor) -> Tensor:
        """Runs the residual blocks; without a gradient the result may take the place of x."""
        embedding = F.silu(self.embed(qp))
        for block in self.blocks:
            x = block(x, embedding)
        return x

    def decide(self, x: Tensor) -> Tensor:
        """Makes logits (N, outputs, h, w) of the residual blocks' features: a ReLU and a 1x1 convolution."""
        return _pointwise_out(self.leave, F.relu(x))
