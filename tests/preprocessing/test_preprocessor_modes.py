"""Filters under torch's tracers, transforms, modes and default dtypes: the same pictures come out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

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


@pytest.mark.parametrize("network", SETTINGS)
def test_neither_default_dtype_nor_default_device_change_a_picture(network: str) -> None:
    preprocessor, x, qp = filter_and_inputs(network)
    expected = preprocessor(x, qp)
    with torch.device("meta"):
        assert torch.equal(preprocessor(x, [30, 41]), expected)
    for dtype in (torch.float64, torch.bfloat16):
        torch.set_default_dtype(dtype)
        try:
            found = preprocessor(x, qp), preprocessor(x, [30, 41])
        finally:
            torch.set_default_dtype(torch.float32)
        assert torch.equal(found[0], expected) and torch.equal(found[1], expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_weights_do_not_depend_on_the_default_dtype(dtype: torch.dtype) -> None:
    name = Preprocessor.available()[0]
    expected = Preprocessor.load(name).state_dict()
    torch.set_default_dtype(dtype)
    try:
        found = Preprocessor.load(name).state_dict()
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(
        found[key].dtype == value.dtype and torch.equal(found[key], value) for key, value in expected.items()
    )


def test_weights_read_in_a_mode_can_be_trained() -> None:
    name = Preprocessor.available()[0]
    x = torch.rand(1, 3, 16, 16)
    with torch.device("meta"), torch.inference_mode():
        preprocessor = Preprocessor.load(name)
    preprocessor(x, 33).sum().backward()
    assert any(parameter.grad is not None for parameter in preprocessor.parameters())
