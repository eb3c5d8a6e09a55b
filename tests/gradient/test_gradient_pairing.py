"""compress: the codec's values to the bit, the surrogate's gradient, wherever it is used."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
from pictures import pictures
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import npp
from npp.codec.options import resolve_options
from npp.gradient.surrogates import NAMES, Estimate, Identity, Real, resolve_surrogate

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")),
]


class Recorded:
    """The identity, counting its calls and keeping what it was given and gave."""

    def __init__(self, needs_real: bool = False) -> None:
        self.needs_real = needs_real
        self.calls: list[tuple[Tensor, Tensor, Real | None, Estimate]] = []

    def __call__(self, x: Tensor, qp: Tensor, real: Real | None, options: Any) -> Estimate:
        estimate = Identity()(x, qp, None, options)
        self.calls.append((x, qp, real, estimate))
        return estimate


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_values_are_the_codecs(name: str, dtype: torch.dtype, device: str) -> None:
    x = pictures().to(device, dtype)
    plain = npp.compress(x, [30, 41], effort=0)
    paired = npp.compress(x.clone().requires_grad_(), [30, 41], surrogate=name, effort=0)
    assert paired.bitstreams == plain.bitstreams
    assert torch.equal(paired.x_hat, plain.x_hat)
    assert torch.equal(paired.bpp, plain.bpp)
    assert paired.x_hat.dtype == dtype and paired.x_hat.device == x.device
    decoded = npp.decompress(plain.bitstreams, dtype=dtype)
    assert torch.equal(decoded, plain.x_hat.cpu())
    assert plain.bpp.tolist() == pytest.approx([8 * len(file) / 32**2 for file in plain.bitstreams])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_the_surrogates_with_the_rate_scaled(name: str, device: str) -> None:
    qps = [28, 43]
    x = pictures().to(device, torch.float64).requires_grad_()
    out = npp.compress(x, qps, surrogate=name, effort=0)
    weights = torch.randn_like(x)
    factors = torch.tensor([1.0, -2.0], device=device)
    (got,) = torch.autograd.grad((out.x_hat * weights).sum() + (out.bpp * factors).sum(), x)

    surrogate = resolve_surrogate(name)
    real = Real(out.x_hat.detach(), out.bpp.detach().double()) if surrogate.needs_real else None
    qp = torch.tensor(qps, dtype=x.dtype, device=device)
    estimate = surrogate(x, qp, real, resolve_options({"effort": 0}))
    ratio = out.bpp.detach().double() / estimate.bpp.detach()
    (expected,) = torch.autograd.grad(
        (estimate.x_hat * weights).sum() + (estimate.bpp * ratio * factors.double()).sum(), x
    )
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-12)


def test_the_rate_of_no_bits_at_all_has_no_gradient() -> None:
    """Where a surrogate says that a picture takes none, no factor makes the real bits of it."""

    class Free:
        needs_real = False

        def __call__(self, x: Tensor, qp: Tensor, real: Real | None, options: Any) -> Estimate:
            bits = x.sum((1, 2, 3))
            return Estimate(2 * x, bits - bits.detach() * torch.tensor([1.0, 0.0]))

    x = pictures().requires_grad_()
    out = npp.compress(x, 35, surrogate=Free(), effort=0)
    assert (out.bpp > 0).all()
    (of_rate,) = torch.autograd.grad(out.bpp.sum(), x, retain_graph=True)
    assert torch.equal(of_rate[0], torch.zeros_like(x[0]))
    torch.testing.assert_close(of_rate[1], torch.full_like(x[1], float((out.bpp[1] / x[1].sum()).detach())))
    (of_picture,) = torch.autograd.grad(out.x_hat.sum(), x)
    assert torch.equal(of_picture, torch.full_like(x, 2.0))


def test_surrogate_sees_real_only_if_it_asks() -> None:
    x = pictures().requires_grad_()
    without, with_real = Recorded(), Recorded(needs_real=True)
    npp.compress(x, 35, surrogate=without, effort=0)
    out = npp.compress(x, 35, surrogate=with_real, effort=0)
    assert without.calls[0][2] is None
    real = with_real.calls[0][2]
    assert real is not None
    assert torch.equal(real.x_hat, out.x_hat) and torch.equal(real.bpp, out.bpp)


def test_no_gradient_costs_nothing() -> None:
    surrogate = Recorded()
    npp.compress(pictures(), 35, surrogate=surrogate, effort=0)
    with torch.no_grad():
        npp.compress(pictures().requires_grad_(), 35, surrogate=surrogate, effort=0)
    with torch.inference_mode():
        npp.compress(pictures(), 35, surrogate=surrogate, effort=0)
    assert surrogate.calls == []


def test_outside_is_clamped_with_clamps_gradient() -> None:
    x = pictures()
    x[0, :, :4] = 1.5
    x[1, :, :, :4] = -0.25
    wide = x.clone().requires_grad_()
    out = npp.compress(wide, 32, effort=0, surrogate="identity")
    assert out.bitstreams == npp.compress(x.clamp(0, 1), 32, effort=0).bitstreams
    weights = torch.rand_like(x) + 0.5
    (gradient,) = torch.autograd.grad((out.x_hat * weights).sum(), wide)
    inside = (x >= 0) & (x <= 1)
    assert torch.equal(gradient, weights * inside)


def test_nan_is_named() -> None:
    x = pictures()
    x[1, 0, 3, 3] = float("nan")
    with pytest.raises(npp.EncodeError, match=r"x\[1\].*NaN"):
        npp.compress(x.requires_grad_(), 30, effort=0)


@pytest.mark.parametrize("qp", [[31, 44], (31, 44), torch.tensor([31, 44])])
def test_qp_for_each_picture(qp: Any) -> None:
    x = pictures().requires_grad_()
    both = npp.compress(x, qp, effort=0)
    for i, one in enumerate((31, 44)):
        alone = npp.compress(x[i : i + 1].detach(), one, effort=0)
        assert both.bitstreams[i] == alone.bitstreams[0]
        assert torch.equal(both.x_hat[i], alone.x_hat[0])
    gradient = torch.autograd.grad(both.bpp.sum(), x)[0]
    alone_x = x.detach()[1:].clone().requires_grad_()
    (alone_gradient,) = torch.autograd.grad(npp.compress(alone_x, 44, effort=0).bpp.sum(), alone_x)
    torch.testing.assert_close(gradient[1:], alone_gradient)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(npp.EncodeError, match="qp"):
        npp.compress(pictures(), [30], effort=0)
    with pytest.raises(ValueError, match="surrogate"):
        npp.compress(pictures(), 30, surrogate="none", effort=0)
    with pytest.raises(TypeError, match="x must be"):
        npp.compress([1.0], 30)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unknown option 'speed'"):
        npp.compress(pictures(), 30, speed=3)  # type: ignore[call-arg]


@pytest.mark.parametrize("layout", ["channels_last", "sliced", "transposed", "expanded"])
def test_strides_do_not_matter(layout: str) -> None:
    x = pictures(size=32)
    if layout == "channels_last":
        given = x.contiguous(memory_format=torch.channels_last)
    elif layout == "sliced":
        given = torch.zeros(2, 3, 64, 40)[:, :, ::2, 4:36].copy_(x)
    elif layout == "transposed":
        given = x.transpose(2, 3).contiguous().transpose(2, 3)
    else:
        given, x = x[:1].expand(2, -1, -1, -1), x[:1].repeat(2, 1, 1, 1)
    given = given.detach().requires_grad_()
    out = npp.compress(given, 33, effort=0)
    assert out.bitstreams == npp.compress(x, 33, effort=0).bitstreams
    assert out.x_hat.shape == x.shape
    (gradient,) = torch.autograd.grad(out.x_hat.square().sum() + out.bpp.sum(), given)
    dense = x.clone().requires_grad_()
    again = npp.compress(dense, 33, effort=0)
    (expected,) = torch.autograd.grad(again.x_hat.square().sum() + again.bpp.sum(), dense)
    torch.testing.assert_close(gradient, expected)


def test_one_output_used_twice_and_backward_twice() -> None:
    x = pictures().requires_grad_()
    out = npp.compress(x, 33, effort=0, surrogate="identity")
    (once,) = torch.autograd.grad(out.x_hat.sum(), x, retain_graph=True)
    (twice,) = torch.autograd.grad(out.x_hat.sum() + out.x_hat.sum(), x, retain_graph=True)
    (again,) = torch.autograd.grad(out.x_hat.sum(), x)
    assert torch.equal(twice, 2 * once) and torch.equal(again, once)


def test_only_the_rate_is_used() -> None:
    x = pictures().requires_grad_()
    npp.compress(x, 33, effort=0).bpp.mean().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0


def test_rate_has_a_second_derivative() -> None:
    x = pictures(1, 16).double().requires_grad_()
    (gradient,) = torch.autograd.grad(npp.compress(x, 33, effort=0).bpp.sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), x)
    assert torch.isfinite(second).all() and second.abs().sum() > 0


def test_flat_picture_has_a_finite_gradient() -> None:
    x = torch.full((1, 3, 16, 16), 0.5, requires_grad=True)
    out = npp.compress(x, 33, effort=0)
    (gradient,) = torch.autograd.grad(out.bpp.sum() + out.x_hat.sum(), x)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("device", DEVICES)
def test_autocast(device: str) -> None:
    conv = nn.Conv2d(3, 3, 3, padding=1).to(device)
    with torch.autocast(device_type=device, dtype=torch.bfloat16):
        before = torch.sigmoid(conv(pictures().to(device)))
        out = npp.compress(before, 35, effort=0)
        loss = out.bpp.mean() + conv(out.x_hat).float().square().mean()
    loss.backward()
    assert (
        before.dtype == torch.bfloat16
        and out.x_hat.dtype == torch.bfloat16
        and out.bpp.dtype == torch.float32
    )
    assert conv.weight.grad is not None and torch.isfinite(conv.weight.grad).all()


@pytest.mark.parametrize("name", NAMES)
def test_gradient_under_autocast_is_as_without(name: str) -> None:
    """Transforms of blocks in bfloat16, which has eight bits, would say something else of the quantiser."""
    weights = torch.randn(2, 3, 32, 32)

    def gradient(mixed: bool) -> Tensor:
        x = pictures().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
            out = npp.compress(x, [28, 41], surrogate=name, effort=0)
            total = (out.x_hat * weights).sum() + out.bpp.sum()
        (found,) = torch.autograd.grad(total, x)
        return found

    without, under = gradient(False), gradient(True)
    assert under.dtype == torch.float32 and without.abs().sum() > 0
    torch.testing.assert_close(under, without, rtol=1e-5, atol=1e-6)


def test_a_surrogate_of_ones_own_is_outside_autocast() -> None:
    """A third has no end in binary: a product in bfloat16 would have eight bits of it."""
    third = torch.eye(32) / 3

    def surrogate(x: Tensor, qp: Tensor, real: Real | None, options: Any) -> Estimate:
        x_hat = x @ third
        return Estimate(x_hat, x_hat.square().sum((1, 2, 3)) + 1)

    surrogate.needs_real = False  # type: ignore[attr-defined]
    x = pictures().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = npp.compress(x, 35, surrogate=surrogate, effort=0)  # type: ignore[arg-type]
        total = out.x_hat.sum()
    (found,) = torch.autograd.grad(total, x)
    assert torch.equal(found, torch.full_like(x, 1).matmul(third))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_surrogates_of_half_precision_see_float32(dtype: torch.dtype) -> None:
    surrogate, x = Recorded(needs_real=True), pictures().to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        npp.compress(x, 35, surrogate=surrogate, effort=0)
    ((seen, qp, real, _),) = surrogate.calls
    assert real is not None and torch.equal(seen, x.float().clamp(0, 1))
    assert {one.dtype for one in (seen, qp, real.x_hat, real.bpp)} == {torch.float32}


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_gives_the_same_gradient(reentrant: bool) -> None:
    conv = nn.Conv2d(3, 3, 3, padding=1)
    x = pictures()

    def step(x: Tensor) -> Tensor:
        out = npp.compress(torch.sigmoid(conv(x)), 35, effort=0)
        return out.bpp.mean() + out.x_hat.square().mean()

    step(x).backward()
    expected = conv.weight.grad
    conv.weight.grad = None
    result = checkpoint(step, x.clone().requires_grad_(), use_reentrant=reentrant)
    assert isinstance(result, Tensor)
    result.backward()
    assert expected is not None and conv.weight.grad is not None
    assert torch.equal(conv.weight.grad, expected)


@pytest.mark.filterwarnings("ignore:The .grad attribute")
def test_compiled_around_with_one_graph_break() -> None:
    def step(x: Tensor) -> Tensor:
        out = npp.compress(torch.sigmoid(3 * x), 35, effort=0)
        return out.bpp.mean() + out.x_hat.square().mean()

    explained = torch._dynamo.explain(step)(pictures().requires_grad_())
    assert explained.graph_break_count == 1
    torch._dynamo.reset()
    compiled = torch.compile(step, backend="aot_eager")
    x = pictures().requires_grad_()
    (got,) = torch.autograd.grad(compiled(x), x)
    (expected,) = torch.autograd.grad(step(x), x)
    torch.testing.assert_close(got, expected)


def test_module_takes_a_qp_and_an_override() -> None:
    bpg = npp.BPG(40, effort=0, surrogate="identity")
    x = pictures()
    assert bpg(x).bitstreams == npp.compress(x, 40, effort=0).bitstreams
    assert bpg(x, [30, 31]).bitstreams == npp.compress(x, [30, 31], effort=0).bitstreams
    assert "qp=40" in repr(bpg)
    with pytest.raises(npp.EncodeError, match="qp"):
        npp.BPG(99)
    batch = torch.rand(2, 3, 16, 16)
    assert len(npp.BPG(torch.tensor([40]), effort=0)(batch).bitstreams) == 2  # type: ignore[arg-type]
    assert "threads=3, effort=0" in repr(npp.BPG(threads=3, effort=0))
    with pytest.raises(ValueError, match="threads must be at least 1, not 0"):
        npp.BPG(threads=0)
    with pytest.raises(npp.EncodeError, match=r"effort must be .*, not 10"):
        npp.BPG(effort=10)
    with pytest.raises(TypeError, match="efort"):
        npp.BPG(efort=3)  # type: ignore[call-arg]


def _ddp_worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    torch.manual_seed(0)
    net = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sigmoid()))
    out = npp.compress(net(pictures()[rank : rank + 1]), 35, effort=0, threads=1)
    (out.bpp.mean() + out.x_hat.square().mean()).backward()
    torch.save([p.grad for p in net.parameters()], f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()
    # Gloo's threads may drop tensors after the interpreter is gone, and abort (pytorch pull request 179291).
    os._exit(0)


def test_distributed_data_parallel(tmp_path: Any) -> None:
    torch.multiprocessing.spawn(_ddp_worker, args=(str(tmp_path),), nprocs=2)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sigmoid())
    out = npp.compress(net(pictures()), 35, effort=0)
    (out.bpp.mean() + out.x_hat.square().mean()).backward()
    for rank in range(2):
        for got, parameter in zip(torch.load(tmp_path / f"{rank}.pt"), net.parameters(), strict=True):
            torch.testing.assert_close(got, parameter.grad)


def test_decompress_needs_one_shape() -> None:
    files = [npp.compress(pictures(1, size), 40, effort=0).bitstreams[0] for size in (16, 24)]
    with pytest.raises(npp.DecodeError, match=r"bitstreams\[1\]"):
        npp.decompress(files)
    with pytest.raises(npp.DecodeError, match="empty"):
        npp.decompress([])


class _Says:
    """A surrogate that says what it is told to."""

    needs_real = False

    def __init__(self, bpp: Any, *, whole: bool = True) -> None:
        self.bpp, self.whole = bpp, whole

    def __call__(self, x: torch.Tensor, *_: Any) -> Any:
        if self.bpp is None:
            return None
        return Estimate(x if self.whole else x[..., 1:], self.bpp(x))


@pytest.mark.parametrize(
    ("surrogate", "kind", "text"),
    [
        (
            _Says(lambda x: x.mean((1, 2, 3))[:, None]),
            ValueError,
            r"bpp of shape \(2,\), not of shape \(2, 1\)",
        ),
        (_Says(lambda x: x.mean()), ValueError, r"bpp of shape \(2,\), not of shape \(\)"),
        (_Says(lambda x: 1.0), ValueError, r"bpp of shape \(2,\), not 1.0"),
        (
            _Says(lambda x: x.mean((1, 2, 3)), whole=False),
            ValueError,
            r"x_hat of shape \(2, 3, 16, 16\), not",
        ),
        (_Says(None), TypeError, r"the surrogate _Says must give an Estimate\(x_hat, bpp\), not None"),
    ],
)
def test_a_surrogate_of_ones_own_is_held_to_its_shapes(
    surrogate: _Says, kind: type[Exception], text: str
) -> None:
    """Bits of (N, 1) or one number for all would mix the gradients of pictures without a word."""
    with pytest.raises(kind, match=text):
        npp.compress(torch.rand(2, 3, 16, 16, requires_grad=True), 40, surrogate=surrogate, effort=0)


def test_a_result_is_told_by_shapes_and_sizes() -> None:
    out = npp.compress(torch.zeros(2, 3, 16, 24), [30, 40], effort=0)
    lengths = ", ".join(f"{len(file)} bytes" for file in out.bitstreams)
    bpp = [round(value, 4) for value in out.bpp.tolist()]
    assert repr(out) == f"Compressed(x_hat=(2, 3, 16, 24) float32, bpp={bpp}, bitstreams=[{lengths}])"
    many = npp.compress(torch.zeros(9, 3, 8, 8), 40, effort=0)
    assert "bpp=(9,) float32" in repr(many)
    assert repr(many).endswith(" bytes, ... 9 in all])")
