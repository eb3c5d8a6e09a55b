"""Filters under torch's tracers, transforms, modes and default dtypes: the same pictures come out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from npp import Preprocessor

SETTINGS: dict[str, dict[str, Any]] = {
    "gains": {"width": 8, "depth": 1, "sigmas": {30: 0.4, 40: 1.0}},
    "unet": {"width": 2},
    "unet-adaptive": {"width": 2},
    "blur": {},
}


def filter_and_inputs(network: str) -> tuple[Preprocessor, Tensor, Tensor]:
    return Preprocessor(network, **SETTINGS[network]).eval(), torch.rand(2, 3, 21, 34), torch.tensor([30, 41])


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("network", SETTINGS)
def test_export_with_one_qp_a_picture(network: str, strict: bool) -> None:
    preprocessor, x, qp = filter_and_inputs(network)
    exported = torch.export.export(preprocessor, (x, qp), strict=strict).module()
    for qps in (qp, qp + 3):
        torch.testing.assert_close(exported(x, qps), preprocessor(x, qps))


@pytest.mark.parametrize("qp", [[30, 41], torch.tensor([30, 41])], ids=["list", "tensor"])
@pytest.mark.parametrize("network", SETTINGS)
def test_one_graph_holds_it(network: str, qp: Any) -> None:
    preprocessor, x, _ = filter_and_inputs(network)
    torch._dynamo.reset()
    compiled = torch.compile(preprocessor, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, qp), preprocessor(x, qp))


def test_compiled_for_several_sizes() -> None:
    """From the second size on torch compiles for any, and has to divide the padded sizes by the block's."""
    preprocessor = Preprocessor(width=8, depth=0).eval().requires_grad_(False)
    torch._dynamo.reset()
    compiled = torch.compile(preprocessor, backend="aot_eager")
    for size in ((21, 34), (37, 50)):
        x = torch.rand(2, 3, *size)
        torch.testing.assert_close(compiled(x, 30), preprocessor(x, 30))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("network", SETTINGS)
def test_transforms(network: str) -> None:
    preprocessor, x, qp = filter_and_inputs(network)
    mapped = torch.vmap(lambda picture, q: preprocessor(picture[None], q)[0])(x, qp)
    torch.testing.assert_close(mapped, preprocessor(x, qp))
    direction = torch.randn_like(x)

    def objective(x: Tensor) -> Tensor:
        return preprocessor(x, qp).square().sum()

    gradient = torch.func.grad(objective)(x)
    _, pushed = torch.func.jvp(objective, (x,), (direction,))
    torch.testing.assert_close(pushed, (gradient * direction).sum(), rtol=1e-3, atol=1e-3)


def test_weights_read_in_a_mode_can_be_trained() -> None:
    name = Preprocessor.available()[0]
    x = torch.rand(1, 3, 16, 16)
    with torch.device("meta"), torch.inference_mode():
        preprocessor = Preprocessor.load(name)
    preprocessor(x, 33).sum().backward()
    assert any(parameter.grad is not None for parameter in preprocessor.parameters())


@pytest.mark.parametrize("empty", ["to_empty", "assign"])
@pytest.mark.parametrize("kind", ["gains", "unet", "unet-adaptive", "blur"])
def test_a_filter_made_without_memory_is_whole_once_its_weights_are_loaded(kind: str, empty: str) -> None:
    trained = Preprocessor(kind, **SETTINGS[kind])
    with torch.no_grad():
        for weight in trained.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    with torch.device("meta"):
        made = Preprocessor(kind, **SETTINGS[kind])
    if empty == "to_empty":
        made = made.to_empty(device="cpu")
    made.load_state_dict(trained.state_dict(), assign=empty == "assign")
    x = torch.rand(1, 3, 64, 48)
    assert torch.equal(made(x, 34), trained(x, 34))


LAYERS = ("body.enter", "body.blocks.0.widen", "body.blocks.0.narrow", "body.leave")


