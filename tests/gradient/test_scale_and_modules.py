"""Pictures of another scale than [0, 1], and what BPG does with a surrogate that is a module."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pictures import pictures
from torch import Tensor, nn

import npp
from npp.codec.device_transfer import DeviceTransfer
from npp.gradient.surrogates import Estimate, LearnedCodec, Real

CALLS: dict[str, Callable[[Tensor], Tensor]] = {
    "compress": lambda x: npp.compress(x, 33, effort=0).x_hat,
    "with gradient": lambda x: npp.compress(x.requires_grad_(), 33, effort=0).x_hat,
    "BPG": lambda x: npp.BPG(33, effort=0)(x).x_hat,
    "vmap": lambda x: torch.vmap(lambda p: npp.compress(p[None], 33, effort=0).x_hat[0])(x),
    "Preprocessor": lambda x: npp.Preprocessor("blur")(x, 33),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("how", CALLS)
def test_another_scale_is_refused(how: str, dtype: torch.dtype) -> None:
    x = pictures()
    x[1] *= 255
    with pytest.raises(ValueError, match=r"x.* holds values from .* to 2\d\d.*\[0, 1\].*divide") as caught:
        CALLS[how](x.to(dtype))
    if how != "Preprocessor":
        assert isinstance(caught.value, npp.EncodeError) and caught.value.index == 1
        assert "x[1]" in str(caught.value) and caught.value.results is not None
        assert isinstance(caught.value.results[0], bytes)


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), -3e4])
@pytest.mark.parametrize("how", CALLS)
def test_infinity_is_refused(how: str, value: float) -> None:
    x = pictures()
    x[0, 1, 2, 3] = value
    with pytest.raises(ValueError, match=r"x.* holds values from"):
        CALLS[how](x)


@pytest.mark.parametrize("scale", [(0.45, 0.22), (0.5, 0.5)])
@pytest.mark.parametrize("how", [name for name in CALLS if name != "vmap"])
def test_a_neighbouring_scale_is_warned_about(how: str, scale: tuple[float, float]) -> None:
    """Pictures that were normalised, and those of -1 to 1."""
    x = pictures()
    x[0, :, 0, 0], x[0, :, 0, 1] = 0, 1
    normalised = (x - scale[0]) / scale[1]
    with pytest.warns(UserWarning, match="x holds values below -0.9 or above 2"):
        CALLS[how](normalised)


@pytest.mark.parametrize("how", CALLS)
def test_overshoot_is_clamped_without_a_warning(how: str) -> None:
    x = pictures()
    x[0, :, 0], x[0, :, 1] = -0.9, 2
    found = CALLS[how](x)  # warnings are errors here
    if how == "Preprocessor":  # which filters first
        assert found.min() == 0 and found.max() == 1
    else:
        assert torch.equal(found, CALLS[how](x.detach().clamp(0, 1)))


def test_ranges_found_on_another_device() -> None:
    """The device's own half of the check, on the CPU that is here."""
    x = pictures(4)
    x[1] *= 255
    x[2, 0, 0, 0] = float("nan")
    x[3, 0, 0, 0] = -float("inf")
    transfer = DeviceTransfer(x, deep=False)
    transfer._remote = True
    transfer.to_codec()
    errors = transfer.errors()
    assert sorted(errors) == [1, 2, 3] == [error.index for error in errors.values()]
    assert "holds values from" in str(errors[1]) and "NaN" in str(errors[2]) and "-inf" in str(errors[3])


class _Learned(nn.Module):
    """A surrogate with weights: a gain."""

    needs_real = False

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.5))
        self.register_buffer("offset", torch.zeros(1))

    def forward(self, x: Tensor, qp: Tensor, real: Real | None, options: Any) -> Estimate:
        return Estimate(x * self.gain, x.mean((1, 2, 3)))


class _Codec(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> dict[str, Any]:
        return {"x_hat": x * self.gain, "likelihoods": {"y": torch.sigmoid(x * self.gain)}}


SURROGATES: dict[str, Callable[[], Any]] = {
    "module": _Learned,
    "LearnedCodec": lambda: LearnedCodec(_Codec(), 8),
}


def _gain(surrogate: Any) -> nn.Parameter:
    gain = surrogate.gain if isinstance(surrogate, _Learned) else surrogate.model.gain
    assert isinstance(gain, nn.Parameter)
    return gain


@pytest.mark.parametrize("kind", SURROGATES)
def test_bpg_hands_out_no_parameters_of_its_surrogate(kind: str) -> None:
    surrogate = SURROGATES[kind]()
    whole = nn.Sequential(npp.BPG(33, surrogate=surrogate, effort=0))
    assert list(whole.parameters()) == [] and list(whole.buffers()) == [] and len(whole.state_dict()) == 0
    assert whole[0].surrogate is surrogate
    assert [module for module in whole.modules() if module is surrogate] == []
    whole.requires_grad_(False)
    assert _gain(surrogate).requires_grad


@pytest.mark.parametrize("kind", SURROGATES)
def test_the_surrogate_moves_with_bpg_and_stays_wide(kind: str) -> None:
    surrogate = SURROGATES[kind]()
    whole = nn.Sequential(npp.BPG(33, surrogate=surrogate, effort=0))
    whole.double()
    assert _gain(surrogate).dtype == torch.float64
    whole.to(torch.bfloat16)
    assert _gain(surrogate).dtype == torch.float64
    whole.to(torch.float32)
    assert _gain(surrogate).dtype == torch.float32
    whole.to("meta")
    assert _gain(surrogate).device.type == "meta"


@pytest.mark.parametrize("kind", [*SURROGATES, "hyperprior", "gated"])
def test_bpg_is_copied_and_pickled(kind: str) -> None:
    surrogate = SURROGATES[kind]() if kind in SURROGATES else kind
    bpg = npp.BPG(33, surrogate=surrogate, effort=0)
    x = pictures(1, 16)
    for other in (copy.deepcopy(bpg), pickle.loads(pickle.dumps(bpg))):
        leaf, own = x.clone().requires_grad_(), x.clone().requires_grad_()
        (got,) = torch.autograd.grad(other(leaf).x_hat.sum(), leaf)
        (want,) = torch.autograd.grad(bpg(own).x_hat.sum(), own)
        assert torch.equal(got, want)
        assert kind not in SURROGATES or other.surrogate is not bpg.surrogate
    assert len(pickle.dumps(npp.BPG(33, surrogate="hyperprior"))) < 10_000


def test_learned_codec_is_a_module_with_its_model_s_parameters() -> None:
    model = _Codec()
    codec = LearnedCodec(model, 8)
    assert list(codec.parameters()) == [model.gain]
    codec.double()
    assert model.gain.dtype == torch.float64
    x = pictures(1, 16).requires_grad_()
    npp.compress(x, 33, surrogate=codec, effort=0).x_hat.sum().backward()
    assert x.grad is not None and x.grad.dtype == torch.float32 and model.gain.grad is not None
    with pytest.raises(ValueError, match=r"model is on meta and x on cpu.*\.to\(\)"):
        npp.compress(x, 33, surrogate=codec.to("meta"), effort=0)


def test_learned_codec_takes_a_plain_function() -> None:
    gain = torch.tensor(0.25)
    codec = LearnedCodec(lambda x: {"x_hat": x * gain, "likelihoods": {"y": torch.sigmoid(x)}}, 8)
    x = pictures(1, 16).requires_grad_()
    (gradient,) = torch.autograd.grad(npp.compress(x, 33, surrogate=codec, effort=0).x_hat.sum(), x)
    torch.testing.assert_close(gradient, torch.full_like(x, 0.25))
