"""The allocator: its promises, files, ONNX model and costs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import npp
from npp import Allocator
from npp.codec.qp_maps import map_size
from npp.hevc import picture_strips


def make(**changes: Any) -> Allocator:
    """A small allocator away from its start, in evaluation mode."""
    allocator = Allocator(**{"width": 8, "depth": 2, "heads": ["one", "two"], **changes}).eval()
    with torch.no_grad():
        for parameter in allocator.network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return allocator


def pictures(count: int = 2, height: int = 40, width: int = 56) -> torch.Tensor:
    return 0.2 + 0.6 * torch.rand(count, 3, height, width)


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.floats(0, 51), st.sampled_from([1, 3, 4]))
def test_any_size_qp_and_number_of_channels(height: int, width: int, qp: float, channels: int) -> None:
    x = torch.rand(2, channels, height, width)
    with torch.no_grad():
        offsets = make()(x, qp)
    assert offsets.shape == (2, *map_size(height, width))
    assert bool(torch.isfinite(offsets).all())
    assert offsets.mean((1, 2)).abs().max() < 1e-4


def test_it_starts_without_preferences() -> None:
    assert not Allocator()(pictures(), 30).any()


def test_neighbours_in_the_batch_do_not_matter() -> None:
    allocator, x = make(), pictures(3)
    together = allocator(x, [22, 30, 40])
    alone = torch.cat([allocator(x[k : k + 1], qp) for k, qp in enumerate((22, 30, 40))])
    assert torch.allclose(together, alone, atol=1e-4)
    assert (allocator(x, 22) - allocator(x, 46)).abs().max() > 1e-3


def test_a_list_of_sizes() -> None:
    allocator = make()
    images = [pictures(1)[0], pictures(1, 33, 90)[0]]
    found = allocator(images, [30, 40])
    assert [tuple(one.shape) for one in found] == [(3, 4), (3, 6)]
    assert torch.allclose(found[1], allocator(images[1][None], 40)[0], atol=1e-5)


def test_outside_of_a_picture_its_border_goes_on() -> None:
    """A block that the border cuts is judged by the pixels it has."""
    allocator, x = make(), pictures(1, 40, 56)
    padded = torch.nn.functional.pad(x, (0, 8, 0, 8), mode="replicate")
    assert torch.allclose(allocator(x, 30), allocator(padded, 30), atol=1e-5)


@pytest.mark.parametrize("height", [32, 1032])
def test_vmap_goes_through(height: int) -> None:
    allocator, x = make().eval(), torch.rand(2, 3, height, 1032)
    with torch.no_grad():
        mapped = torch.func.vmap(lambda one: allocator(one[None], 35)[0])(x)
        torch.testing.assert_close(mapped, allocator(x, 35), rtol=1e-4, atol=1e-4)


def test_dtypes_and_strides() -> None:
    allocator, x = make(), pictures()
    wide = allocator(x, 35)
    assert allocator(x.half(), 35).dtype == torch.float32
    assert torch.allclose(allocator(x.to(memory_format=torch.channels_last), 35), wide, atol=1e-5)
    double = allocator.double()(x.double(), 35)
    assert double.dtype == torch.float64 and torch.allclose(double.float(), wide, atol=1e-3)


def test_gradients_reach_the_picture_and_every_weight_of_the_map() -> None:
    allocator, x = make(), pictures().requires_grad_()
    (allocator(x, 34).square().sum() + allocator.sensitivity(x, 34).sum()).backward()
    assert x.grad is not None and bool(x.grad.any(1).any(1).any(1).all())
    without = [name for name, p in allocator.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_importance_strength_and_limit_go_together() -> None:
    allocator, x = make(limit=51.0), pictures()
    by_hand = npp.qp_map(allocator.importance(x, 34), limit=51, sigma=0, rounded=False)
    assert torch.allclose(allocator(x, 34), by_hand, atol=1e-4)
    assert torch.allclose(allocator.with_strength(1.0)(x, 34), 2 * by_hand, atol=1e-4)
    assert allocator.with_strength(4.0, limit=1.0)(x, 34).abs().max() <= 2


def test_heads_can_be_mixed() -> None:
    allocator, x = make(limit=51.0), pictures()
    one, two = (allocator.with_mix({name: 1})(x, 34) for name in ("one", "two"))
    assert not torch.allclose(one, two, atol=1e-2)
    assert torch.allclose(allocator(x, 34), (one + two) / 2, atol=1e-4)
    assert torch.allclose(allocator.with_mix({"one": 3, "two": 1})(x, 34), (3 * one + two) / 4, atol=1e-4)
    level = allocator.with_mix({"two": 1}).sensitivity(x, 34)
    assert level.shape == (2,) and not torch.allclose(level, allocator.sensitivity(x, 34))


@pytest.mark.parametrize("width", [16, 44])
@pytest.mark.parametrize("count", [1, 3])
def test_parts_give_what_the_whole_gives(count: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    allocator, x = make(), pictures(count, 500, width)
    with torch.no_grad():
        whole, level = allocator(x, 34), allocator.sensitivity(x, 34)
        for rows in (16, 352, 511, 512 * 2):
            monkeypatch.setattr(picture_strips, "STRIP_PIXELS", rows * math.ceil(width / 16) * 16)
            torch.testing.assert_close(allocator(x, 34), whole, atol=1e-4, rtol=0)
            torch.testing.assert_close(allocator.sensitivity(x, 34), level, atol=1e-4, rtol=0)


def test_a_large_picture_is_shown_to_the_trunk_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    allocator, shown = make(), []
    allocator.network.trunk.register_forward_pre_hook(lambda _, given: shown.append(given[0].shape[-2]))
    monkeypatch.setattr(picture_strips, "STRIP_PIXELS", 64 * 32)
    with torch.no_grad():
        allocator(pictures(1, 2048, 32), 34)
    reach = allocator.network.trunk.reach
    assert len(shown) == 3 and max(shown) == 14 * reach
    shown.clear()
    allocator(pictures(1, 2048, 32), 34)
    assert shown == [2048]  # with gradients every feature is kept anyway


def test_what_reaches_a_block_is_what_the_trunk_says() -> None:
    trunk = make().double().network.trunk
    with torch.no_grad():
        for parameter in trunk.parameters():
            # Means of what is seen: nothing is cancelled, and nothing cut off at 6.
            parameter.fill_(1 / parameter[0].numel() if parameter.ndim > 1 else 0)
        x = 0.5 + 0.01 * torch.rand(1, 3, 512, 16, dtype=torch.float64)
        before = trunk(x)
        x[..., 256:, :] += 0.01
        changed = (trunk(x) != before).flatten(0, 1).any(-1).any(0)
    assert 256 - 16 * int(changed.nonzero()[0]) in (trunk.reach - 16, trunk.reach)


WRONG_SETTINGS: list[dict[str, Any]] = [
    {"width": 2},
    {"heads": []},
    {"heads": ["a", "a"]},
    {"heads": [["a"]]},
    {"heads": [str(k) for k in range(257)]},
    {"strength": 10**400},
    {"strength": -1},
    {"mix": {"three": 1}},
    {"mix": {"one": 0}},
    {"limit": math.nan},
]


@pytest.mark.parametrize("wrong", WRONG_SETTINGS)
def test_wrong_settings_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        make(**wrong)


def test_wrong_input_is_named() -> None:
    allocator = make()
    with pytest.raises(TypeError, match="unknown setting 'size'"):
        Allocator(size=3)
    with pytest.raises(TypeError, match="floating"):
        allocator(torch.zeros(1, 3, 16, 16, dtype=torch.uint8), 30)
    with pytest.raises(ValueError, match=r"\(2, 2, 16, 16\)"):
        allocator(torch.zeros(2, 2, 16, 16), 30)
    with pytest.raises(ValueError, match="list of"):
        allocator([torch.zeros(1, 3, 16, 16)], 30)
    with pytest.raises(ValueError, match="qp must be a number from 0 to 51"):
        allocator(pictures(), 52)


# Files


def test_it_comes_back_from_a_file(tmp_path: Path) -> None:
    allocator = make(mix={"one": 2.0, "two": 1.0}, strength=0.7, limit=5.0)
    allocator.save(tmp_path / "a.safetensors")
    loaded = Allocator.load(tmp_path / "a.safetensors")
    assert loaded.settings == allocator.settings and not loaded.training
    x = pictures()
    with torch.no_grad():
        assert torch.equal(loaded(x, 35), allocator(x, 35))


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    npp.Preprocessor("gains", width=8, depth=1).save(path)
    with pytest.raises(ValueError, match="holds no npp allocator"):
        Allocator.load(path)
    make().save(path)
    with pytest.raises(ValueError, match="holds no npp preprocessor"):
        npp.Preprocessor.load(path)
    with pytest.raises(FileNotFoundError, match="names are"):
        Allocator.load(tmp_path / "none")


def test_damaged_settings_are_refused(tmp_path: Path) -> None:
    import safetensors.torch

    path = tmp_path / "a.safetensors"
    make().save(path)
    tensors = safetensors.torch.load_file(path)
    description = {"format": 1, "network": "trunk-and-body", "settings": {"width": 8, "depth": 99}}
    safetensors.torch.save_file(tensors, path, metadata={"npp.allocator": json.dumps(description)})
    with pytest.raises(ValueError, match="depth must be"):
        Allocator.load(path)


def test_its_cost() -> None:
    allocator = Allocator()
    assert allocator.parameter_count() <= 500_000
    assert 3000 < allocator.macs_per_pixel() < 4000


@pytest.mark.parametrize("name", ["general", "general-1"])
def test_shipped_weights_work(name: str, photo: Any) -> None:
    assert name in Allocator.available()
    allocator = Allocator.load(name)
    assert allocator.parameter_count() <= 500_000
    x = torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        offsets = allocator(x, 36)
    assert offsets.shape == (1, 5, 7) and offsets.std() > 0.3 and offsets.abs().max() <= 12


def test_onnx_gives_the_same_map(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    allocator = make(mix={"one": 1.0, "two": 3.0})
    path = tmp_path / "a.onnx"
    allocator.export_onnx(path)
    session = runtime.InferenceSession(path)
    for height, width, count in ((40, 56, 2), (17, 90, 1), (64, 64, 3)):
        x, qp = pictures(count, height, width), torch.linspace(20, 45, count)
        (found,) = session.run(None, {"x": x.numpy(), "qp": qp.numpy()})
        with torch.no_grad():
            assert torch.allclose(torch.from_numpy(found), allocator(x, qp), atol=1e-3)


@pytest.mark.parametrize("mix", [None, {"nanodet-plus": 1.0}], ids=str)
def test_under_autocast_logarithms_are_whole(mix: dict[str, float] | None) -> None:
    """The trunk may be coarse; what is made of its features is not, and stays float32."""
    allocator = Allocator.load("general").with_mix(mix)
    x = pictures(2, 64, 96)
    with torch.no_grad():
        wanted = allocator(x, 32), allocator.importance(x, 32), allocator.sensitivity(x, 32)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = allocator(x, 32), allocator.importance(x, 32), allocator.sensitivity(x, 32)
    assert [one.dtype for one in found] == [torch.float32] * 3
    assert found[0].mean((1, 2)).abs().max() < 1e-5
    assert (found[0] - wanted[0]).abs().max() < 0.25
    assert not any(torch.equal(one, one.bfloat16().float()) for one in found)