class _WithMore(nn.Module):
    """What LoRA and its like put around a layer."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base

    @property
    def weight(self) -> Tensor:
        return self.base.weight  # type: ignore[return-value]

    @property
    def bias(self) -> Tensor:
        return self.base.bias  # type: ignore[return-value]

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + 0.1  # type: ignore[no-any-return]


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("layer", LAYERS)
def test_what_is_put_around_a_layer_is_called(layer: str, gradient: bool) -> None:
    """Also by strips, whose picture is large."""
    network = Preprocessor(width=8, depth=1)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    parent, _, name = f"filter.{layer}".rpartition(".")
    for x in (torch.rand(2, 3, 40, 48), torch.rand(1, 3, 1024, 776)):
        with torch.set_grad_enabled(gradient):
            plain = network(x, 34)
            base = network.get_submodule(f"{parent}.{name}")
            setattr(network.get_submodule(parent), name, _WithMore(base))
            wrapped = network(x, 34)
            setattr(network.get_submodule(parent), name, base)
            hook = base.register_forward_hook(lambda module, given, found: found + 0.1)
            hooked = network(x, 34)
            hook.remove()
            again = network(x, 34)
        assert not torch.allclose(wrapped, plain, atol=1e-4)
        torch.testing.assert_close(hooked, wrapped)
        assert torch.equal(again, plain)


def test_a_pruned_filter_trains_on() -> None:
    network = Preprocessor(width=8, depth=1)
    for layer in LAYERS:
        prune.l1_unstructured(network.get_submodule(f"filter.{layer}"), "weight", 0.5)  # type: ignore[no-untyped-call]
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    x = torch.rand(1, 3, 32, 32)
    for _ in range(3):
        optimiser.zero_grad()
        (network(x, 34) - x.flip(-1)).square().sum().backward()
        optimiser.step()
    enter: Any = network.get_submodule("filter.body.leave")
    network(x, 34)
    assert torch.equal(enter.weight, enter.weight_orig * enter.weight_mask)


def test_a_pruned_body_takes_large_pictures_too() -> None:
    """Of fewer channels than the settings say, as what removes whole channels leaves them."""
    network, narrow = Preprocessor(width=16, depth=1), Preprocessor(width=8, depth=1)
    with torch.no_grad():
        for weight in narrow.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    network.filter.body = narrow.filter.body
    network.filter.table = narrow.filter.table
    x = torch.rand(1, 3, 1024, 776)
    with torch.no_grad():
        assert torch.equal(network(x, 34), narrow(x, 34))


def test_weights_may_come_by_any_way_and_in_any_mode() -> None:
    trained = Preprocessor(width=8, depth=1)
    with torch.no_grad():
        for weight in trained.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    x, qp = torch.rand(1, 3, 64, 48), torch.tensor([34])
    with torch.device("meta"):
        made = Preprocessor(width=8, depth=1)
    found = torch.func.functional_call(made, dict(trained.named_parameters()), (x, qp))
    assert torch.equal(found, trained(x, qp))
    with torch.inference_mode():
        trained.load_state_dict(trained.state_dict())
    trained(x, qp).sum().backward()


@pytest.mark.parametrize("network", ["unet", "unet-adaptive"])
def test_one_small_picture_is_too_little_to_train_a_batch_norm_with(network: str) -> None:
    preprocessor = Preprocessor(network, width=2).train()
    with pytest.raises(
        ValueError, match=r"^x must be several pictures, or larger than 16x16.* not \(1, 3, 16, 16\)"
    ):
        preprocessor(torch.rand(1, 3, 9, 16), 30)
    for shape in ((2, 3, 9, 16), (1, 3, 9, 17)):
        assert preprocessor(torch.rand(shape), 30).shape == shape
    assert preprocessor.eval()(torch.rand(1, 3, 9, 16), 30).shape == (1, 3, 9, 16)
