"""The surrogates' parts: transforms, steps, the rate model, and every surrogate's own gradient."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from npp.codec.options import resolve_options
from npp.codec.round_trip import start_round_trip
from npp.gradient.surrogates import (
    NAMES,
    Gated,
    Identity,
    Masked,
    Real,
    Scaled,
    SoftDCT,
    Surrogate,
    resolve_surrogate,
)
from npp.gradient.surrogates.coefficientwise import TransformSurrogate
from npp.gradient.surrogates.hyperprior import Hyperprior, HyperpriorConfig, load_hyperprior, nats
from npp.gradient.surrogates.learned import _SHIPPED, LearnedCodec
from npp.gradient.surrogates.rate_model import picture_bpp
from npp.hevc.chroma_filters import double, halve
from npp.hevc.dct import block_dct, block_idct
from npp.hevc.planes import PictureLayout
from npp.hevc.quantiser import chroma_qp, slice_qp, step_size
from npp.photos.loading import open_photo, to_tensor

TRANSFORM_NAMES = [name for name in NAMES if name != "hyperprior"]
DEFAULTS = resolve_options({})


def smooth_pictures(count: int, size: int, channels: int = 3, seed: int = 0) -> torch.Tensor:
    """Low-frequency noise in [0, 1] with some texture: compresses like a photo."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, size // 8, size // 8, generator=generator)
    fine = torch.rand(count, channels, size, size, generator=generator)
    big = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)
    return (0.9 * big + 0.1 * fine).clamp(0, 1)


def surrogate_inputs(
    size: int = 24, dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, torch.Tensor, Real]:
    x = 0.1 + 0.8 * smooth_pictures(2, size)
    x_hat, bpp, _ = start_round_trip(x, [20, 37], {"effort": 0}).result()
    return x.to(dtype), torch.tensor([20.0, 37.0], dtype=dtype), Real(x_hat.to(dtype), bpp.to(dtype))


@pytest.mark.parametrize(("height", "width"), [(16, 24), (13, 9), (8, 8), (1, 1)])
@pytest.mark.parametrize("size", [8, 16])
def test_block_dct_inverts_and_keeps_energy(height: int, width: int, size: int) -> None:
    plane = torch.randn(2, height, width, dtype=torch.float64)
    coefficients = block_dct(plane, size)
    torch.testing.assert_close(block_idct(coefficients, height, width), plane)
    if height % size == 0 and width % size == 0:
        torch.testing.assert_close(coefficients.square().sum(), plane.square().sum())


def test_block_dct_of_a_flat_block_is_its_dc() -> None:
    coefficients = block_dct(torch.full((1, 8, 8), 3.0), 8)
    assert coefficients[0, 0, 0, 0, 0] == pytest.approx(24)
    assert coefficients.abs().sum() == pytest.approx(24, abs=1e-4)


@pytest.mark.parametrize("mpeg2", [False, True])
@pytest.mark.parametrize("dim", [-1, -2])
@pytest.mark.parametrize("size", [1, 2, 3, 8, 13])
def test_chroma_filters_are_convolutions(size: int, dim: int, mpeg2: bool) -> None:
    """By conv1d with the taps of the BPG specification."""
    if mpeg2:
        down, before = [-1, 0, 4, 0, -11, 0, 40, 64, 40, 0, -11, 0, 4, 0, -1], 7
        up = [[0, 0, 0, 64, 0, 0, 0, 0], [-1, 4, -11, 40, 40, -11, 4, -1]]
    else:
        down, before = [2, -4, -8, 17, 57, 57, 17, -8, -4, 2], 4
        up = [[2, -6, 18, 57, -10, 4, -1, 0], [-1, 4, -10, 57, 18, -6, 2, 0]]
    lines = torch.randn(3, 2, 4, size, dtype=torch.float64)
    count = (size + 1) // 2

    def filtered(x: torch.Tensor, taps: list[int], left: int, stride: int, outputs: int) -> torch.Tensor:
        padded = torch.nn.functional.pad(x.reshape(-1, 1, x.shape[-1]), (left, 16), mode="replicate")
        kernel = torch.tensor(taps, dtype=x.dtype)[None, None]
        out = torch.nn.functional.conv1d(padded, kernel, stride=stride)
        return out[..., :outputs].reshape(*x.shape[:-1], outputs)

    half = filtered(lines, down, before, 2, count) / 128
    pairs = [filtered(half, taps, 3, 1, count) / 64 for taps in up]
    whole = torch.stack(pairs, -1).flatten(-2)[..., :size]
    turned = lines if dim == -1 else lines.mT
    got_half = halve(turned, dim, mpeg2)
    got_whole = double(got_half, dim, size, mpeg2)
    torch.testing.assert_close(got_half if dim == -1 else got_half.mT, half)
    torch.testing.assert_close(got_whole if dim == -1 else got_whole.mT, whole)


