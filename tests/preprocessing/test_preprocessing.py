"""The preprocessor: its networks, their promises, files, ONNX models and costs."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.filters
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import npp
from npp import Preprocessor
from npp.hevc.dct import block_dct, forward_dct, inverse_dct
from npp.hevc.planes import Planes, add_to_planes, split_planes
from npp.preprocessing import weight_files
from npp.preprocessing.unet import LAMBDAS, lambda_of

SMALL: dict[str, dict[str, Any]] = {
    "gains": {"width": 8, "depth": 4},
    "unet": {"width": 2},
    "unet-adaptive": {"width": 2},
    "blur": {"sigmas": {20: 0.0, 40: 1.5}},
}
LEARNED = ["gains", "unet", "unet-adaptive"]


def make(network: str, strength: float = 0.3, **changes: Any) -> Preprocessor:
    """A small network away from its start, in evaluation mode."""
    preprocessor = Preprocessor(network, **{**SMALL[network], **changes}).eval()
    with torch.no_grad():
        for parameter in preprocessor.parameters():
            parameter += strength * torch.randn_like(parameter)
    return preprocessor


def pictures(count: int = 2, height: int = 40, width: int = 56) -> torch.Tensor:
    return 0.2 + 0.6 * torch.rand(count, 3, height, width)


# The promises of every network


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


def test_blur_is_differentiable() -> None:
    x = torch.rand(1, 3, 4, 5, dtype=torch.float64) * 0.8 + 0.1
    blur = make("blur")
    assert torch.autograd.gradcheck(lambda x: blur(x, 35), x.requires_grad_())


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
    x = torch.linspace(-1, 2, 3 * 64).view(1, 3, 8, 8)
    assert torch.equal(Preprocessor()(x, 30), x.clamp(0, 1))


# Gains


@pytest.mark.parametrize("shape", [(2, 3, 40, 56), (1, 3, 37, 51), (1, 3, 1, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("changes", [{}, {"luma_only": True, "floor": 0.3}, {"depth": 0}, {"table": False}])
def test_gains_start_as_the_identity(
    shape: tuple[int, ...], dtype: torch.dtype, changes: dict[str, Any]
) -> None:
    x = torch.rand(shape, dtype=dtype)
    preprocessor = Preprocessor("gains", **{**SMALL["gains"], **changes})
    assert torch.equal(preprocessor(x, 30), x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(preprocessor(x, 30), x)


@pytest.mark.parametrize("luma_only", [False, True])
def test_gains_keep_the_mean_of_every_block(luma_only: bool) -> None:
    network = make("gains", 1.0, luma_only=luma_only).filter
    x = torch.rand(2, 3, 40, 56)
    y = network(x, torch.tensor([22.0, 45.0]))
    assert (y - x).abs().max() > 0.1
    means = torch.nn.functional.avg_pool2d(y - x, 8)
    assert means.abs().max() < 1e-5


@pytest.mark.parametrize("floor", [0.0, 0.4])
@pytest.mark.parametrize("sign", [-1, 1])
def test_gains_are_bounded(floor: float, sign: int) -> None:
    preprocessor = Preprocessor("gains", depth=0, floor=floor)
    table = preprocessor.filter.table
    with torch.no_grad():
        table.by_coefficient[0, 0] = 100.0 * sign
    x = torch.rand(1, 1, 16, 24).expand(-1, 3, -1, -1)
    y = preprocessor.filter(x, torch.tensor([34.0]))
    mean = torch.nn.functional.interpolate(torch.nn.functional.avg_pool2d(x, 8), scale_factor=8.0)
    gain = floor if sign < 0 else 2 - floor
    torch.testing.assert_close(y, mean + gain * (x - mean))


def test_gains_can_start_as_a_blur(tmp_path: Path) -> None:
    sigmas = {25: 0.5, 45: 1.0}
    x = torch.rand(2, 3, 37, 51)
    gains = npp.Preprocessor("gains", sigmas=sigmas)
    assert torch.equal(gains(x, [30, 44]), npp.Preprocessor("blur", sigmas=sigmas)(x, [30, 44]))
    assert gains.macs_per_pixel() > npp.Preprocessor("gains").macs_per_pixel()
    gains.save(tmp_path / "gains.safetensors")
    loaded = npp.Preprocessor.load(tmp_path / "gains.safetensors")
    assert loaded.settings["sigmas"] == sigmas
    assert torch.equal(loaded(x, 33), gains(x, 33))


def test_gains_of_luma_only_leave_chroma() -> None:
    x, network = torch.rand(1, 3, 16, 24), make("gains", luma_only=True).filter
    before, after = split_planes(x), split_planes(network(x, torch.tensor([34.0])))
    assert (before.y - after.y).abs().max() > 0.01
    torch.testing.assert_close(before.cb, after.cb)
    torch.testing.assert_close(before.cr, after.cr)


def test_one_weight_of_the_table_blurs_and_saves_bits(photo: np.ndarray) -> None:
    x = torch.from_numpy(photo).permute(2, 0, 1)[None] / 255
    preprocessor = Preprocessor("gains", depth=0)
    with torch.no_grad():
        preprocessor.filter.table.by_profile[0, 0] = -0.5
        y = preprocessor(x, 34)
    before, after = (block_dct(split_planes(p).y[:, 0], 8).square().sum((0, 1, 3)) for p in (x, y))
    kept = after / before
    assert kept[0, 1] > 0.9
    assert kept[7, 7] < 0.01
    assert npp.compress(y, 34, effort=0).bpp < npp.compress(x, 34, effort=0).bpp


def test_table_knows_the_level() -> None:
    """A gain that falls with the level hits large coefficients and leaves small ones."""
    preprocessor = Preprocessor("gains", depth=0, luma_only=True)
    with torch.no_grad():
        preprocessor.filter.table.by_coefficient[1, 0] = -1.0
    ac = torch.zeros(1, 63, 1, 2)
    ac[0, 5, 0] = torch.tensor([0.0005, 1.0])
    x = (0.5 + inverse_dct(ac, 8)).expand(-1, 3, -1, -1)
    _, after = forward_dct(preprocessor.filter(x, torch.tensor([34.0]))[:, :1], 8)
    kept = after[0, 5, 0] / ac[0, 5, 0]
    assert kept[0] > 0.9
    assert kept[1] < 0.1


def test_dct_is_that_of_the_surrogates() -> None:
    plane = torch.rand(2, 1, 24, 16)
    dc, ac = forward_dct(plane, 8)
    expected = block_dct(plane[:, 0], 8).permute(0, 2, 4, 1, 3).flatten(1, 2)
    torch.testing.assert_close(torch.cat([dc, ac], dim=1), expected)
    mean = torch.nn.functional.interpolate(dc / 8, scale_factor=8.0)
    torch.testing.assert_close(inverse_dct(ac, 8) + mean, plane)


def test_planes_change_by_what_is_added() -> None:
    x = torch.rand(1, 3, 16, 24)
    change = Planes(torch.randn(1, 1, 16, 24), torch.randn(1, 1, 8, 12), torch.randn(1, 1, 8, 12))
    before, after = split_planes(x), split_planes(add_to_planes(x, change))
    for old, new, added in zip(before, after, change, strict=True):
        torch.testing.assert_close(new - old, added, atol=1e-5, rtol=0)


def test_default_gains_are_small() -> None:
    assert 50_000 <= Preprocessor().parameter_count() <= 300_000


# The published networks


def test_parameters_of_the_published_networks() -> None:
    """9.42 M, and about 39 k more for the adaptive one."""
    count = Preprocessor("unet").parameter_count()
    assert count == 9_420_518
    assert Preprocessor("unet-adaptive").parameter_count() - count == 38_722


def test_lambda_follows_the_methods_table() -> None:
    qps = torch.tensor([float(qp) for qp in LAMBDAS])
    torch.testing.assert_close(lambda_of(qps), torch.tensor(list(LAMBDAS.values())))
    between, below, above = lambda_of(torch.tensor([26.5, 22.0, 48.0])).tolist()
    assert between == pytest.approx(math.sqrt(16 * 8))
    assert below == pytest.approx(32)
    assert above == pytest.approx(0.25**2 / 0.65)


@pytest.mark.parametrize("network", ["unet", "unet-adaptive"])
def test_batch_norm_learns_in_training_only(network: str) -> None:
    preprocessor, x = make(network), pictures()
    before = {name: value.clone() for name, value in preprocessor.named_buffers()}
    preprocessor(x, 30)
    assert all(torch.equal(value, before[name]) for name, value in preprocessor.named_buffers())
    preprocessor.train()(x, 30)
    assert all(not torch.equal(value, before[name]) for name, value in preprocessor.named_buffers())


# Blur


@pytest.mark.parametrize("sigma", [0.3, 0.5, 1.5])
def test_blur_is_gaussian(sigma: float) -> None:
    x = torch.rand(1, 3, 21, 30, dtype=torch.float64)
    y = Preprocessor("blur", sigmas={34: sigma})(x, 34)
    expected = skimage.filters.gaussian(x[0].numpy(), sigma, mode="nearest", truncate=4.0, channel_axis=0)
    # The same taps where 4 sigma is a whole number; ours go a pixel farther otherwise.
    torch.testing.assert_close(y[0], torch.from_numpy(expected), atol=2e-4, rtol=0)


def test_blur_of_nothing_is_the_identity() -> None:
    x = torch.rand(2, 3, 21, 30)
    blur = Preprocessor("blur", sigmas={30: 0, 40: 2})
    assert torch.equal(blur(x, [20, 30]), x)


def test_blur_between_its_entries() -> None:
    x = torch.rand(1, 3, 21, 30)
    table = Preprocessor("blur", sigmas={40: 1.0, 30: 0.0, 44: 1.2})
    for qp, sigma in {35: 0.5, 42: 1.1, 51: 1.2}.items():
        expected = Preprocessor("blur", sigmas={0: sigma})(x, qp)
        torch.testing.assert_close(table(x, qp), expected, atol=1e-4, rtol=0)


# Arguments


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
        (torch.zeros(1, 3, 8, 8), 52, ValueError, "qp must be from 0 to 51, not 52"),
        (torch.zeros(1, 3, 8, 8), -0.1, ValueError, "qp must be from 0 to 51"),
        (torch.zeros(1, 3, 8, 8), math.nan, ValueError, "qp must be from 0 to 51, not nan"),
        (torch.zeros(1, 3, 8, 8), [52], ValueError, "qp must be from 0 to 51, not 52"),
        (torch.zeros(1, 3, 8, 8), torch.tensor(-1), ValueError, r"qp must be from 0 to 51, not tensor\(-1\)"),
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


# Files


@pytest.mark.parametrize("network", SMALL)
def test_saved_and_loaded_is_the_same(network: str, tmp_path: Path) -> None:
    preprocessor = make(network)
    preprocessor.train()(pictures(), 30)
    preprocessor.save(tmp_path / "a.safetensors")
    loaded = Preprocessor.load(tmp_path / "a.safetensors")
    assert (loaded.network, loaded.settings) == (network, preprocessor.settings)
    assert not loaded.training
    assert loaded.state_dict().keys() == preprocessor.state_dict().keys()
    x = pictures()
    with torch.no_grad():
        assert torch.equal(loaded(x, 35), preprocessor.eval()(x, 35))


def test_half_precision_weights_load(tmp_path: Path) -> None:
    preprocessor = make("gains").half()
    preprocessor.save(tmp_path / "a.safetensors")
    loaded = Preprocessor.load(tmp_path / "a.safetensors")
    for name, value in preprocessor.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value.float())


def test_shipped_weights_go_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_files, "_SHIPPED", tmp_path)
    assert Preprocessor.available() == []
    make("gains").save(tmp_path / "small.safetensors")
    make("blur").save(tmp_path / "blur.safetensors")
    assert Preprocessor.available() == ["blur", "small"]
    assert Preprocessor.load("small").network == "gains"
    with pytest.raises(FileNotFoundError, match=r"'smal'.*'blur', 'small'"):
        Preprocessor.load("smal")


def test_every_shipped_file_loads() -> None:
    for name in Preprocessor.available():
        Preprocessor.load(name)


def _metadata(change: Callable[[dict[str, Any]], object]) -> Callable[[Any, Any], None]:
    def tamper(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        description = json.loads(metadata["npp.preprocessor"])
        change(description)
        metadata["npp.preprocessor"] = json.dumps(description)

    return tamper


def _tensor(name: str, value: torch.Tensor) -> Callable[[Any, Any], None]:
    return lambda tensors, metadata: tensors.update({f"body.leave.{name}": value})


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (lambda tensors, metadata: metadata.clear(), "holds no npp preprocessor"),
        (lambda tensors, metadata: metadata.update({"npp.preprocessor": "{"}), "is damaged"),
        (lambda tensors, metadata: metadata.update({"npp.preprocessor": "[" * 100_000}), "is damaged"),
        (lambda tensors, metadata: metadata.update({"npp.preprocessor": "[1]"}), "is damaged"),
        (_metadata(lambda d: d.update(settings=[])), "is damaged"),
        (_metadata(lambda d: d.update(format=2)), "has format 2"),
        (_metadata(lambda d: d.update(network="other")), "network must be one of"),
        (_metadata(lambda d: d.pop("network")), "network must be one of"),
        (_metadata(lambda d: d["settings"].update(wings=2)), "unknown setting 'wings'"),
        (_metadata(lambda d: d["settings"].update(width=10**9)), "width must be"),
        (
            _metadata(lambda d: d["settings"].update(width=16)),
            r"'body.blocks.0.condition.bias' must be \(32,\), not \(16,\)",
        ),
        (_metadata(lambda d: d["settings"].update(depth=5)), "lacks tensor 'body.blocks.4"),
        (_metadata(lambda d: d["settings"].update(depth=3)), "has an unknown tensor 'body.blocks.3"),
        (_tensor("bias", torch.zeros(92)), r"'body.leave.bias' must be \(93,\), not \(92,\)"),
        (_tensor("bias", torch.zeros(93, dtype=torch.int32)), r"must be torch\.float32, not torch\.int32"),
        (_tensor("bias", torch.full((93,), math.nan)), "not finite"),
        (_tensor("extra", torch.zeros(1)), "unknown tensor 'body.leave.extra'"),
    ],
)
def test_files_that_do_not_fit_are_refused(
    tamper: Callable[[Any, Any], None], message: str, tmp_path: Path
) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    path = tmp_path / "a.safetensors"
    make("gains").save(path)
    tensors = safetensors.load_file(path)
    with weight_files._safetensors().safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tamper(tensors, metadata)
    safetensors.save_file(tensors, path, metadata=metadata)
    with pytest.raises(ValueError, match=message) as caught:
        Preprocessor.load(path)
    assert str(path) in str(caught.value)


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=64), st.floats(0, 0.999))
def test_damaged_files_are_refused(tmp_path_factory: pytest.TempPathFactory, junk: bytes, cut: float) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    make("gains", depth=1).save(path)
    whole = path.read_bytes()
    for data in (whole[: int(cut * len(whole))], junk, junk + whole):
        path.write_bytes(data)
        if data != whole:
            with pytest.raises(ValueError, match="not a safetensors file"):
                Preprocessor.load(path)


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    make("blur").save(path)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        make("gains").save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# Cost


def test_macs_of_gains_are_the_hand_count() -> None:
    width, depth = 8, 2
    body = 96 * width + depth * (9 * width + 2 * width * 2 * width) + width * 93
    transforms = 64 * 64 + 63 * 64 + 2 * (16 * 16 + 15 * 16)
    expected = (body + transforms) / 64
    assert Preprocessor("gains", width=width, depth=depth).macs_per_pixel() == pytest.approx(expected, 1e-3)


def test_macs_of_the_unet_are_the_hand_count() -> None:
    widths = [2, 4, 8, 16, 32]
    count = 3 * 2 + 2 * 3 + 2 * 3.0
    for level, width in enumerate(widths):
        entering = 3 if level == 0 else widths[level - 1]
        count += 9 * (entering * width + width * width) / 4**level
    for level, width in enumerate(widths[:-1]):
        down, up = 9 * width * width / 4, 9 * 2 * width * width / 4
        decoder = 9 * (2 * width * width + width * width)
        count += (down + up + decoder) / 4**level
    assert Preprocessor("unet", width=2).macs_per_pixel() == pytest.approx(count)


def test_macs_of_a_blur_are_its_taps() -> None:
    assert Preprocessor("blur", sigmas={30: 0.5}).macs_per_pixel() == 2 * 3 * 5


# ONNX


@pytest.mark.parametrize(
    "network",
    ["gains", "blur", *(pytest.param(name, marks=pytest.mark.slow) for name in ("unet", "unet-adaptive"))],
)
def test_onnx_gives_the_same(network: str, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    preprocessor = make(network, 0.1, **({"depth": 1} if network == "gains" else {}))
    path = tmp_path / "a.onnx"
    preprocessor.train().export_onnx(path)
    assert preprocessor.training
    preprocessor.eval()
    assert [file.name for file in tmp_path.iterdir()] == ["a.onnx"]
    session = runtime.InferenceSession(path)
    assert [value.name for value in session.get_inputs()] == ["x", "qp"]
    assert [value.name for value in session.get_outputs()] == ["x_pre"]
    for shape in ((3, 3, 37, 51), (1, 3, 16, 64), (1, 3, 1, 1)):
        x, qp = torch.rand(shape), torch.linspace(22, 44, shape[0])
        with torch.no_grad():
            expected = preprocessor(x, qp)
        (y,) = session.run(None, {"x": x.numpy(), "qp": qp.numpy()})
        torch.testing.assert_close(torch.from_numpy(y), expected, atol=2e-5, rtol=0)


def test_missing_onnx_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r"onnxscript.*npp\[onnx\]"):
        Preprocessor("blur").export_onnx(tmp_path / "a.onnx")
