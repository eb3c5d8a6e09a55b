"""Networks as nn.DataParallel copies them: tensors stand in the places of their parameters."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pictures import pictures
from torch import Tensor, nn
from torch.nn.parallel import replicate

import npp
from npp.codec.options import resolve_options
from npp.gradient.surrogates.hyperprior import load_hyperprior
from npp.gradient.surrogates.learned import _SHIPPED, LearnedCodec
from npp.torch_state import first_weight


def _learned() -> LearnedCodec:
    model = load_hyperprior(_SHIPPED)
    return LearnedCodec(model, model.multiple)


def _decoded(codec: nn.Module, x: Tensor) -> Tensor:
    found: Tensor = codec(x, torch.full((len(x),), 33.0), None, resolve_options({})).x_hat
    return found


def _at_a_qp(network: nn.Module, x: Tensor) -> Tensor:
    found: Tensor = network(x, 33)
    return found


def _restored(network: nn.Module, x: Tensor) -> Tensor:
    found: Tensor = network(x)
    return found


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module, Tensor], Tensor]]] = {
    "gains": (lambda: npp.Preprocessor("gains", width=8, depth=1, sigmas={30: 0.4}), _at_a_qp),
    "gains without body": (lambda: npp.Preprocessor("gains", depth=0), _at_a_qp),
    "unet": (lambda: npp.Preprocessor("unet", width=2), _at_a_qp),
    "unet-adaptive": (lambda: npp.Preprocessor("unet-adaptive", width=2), _at_a_qp),
    "blur": (lambda: npp.Preprocessor("blur"), _at_a_qp),
    "allocator": (lambda: npp.Allocator(width=8, depth=1), _at_a_qp),
    "restorer": (lambda: npp.Restorer(width=8, depth=1, edge_width=4), _restored),
    "learned codec": (_learned, _decoded),
}


@pytest.fixture
def replica_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[nn.Module], nn.Module]:
    """torch's own replication, but for the copy between devices, of which there is one."""

    def copies(tensors: list[Tensor], devices: list[int], detach: bool = False) -> list[list[Tensor]]:
        return [[tensor * 1 for tensor in tensors] for _ in devices]

    monkeypatch.setattr(sys.modules[replicate.__module__], "_broadcast_coalesced_reshape", copies)

    def make(network: nn.Module) -> nn.Module:
        found: Any = replicate(network, [0])  # type: ignore[arg-type]
        assert not list(found[0].parameters())
        return found[0]  # type: ignore[no-any-return]

    return make


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NETWORKS)
def test_replicas_do_what_the_network_does(
    name: str, dtype: torch.dtype, replica_of: Callable[[nn.Module], nn.Module]
) -> None:
    make, run = NETWORKS[name]
    network, x = make().to(dtype).eval(), pictures(2, 24)
    torch.testing.assert_close(run(replica_of(network), x), run(network, x))


def test_a_first_weight_is_found_wherever_it_is(replica_of: Callable[[nn.Module], nn.Module]) -> None:
    network = nn.Sequential(nn.ReLU(), nn.Conv2d(1, 1, 1, bias=False))
    assert first_weight(network) is network[1].weight
    replica: Any = replica_of(network)
    assert first_weight(replica) is replica[1].weight
    assert first_weight(nn.Sequential(nn.ReLU())) is None