@pytest.mark.parametrize("mpeg2", [False, True])
@pytest.mark.parametrize(("dim", "size"), [(-1, 6), (-1, 7), (-2, 5), (-2, 1)])
def test_gradcheck_of_the_chroma_filters(dim: int, size: int, mpeg2: bool) -> None:
    shape = (2, 3, size) if dim == -1 else (2, size, 3)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)

    def there_and_back(x: torch.Tensor) -> torch.Tensor:
        return double(halve(x, dim, mpeg2), dim, size, mpeg2)

    assert torch.autograd.gradcheck(there_and_back, x)
    assert torch.autograd.gradgradcheck(there_and_back, x)


def test_slice_qp_matches_bpgenc() -> None:
    assert slice_qp(torch.tensor([0.0, 2, 29, 34, 51])).tolist() == [0, 0, 26, 31, 48]


def test_chroma_qp_is_the_standards_table() -> None:
    given = torch.tensor([0.0, 29, 30, 34, 35, 42, 43, 44, 51])
    assert chroma_qp(given).tolist() == [0, 29, 29, 33, 33, 37, 37, 38, 45]


def test_chroma_qp_with_an_offset() -> None:
    """Up to 57 before the table; without one, up to 51."""
    given = torch.tensor([0.0, 2, 30, 44, 51])
    assert chroma_qp(given, -3).tolist() == [0, 0, 27, 36, 42]
    assert chroma_qp(given, 12).tolist() == [12, 14, 37, 50, 51]
    assert chroma_qp(given, 12, halved=False).tolist() == [12, 14, 42, 51, 51]


@pytest.mark.parametrize(
    ("options", "offset"),
    [
        ({"effort": 5}, 0),
        ({"effort": 0}, 0),
        ({"effort": 5, "tune": "machine"}, -3),
        ({"effort": 0, "tune": "machine"}, -3),
        ({"effort": 5, "chroma_qp_offset": 6}, 6),
        ({"effort": 0, "tune": "machine", "chroma_qp_offset": -9}, -9),
    ],
    ids=str,
)
def test_chroma_steps_are_those_of_the_codec(options: dict, offset: int) -> None:
    """Against no offset, noise in all coefficients loses as much more as the steps are larger.

    At full resolution: halving and doubling the colour planes of noise would lose more than quantising.
    """
    torch.manual_seed(0)
    x, qp = torch.rand(1, 3, 128, 128) * 0.6 + 0.2, 30

    def chroma_of(options: dict) -> tuple[float, float]:
        """The step, and the error that the codec makes."""
        layout = PictureLayout(resolve_options(options), x.shape, torch.full((1,), float(qp)))
        real, _, _ = start_round_trip(x, qp, options).result()
        ours, theirs = layout.split(x)[1], layout.split(real)[1]
        return float(ours.step[0]), float((ours.samples - theirs.samples).square().mean().sqrt())

    options = {**options, "chroma": "444"}
    assert resolve_options(options).used_chroma_qp_offset == offset
    step, error = chroma_of(options)
    plain_step, plain_error = chroma_of({**options, "chroma_qp_offset": 0})
    assert error / plain_error == pytest.approx(step / plain_step, rel=0.12)


def test_step_doubles_every_six() -> None:
    torch.testing.assert_close(step_size(torch.tensor([4.0, 10, 34])), torch.tensor([1.0, 2, 32]))


