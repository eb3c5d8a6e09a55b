"""The promises of every preprocessor, and its arguments."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from preprocessors import LEARNED, SMALL, make, pictures

from npp import Preprocessor


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(list(SMALL)), st.integers(1, 40), st.integers(1, 40), st.floats(0, 51))
def test_any_size_and_qp(network: str, height: int, width: int, qp: float) -> None:
    x = torch.rand(1, 3, height, width)
    with torch.no_grad():
        y = make(network)(x, qp)
    assert y.shape == x.shape
    assert y.min() >= 0 and y.max() <= 1


@pytest.mark.parametrize("network", SMALL)
def test_a_picture_does_not_depend_on_its_neighbours(network: str) -> None:
    preprocessor, x, qps = make(network), pictures(3), [22.0, 37.5, 44.0]
    with torch.no_grad():
        together = preprocessor(x, qps)
        alone = torch.cat([preprocessor(x[i : i + 1], qp) for i, qp in enumerate(qps)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("network", ["gains", "unet-adaptive", "blur"])
def test_the_qp_matters(network: str) -> None:
    with torch.no_grad():
        y = make(network)(pictures(1).expand(2, -1, -1, -1), [25, 40])
    assert (y[0] - y[1]).abs().max() > 1e-3


@pytest.mark.parametrize("network", SMALL)
def test_forms_of_qp_agree(network: str) -> None:
    preprocessor, x = make(network), pictures()
    with torch.no_grad():
        expected = preprocessor(x, 30)
        for qp in (30.0, [30, 30.0], torch.tensor(30), torch.tensor([30, 30]), np.float32(30), (30, 30)):
            assert torch.equal(preprocessor(x, qp), expected)


@pytest.mark.parametrize("network", LEARNED)
def test_gradient_reaches_everything(network: str) -> None:
    preprocessor = make(network, 0.1).train()
    x = pictures().requires_grad_()
    (preprocessor(x, [25, 40]) * torch.rand(x.shape)).sum().backward()
    for name, parameter in [*preprocessor.named_parameters(), ("x", x)]:
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("network", SMALL)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtype_is_kept(network: str, dtype: torch.dtype) -> None:
    preprocessor, x = make(network), pictures()
    with torch.no_grad():
        expected = preprocessor(x.to(dtype).float(), 33).to(dtype)
        y = preprocessor(x.to(dtype), 33)
    assert y.dtype == dtype
    torch.testing.assert_close(y, expected, atol=1e-4 if dtype == torch.float64 else 0, rtol=0)


@pytest.mark.parametrize("network", LEARNED)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_weights_of_another_dtype(network: str, dtype: torch.dtype) -> None:
    preprocessor, x = make(network, 0.1), pictures()
    with torch.no_grad():
        expected = preprocessor(x, 33)
        y = preprocessor.to(dtype)(x, 33)
    assert y.dtype == x.dtype
    torch.testing.assert_close(y, expected, atol=0.1 if dtype == torch.bfloat16 else 1e-4, rtol=0)


@pytest.mark.parametrize("network", SMALL)
def test_autocast(network: str) -> None:
    preprocessor, x = make(network, 0.1), pictures()
    with torch.no_grad():
        expected = preprocessor(x, 33)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = preprocessor(x, 33)
    assert y.dtype == x.dtype
    torch.testing.assert_close(y, expected, atol=0.05, rtol=0)


def test_values_outside_are_clamped() -> None:
    x = torch.linspace(-0.9, 2, 3 * 64).view(1, 3, 8, 8)
    assert torch.equal(Preprocessor()(x, 30), x.clamp(0, 1))


@pytest.mark.parametrize(
    ("network", "given_settings", "message"),
    [
        ("gain", {}, r"network must be one of 'gains'.*not 'gain'"),
        (None, {}, "network must be one of .*not None"),
        ("gains", {"width": 7}, "width must be an integer from 8 to 512, not 7"),
        ("gains", {"width": 10**9}, "width must be"),
        ("gains", {"depth": True}, "depth must be an integer from 0 to 32, not True"),
        ("gains", {"table": 1}, "table must be True or False, not 1"),
        ("gains", {"floor": 1}, "floor must be a number from 0 to 0.99, not 1"),
        ("gains", {"floor": math.nan}, "floor must be"),
        ("gains", {"depth": 0, "table": False}, "depth must be at least 1 without a table"),
        ("unet", {"width": 0}, "width must be an integer from 1 to 128, not 0"),
        ("blur", {"sigmas": {}}, "sigmas must be a mapping"),
        ("blur", {"sigmas": 0.5}, "sigmas must be a mapping"),
        ("blur", {"sigmas": {30: -1}}, r"sigmas\[30\] must be a number from 0 to 8, not -1"),
        ("blur", {"sigmas": {52: 1}}, "a qp in sigmas must be a number from 0 to 51, not 52"),
        ("blur", {"sigmas": {"low": 1}}, "a qp in sigmas must be .*not 'low'"),
    ],
)
def test_bad_settings(network: Any, given_settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessor(network, **given_settings)


def test_unknown_setting_lists_the_known() -> None:
    with pytest.raises(TypeError, match=r"unknown setting 'widht' of network 'gains'.*width, depth"):
        Preprocessor("gains", widht=64)


@pytest.mark.parametrize(
    ("x", "qp", "error", "message"),
    [
        (np.zeros((1, 3, 8, 8)), 30, TypeError, "x must be a tensor, not ndarray"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), 30, TypeError, r"x must be floating.*torch\.uint8"),
        (torch.zeros(3, 8, 8), 30, ValueError, r"x must be \(N, 3, H, W\).*\(3, 8, 8\)"),
        (torch.zeros(1, 4, 8, 8), 30, ValueError, r"\(1, 4, 8, 8\)"),
        (torch.zeros(1, 3, 0, 8), 30, ValueError, r"\(1, 3, 0, 8\)"),
        (torch.zeros(2, 3, 8, 8), [30], ValueError, r"qp has the shape \(1,\) for 2"),
        (torch.zeros(2, 3, 8, 8), torch.zeros(2, 1), ValueError, r"qp has the shape \(2, 1\)"),
        (torch.zeros(1, 3, 8, 8), 52, ValueError, "qp must be a number from 0 to 51, not 52"),
        (torch.zeros(1, 3, 8, 8), -0.1, ValueError, "qp must be a number from 0 to 51"),
        (torch.zeros(1, 3, 8, 8), math.nan, ValueError, "qp must be a number from 0 to 51, not nan"),
        (torch.zeros(1, 3, 8, 8), [52], ValueError, "qp must be a number from 0 to 51, not 52"),
        (
            torch.zeros(1, 3, 8, 8),
            torch.tensor(-1),
            ValueError,
            r"qp must be a number .* not tensor\(-1\)",
        ),
        (torch.zeros(1, 3, 8, 8), ["30"], TypeError, "qp must be a number, or one per picture, not '30'"),
        (torch.zeros(1, 3, 8, 8), "30", TypeError, "qp must be a number, or one per picture, not '30'"),
        (torch.zeros(1, 3, 8, 8), True, TypeError, "not True"),
        (torch.zeros(1, 3, 8, 8), torch.tensor(True), TypeError, r"torch\.bool"),
        (torch.zeros(1, 3, 8, 8), None, TypeError, "not None"),
    ],
)
def test_bad_arguments(x: Any, qp: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Preprocessor("blur")(x, qp)


def test_text_form_shows_the_settings() -> None:
    assert "'gains', width=8, depth=4, table=True" in repr(make("gains"))


def test_importing_npp_imports_no_extra() -> None:
    names = {"onnx", "onnxscript"}
    script = f"import sys, npp; npp.Preprocessor(); print({names} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