@pytest.mark.parametrize("chroma", ["444", "422", "420", "422_mpeg2", "420_mpeg2"])
@pytest.mark.parametrize("color_space", ["ycbcr", "rgb", "ycgco", "ycbcr_bt709", "ycbcr_bt2020"])
@pytest.mark.parametrize("limited", [False, True])
def test_planes_join_to_what_the_codec_gives_at_its_best(
    chroma: str, color_space: str, limited: bool
) -> None:
    if color_space == "rgb" and chroma != "444":
        pytest.skip("RGB planes are not subsampled")
    options = {"chroma": chroma, "color_space": color_space, "limited_range": limited, "effort": 0}
    x = smooth_pictures(1, 40)[..., :37, :39]
    layout = PictureLayout(resolve_options(options), x.shape, torch.zeros(1))
    ours = layout.join([plane.samples for plane in layout.split(x)]).clamp(0, 1)
    real, _, _ = start_round_trip(x, 0, options).result()
    assert (ours - real).abs().mean() < 1.0 / 255


@pytest.mark.parametrize("channels", [1, 4])
def test_planes_of_gray_and_alpha(channels: int) -> None:
    x = smooth_pictures(2, 24, channels)
    layout = PictureLayout(resolve_options({"chroma": "444"}), x.shape, torch.full((2,), 30.0))
    planes = layout.split(x)
    assert len(planes) == channels
    torch.testing.assert_close(layout.join([plane.samples for plane in planes]), x)


def test_premultiplied_alpha_is_undone() -> None:
    x = smooth_pictures(1, 16, 4).clamp(0.1, 1)
    layout = PictureLayout(
        resolve_options({"chroma": "444", "premultiplied": True}), x.shape, torch.full((1,), 30.0)
    )
    torch.testing.assert_close(layout.join([plane.samples for plane in layout.split(x)]), x)


def test_rate_follows_the_real_bits() -> None:
    x = torch.cat([smooth_pictures(4, 96, seed=seed) * (0.2 + 0.2 * seed) for seed in range(4)])
    for qp in (28, 40):
        layout = PictureLayout(DEFAULTS, x.shape, torch.full((len(x),), float(qp)))
        modelled = picture_bpp(layout.split(x), 96 * 96)
        _, real, _ = start_round_trip(x, qp, {"effort": 0}).result()
        assert torch.corrcoef(torch.stack([modelled.log(), real.log()]))[0, 1] > 0.9


@pytest.mark.parametrize("qp", [28, 34, 40, 46])
def test_rate_follows_the_real_bits_of_photos(shared: Path, qp: int) -> None:
    paths = sorted((shared / "data" / "imagenet-sample").glob("*.webp"))[::60]
    x = torch.stack([to_tensor(open_photo(path))[:, 16:240, 16:240] for path in paths])
    layout = PictureLayout(DEFAULTS, x.shape, torch.full((len(x),), float(qp)))
    modelled = picture_bpp(layout.split(x), 224 * 224)
    _, real, _ = start_round_trip(x, qp, {"effort": 0}).result()
    assert torch.corrcoef(torch.stack([modelled.log(), real.log()]))[0, 1] > 0.985


def test_rate_gradient_saves_real_bits() -> None:
    x = smooth_pictures(2, 96).requires_grad_()
    layout = PictureLayout(DEFAULTS, x.shape, torch.full((2,), 34.0))
    (gradient,) = torch.autograd.grad(picture_bpp(layout.split(x), 96 * 96).sum(), x)
    step = gradient / gradient.square().mean((1, 2, 3), keepdim=True).sqrt() / 255
    _, before, _ = start_round_trip(x, 34, {"effort": 0}).result()
    _, after, _ = start_round_trip((x - step).clamp(0, 1), 34, {"effort": 0}).result()
    assert (after < before).all()


def test_rate_of_a_flat_picture_has_a_finite_gradient() -> None:
    x = torch.zeros(1, 3, 16, 16, requires_grad=True)
    layout = PictureLayout(DEFAULTS, x.shape, torch.full((1,), 34.0))
    (gradient,) = torch.autograd.grad(picture_bpp(layout.split(x), 256).sum(), x)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", TRANSFORM_NAMES)
def test_gradcheck_of_the_bits(name: str) -> None:
    x, qp, real = surrogate_inputs(8)
    surrogate = resolve_surrogate(name)
    given = real if surrogate.needs_real else None
    assert torch.autograd.gradcheck(lambda x: surrogate(x, qp, given, DEFAULTS).bpp, x.requires_grad_())


@pytest.mark.parametrize(
    "surrogate", [Identity(), SoftDCT(sharpness=1.0), Masked()], ids=["identity", "dct", "masked"]
)
def test_gradcheck_of_the_picture(surrogate: Surrogate) -> None:
    """Of those whose gates, if any, do not depend on x; the others hold theirs fixed on purpose."""
    x, qp, real = surrogate_inputs(8)
    given = real if surrogate.needs_real else None
    assert torch.autograd.gradcheck(lambda x: surrogate(x, qp, given, DEFAULTS).x_hat, x.requires_grad_())


@pytest.mark.parametrize("name", ["gated", "scaled"])
def test_gradcheck_of_the_picture_with_its_gates_fixed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient is that of the map whose gains are those found at x."""
    x, qp, real = surrogate_inputs(8)
    x.requires_grad_()
    surrogate = resolve_surrogate(name)
    assert isinstance(surrogate, TransformSurrogate)
    given = real if surrogate.needs_real else None
    weights = torch.randn_like(x)
    gains: list[torch.Tensor] = []
    original = surrogate.map_coefficients

    def recording(coefficients: torch.Tensor, *more: Any) -> torch.Tensor:
        mapped = original(coefficients, *more)
        gains.append((mapped / coefficients).detach())
        return mapped

    def gradient() -> torch.Tensor:
        return torch.autograd.grad((surrogate(x, qp, given, DEFAULTS).x_hat * weights).sum(), x)[0]

    monkeypatch.setattr(surrogate, "map_coefficients", recording)
    got = gradient()
    found = cycle(gains)
    monkeypatch.setattr(surrogate, "map_coefficients", lambda coefficients, *_: coefficients * next(found))
    torch.testing.assert_close(got, gradient())
    assert torch.autograd.gradcheck(lambda x: surrogate(x, qp, given, DEFAULTS).x_hat, x)


def test_gradcheck_of_the_learned_proxy_without_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("npp.gradient.surrogates.hyperprior.quantise", lambda latent, noisy: latent)
    model = Hyperprior(HyperpriorConfig(4, 6, 1, conditioned=True)).double().eval().requires_grad_(False)
    surrogate = LearnedCodec(model, model.multiple)
    x, qp, _ = surrogate_inputs(8)

    def both(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return tuple(surrogate(x, qp, None, DEFAULTS))  # type: ignore[return-value]

    assert torch.autograd.gradcheck(both, x[:, :, :8, :8].requires_grad_(), fast_mode=True)


@pytest.mark.parametrize("name", ["gated", "scaled"])
def test_fixed_gates_make_a_symmetric_map(name: str) -> None:
    """With gates held fixed, a gray picture's map is a gain per coefficient: symmetric, gains as stated."""
    x, qp, real = surrogate_inputs(16)
    x = x[:, :1].clone().requires_grad_()
    surrogate = resolve_surrogate(name)
    estimate = surrogate(x, qp, Real(real.x_hat[:, :1], real.bpp) if surrogate.needs_real else None, DEFAULTS)
    first, second = torch.randn_like(x), torch.randn_like(x)
    (map_first,) = torch.autograd.grad((estimate.x_hat * first).sum(), x, retain_graph=True)
    (map_second,) = torch.autograd.grad((estimate.x_hat * second).sum(), x)
    torch.testing.assert_close((map_first * second).sum(), (map_second * first).sum())
    torch.testing.assert_close(map_first.square().sum() <= 1.7 * first.square().sum(), torch.tensor(True))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 1, 17, 23), (2, 3, 16, 16), (1, 4, 9, 33), (1, 3, 1, 1)])
def test_every_surrogate_takes_every_shape(name: str, shape: tuple[int, ...]) -> None:
    surrogate = resolve_surrogate(name)
    x = torch.rand(shape, requires_grad=True)
    real = Real(x.detach().clone(), torch.ones(shape[0])) if surrogate.needs_real else None
    estimate = surrogate(x, torch.full((shape[0],), 33.0), real, DEFAULTS)
    assert estimate.x_hat.shape == x.shape
    assert estimate.bpp.shape == (shape[0],)
    (gradient,) = torch.autograd.grad(estimate.x_hat.sum() + estimate.bpp.sum(), x)
    assert torch.isfinite(gradient).all()


def test_gated_gradient_is_small_where_the_codec_drops_everything() -> None:
    x = (0.5 + 0.002 * torch.randn(1, 3, 32, 32)).requires_grad_()
    weights = torch.randn(1, 3, 32, 32)
    through: dict[str, float] = {}
    for name in ("identity", "gated"):
        estimate = resolve_surrogate(name)(x, torch.full((1,), 45.0), None, DEFAULTS)
        (gradient,) = torch.autograd.grad((estimate.x_hat * weights).sum(), x)
        through[name] = float(gradient.square().mean())
    assert through["gated"] < 0.1 * through["identity"]


@pytest.mark.parametrize("name", ["masked", "scaled"])
def test_no_gradient_passes_where_the_codec_kept_nothing(name: str) -> None:
    """The first picture's detail was dropped, all of it; the second came back as it was."""
    x = (0.5 + 0.2 * torch.rand(2, 1, 16, 16, dtype=torch.float64)).requires_grad_()
    kept = torch.stack([torch.zeros(1, 16, 16, dtype=torch.float64), x.detach()[1]])
    estimate = resolve_surrogate(name)(x, torch.full((2,), 20.0), Real(kept, torch.ones(2)), DEFAULTS)
    weights = torch.rand(2, 1, 16, 16, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((estimate.x_hat * weights).sum(), x)
    assert not gradient[0].any()
    assert gradient[1].square().sum() > 0.5 * weights[1].square().sum()


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"'identity'.*not 'nonsense'"):
        resolve_surrogate("nonsense")
    with pytest.raises(TypeError, match="needs_real"):
        resolve_surrogate(3)  # type: ignore[arg-type]
    with pytest.raises(
        TypeError, match=r"surrogate must be an object such as Gated\(\), not the class itself"
    ):
        resolve_surrogate(Gated)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: SoftDCT(sharpness="a"), "sharpness must be a number from 0.0001 to 10000, not 'a'"),
        (lambda: SoftDCT(sharpness=math.inf), "sharpness must be a number from 0.0001 to 10000, not inf"),
        (lambda: Gated(width="a"), "width must be a number from 0.0001 to 10000, not 'a'"),
        (lambda: Gated(threshold="a"), "threshold must be a finite number, not 'a'"),
        (lambda: Gated(floor=True), "floor must be a number from 0 to 1, not True"),
        (lambda: SoftDCT(sharpness=1e40), "sharpness must be a number from 0.0001 to 10000, not 1e\\+40"),
        (lambda: Gated(width=1e-50), "width must be a number from 0.0001 to 10000, not 1e-50"),
        (lambda: Scaled(softness=1e-30), "softness must be a number from 0.0001 to 10000, not 1e-30"),
        (lambda: Scaled(softness=0), "softness must be a number from 0.0001 to 10000, not 0"),
        (
            lambda: LearnedCodec(torch.nn.Identity(), multiple=1.5),
            "multiple must be an integer from 1 to",
        ),
    ],
)
def test_settings_of_a_surrogate_are_numbers(made: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        made()


class _TinyCodec(torch.nn.Module):
    """A CompressAI-style model: x_hat and likelihoods."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, x: torch.Tensor) -> dict[str, object]:
        assert x.shape[-1] % 64 == 0 and x.shape[-2] % 64 == 0
        return {
            "x_hat": x * self.gain,
            "likelihoods": {"y": torch.sigmoid(x[:, :1]), "z": torch.full((2, 4), 0.5)},
        }


def test_adapter_for_compressai_models() -> None:
    x = torch.rand(2, 3, 40, 70)
    estimate = LearnedCodec(_TinyCodec())(x, torch.full((2,), 30.0), None, DEFAULTS)
    torch.testing.assert_close(estimate.x_hat, x * 0.5)
    padded = torch.nn.functional.pad(x, (0, 58, 0, 24), mode="replicate")
    bits = -torch.sigmoid(padded[:, :1]).log2().sum((1, 2, 3)) + 4
    torch.testing.assert_close(estimate.bpp, bits / (40 * 70))


@pytest.mark.parametrize(
    ("surrogate", "coefficients", "decoded", "wanted"),
    [
        # sigmoid((|c| / step - 1) / 0.25): a half at a step, sigmoid(1) a quarter of a step above it
        (Gated(), [2.0, -2.5, 0.0], None, [1.0, -2.5 * 0.7310586, 0.0]),
        # The same between 0.4 and 1
        (Gated(floor=0.4), [2.0, -2.5], None, [2 * 0.7, -2.5 * (0.4 + 0.6 * 0.7310586)]),
        # Half a step and tanh(3 d) / (2 tanh(1.5)) of a step, d from the middle between two multiples
        (
            SoftDCT(),
            [2.0, 2.5, 3.0, -0.5],
            None,
            [2.0, 3 - 0.6351490 / 0.9051483, 3.0, -1 + 0.6351490 / 0.9051483],
        ),
        # Above a quarter of a step, whatever the sign
        (Masked(), [5.0, 6.0, 7.0], [0.52, -0.52, 0.48], [5.0, 6.0, 0.0]),
        # c times its part that is decoded: c d / (c^2 + (0.3 step)^2)
        (Scaled(), [2.0, -4.0], [1.0, -4.0], [2 * 2 / 4.36, -4 * 16 / 16.36]),
    ],
)
def test_surrogates_are_by_default_as_documented(
    surrogate: TransformSurrogate, coefficients: list[float], decoded: list[float] | None, wanted: list[float]
) -> None:
    """By hand, of a step of 2."""
    real = None if decoded is None else torch.tensor(decoded)
    found = surrogate.map_coefficients(
        torch.tensor(coefficients), torch.tensor(2.0), real, torch.tensor(33.0)
    )
    assert found.tolist() == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("name", ["identity", "dct", "scaled", "gated", "masked"])
def test_a_map_of_zeros_leaves_the_pictures_own_gradient_as_it_is(name: str) -> None:
    x, weights = smooth_pictures(2, 32), smooth_pictures(2, 32, seed=1)
    real = Real((x * 16).round() / 16, torch.ones(2))
    surrogate: Any = resolve_surrogate(name)

    def gradient(**maps: torch.Tensor) -> torch.Tensor:
        leaf = x.clone().requires_grad_()
        estimate = surrogate(leaf, torch.full((2,), 33.0), real, DEFAULTS, **maps)
        return torch.autograd.grad((weights * estimate.x_hat).sum() + estimate.bpp.sum(), leaf)[0]

    zeros = torch.zeros(2, 2, 2, requires_grad=True)
    torch.testing.assert_close(gradient(qp_map=zeros), gradient())


def test_the_rate_is_the_formula() -> None:
    """0.25 log2(1 + (2 c / step)^4), of a DC what the mean of those above and to the left leaves."""
    x = smooth_pictures(1, 32, channels=1).double()
    planes = PictureLayout(DEFAULTS, x.shape, torch.tensor([33.0], dtype=torch.float64)).split(x)
    (plane,) = planes
    bits = 0.0
    for size in (8, 16):
        coefficients = block_dct(plane.samples, size)
        rows, columns = coefficients.shape[1], coefficients.shape[3]
        step = float(plane.steps_of(size).flatten()[0])
        for row, column in itertools.product(range(rows), range(columns)):
            block = coefficients[0, row, :, column].clone()
            around = [coefficients[0, row - 1, 0, column, 0]] if row else []
            around += [coefficients[0, row, 0, column - 1, 0]] if column else []
            block[0, 0] -= sum(around) / max(1, len(around))
            bits += float((1 + (2 * block / step) ** 4).log2().sum()) / 4
    assert float(picture_bpp(planes, 32 * 32)) == pytest.approx(bits / (2 * 32 * 32) + 0.01, rel=1e-9)


class _Tinted(nn.Module):
    """Gives .3 of red, .2 of green and .1 of blue, in its own precision."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.tensor([0.3, 0.2, 0.1], dtype=dtype))

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        assert x.dtype == self.factors.dtype
        likelihoods = torch.full((len(x), 1, 2, 2), 0.25, dtype=x.dtype)
        return {"x_hat": x * self.factors[:, None, None], "likelihoods": {"y": likelihoods}}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_learned_codec_sees_gray_as_colour_and_never_alpha(dtype: torch.dtype) -> None:
    surrogate, qp = LearnedCodec(_Tinted(dtype), multiple=16), torch.tensor([33.0])
    for channels, factors in ((1, [0.2]), (3, [0.3, 0.2, 0.1]), (4, [0.3, 0.2, 0.1, 1.0])):
        x = smooth_pictures(1, 16, channels).requires_grad_()
        found = surrogate(x, qp, None, DEFAULTS)
        assert found.x_hat.dtype == found.bpp.dtype == torch.float32
        torch.testing.assert_close(found.x_hat, x * torch.tensor(factors)[:, None, None])
        assert found.bpp.tolist() == [pytest.approx(4 * 2 / 16**2)]
        (slope,) = torch.autograd.grad(found.x_hat.sum(), x)
        torch.testing.assert_close(slope.mean((0, 2, 3)), torch.tensor(factors))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_learned_codec_in_half_precision_counts_bits_as_in_single(dtype: torch.dtype) -> None:
    model = load_hyperprior(_SHIPPED)
    x, qp = smooth_pictures(2, 192).requires_grad_(), torch.tensor([10.0, 40.0])
    single = LearnedCodec(model, model.multiple)(x, qp, None, DEFAULTS).bpp.detach()
    half = LearnedCodec(model.to(dtype), model.multiple)(x, qp, None, DEFAULTS)
    torch.testing.assert_close(half.bpp, single, rtol=0.05, atol=0)
    (slope,) = torch.autograd.grad(half.bpp.sum(), x)
    assert slope.isfinite().all() and slope.abs().sum() > 0


def test_likelihoods_that_half_precision_rounds_to_nothing_have_finite_bits() -> None:
    likelihoods = torch.tensor([[0.0, 0.5, 0.25]], dtype=torch.float16, requires_grad=True)
    found = nats({"y": likelihoods.repeat(1, 8000)})
    expected = 8000 * (-math.log(1e-9) + math.log(2) + math.log(4))
    assert found.dtype == torch.float32 and found.tolist() == [pytest.approx(expected, rel=1e-5)]
    assert torch.autograd.grad(found.sum(), likelihoods)[0].isfinite().all()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda x: x, "a mapping with x_hat and likelihoods, not Tensor"),
        (lambda x: {"x_hat": x}, "a mapping with x_hat and likelihoods, not dict of x_hat"),
        (
            lambda x: {"x_hat": x[..., :1], "likelihoods": {}},
            r"x_hat of shape \(2, 3, 16, 16\), not Tensor \(2, 3, 16, 1\)",
        ),
        (lambda x: {"x_hat": x, "likelihoods": {}}, "likelihoods as a mapping to tensors"),
        (lambda x: {"x_hat": x, "likelihoods": x}, "likelihoods as a mapping to tensors .*, not Tensor"),
        (lambda x: {"x_hat": x, "likelihoods": {"y": x[:1]}}, "likelihoods as a mapping to tensors"),
    ],
)
def test_a_model_of_another_form_is_named(model: Any, words: str) -> None:
    with pytest.raises(TypeError, match=f"^the surrogate's model must give .*{words}"):
        LearnedCodec(model, 16)(torch.rand(2, 3, 16, 16), torch.tensor([33.0, 40.0]), None, DEFAULTS)


@pytest.mark.parametrize("setting", [1e-4, 1e4])
@pytest.mark.parametrize("make", [SoftDCT, lambda width: Gated(width=width), Scaled])
@pytest.mark.parametrize("qp", [0.0, 51.0])
def test_the_least_and_the_greatest_settings_give_numbers(
    make: Callable[[float], TransformSurrogate], setting: float, qp: float
) -> None:
    x, _, real = surrogate_inputs(dtype=torch.float32)
    x.requires_grad_()
    estimate = make(setting)(x, torch.full((2,), qp), real, DEFAULTS)
    (slope,) = torch.autograd.grad(estimate.x_hat.sum(), x)
    assert estimate.x_hat.isfinite().all() and slope.isfinite().all()
