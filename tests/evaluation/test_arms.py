"""Arms of every part: what they write, what they are known by, and what is wrong with them."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_evaluation import QPS, RED, allocator, detector, red_photos, tiny_network, values
from torch import Tensor, nn

import npp
from npp.allocation import FeatureAllocator, LayerFeatures, box_importance, importance, qp_map
from npp.config.yaml_files import ConfigError
from npp.evaluation.arms import Arm, build_parts
from npp.evaluation.block_maps import FeatureMapConfig, Scene
from npp.evaluation.choosing import resolve_arms
from npp.evaluation.coding import ArmFiles, Batch, code_batch
from npp.evaluation.evaluate_config import EvaluateConfig, parse_config
from npp.evaluation.judges import Judge, build_judge
from npp.evaluation.prefilters import RefineSettings
from npp.photos.photo_set import PhotoSet
from npp.recipes import ScaleRule
from npp.recipes.scale import enlarge, shrink
from npp.recipes.size_extension import with_size
from npp.tasks import build_task

CPU = torch.device("cpu")
PLAIN = {"name": "bpg", "effort": 0}


def _config(photos: Path, *arms: dict[str, Any]) -> EvaluateConfig:
    own = [{"effort": 0, "name": f"arm{i}", **arm} for i, arm in enumerate(arms)]
    for arm in own:
        if "codec_of" in arm:
            del arm["effort"]
    given = values(photos)
    return parse_config(
        {**given, "arms": [PLAIN, *own], "seen": [*given["seen"], {**detector(), "metrics": False}]}
    )


def _judges(config: EvaluateConfig) -> list[Judge]:
    return [build_judge(spec, CPU, seen=spec in config.seen) for spec in config.networks]


def _arms(photos: Path, *arms: dict[str, Any]) -> tuple[list[Arm], list[Judge]]:
    config = _config(photos, *arms)
    judges = _judges(config)
    by_label = {one.label: one for one in judges}
    parts = {arm.name: build_parts(arm, QPS, by_label, CPU, 1) for arm in config.arms}
    return resolve_arms(config, parts, None)[1:], judges


def _batch(photos: Path) -> Batch:
    found = PhotoSet(str(photos / "test"), mode="full", part="all")
    return Batch(found, sorted((photos / "test").glob("*.png"))[:2], CPU)


def _coded(photos: Path, arm: dict[str, Any], qp: int = 34) -> tuple[ArmFiles, Tensor]:
    (made,), judges = _arms(photos, arm)
    batch = _batch(photos)
    return code_batch(batch, made, qp, judges, 1), batch.images


def _sizes(x: Tensor, offsets: Tensor | None = None, qp: int = 34, before: int | None = None) -> list[int]:
    """Bytes of files, which say how long the pictures' sides were before they were coded smaller."""
    said = None if before is None else with_size(None, before, before)
    maps = None if offsets is None else list(offsets)
    return [len(file) for file in npp.encode(list(x), qp, qp_map=maps, metadata=said, effort=0)]


# Each part by itself


def test_a_scaled_arm_codes_small_pictures_and_shows_large_ones(photos: Path) -> None:
    found, x = _coded(photos, {"scale": 0.5})
    small = shrink(x, (24, 24))
    assert found.sizes.tolist() == _sizes(small, before=48) and found.x_hat.shape == x.shape
    assert torch.equal(found.x_hat, enlarge(npp.compress(small, 34, effort=0).x_hat, (48, 48)))
    table = {"scale": {34: 0.5}}
    assert _coded(photos, table)[0].sizes.tolist() == found.sizes.tolist()
    assert _coded(photos, table, 31)[0].sizes.tolist() == _sizes(x, qp=31)


def test_a_map_of_gradients_is_that_of_importance(photos: Path) -> None:
    found, x = _coded(photos, {"map": {"gradients": "tiny", "strength": 0.8, "draws": 3}})
    task = build_task("classification", model=tiny_network())
    generator = torch.Generator().manual_seed(0)
    w = importance(x, task, 34, draws=3, generator=generator, effort=1, threads=1)
    expected = qp_map(w, 0.8)
    assert found.offsets is not None and torch.equal(found.offsets.qp_map, expected)
    assert found.sizes.tolist() == _sizes(x, expected) != _sizes(x)
    assert found.offsets.sensitivity is not None
    assert torch.allclose(found.offsets.sensitivity, torch.log2(w.sum((1, 2))) / 2)


def test_an_allocator_s_map(photos: Path, tmp_path: Path) -> None:
    path = tmp_path / "allocator.safetensors"
    made = allocator(path)
    found, x = _coded(photos, {"map": {"allocator": str(path), "strength": 0.7, "limit": 3}})
    offsets = made.with_strength(0.7, 3)(x, 34).detach()
    assert found.offsets is not None and torch.allclose(found.offsets.qp_map, offsets)
    assert found.sizes.tolist() == _sizes(x, offsets) != _sizes(x)
    assert found.offsets.sensitivity is not None
    assert torch.allclose(found.offsets.sensitivity, 0.4 * made.sensitivity(x, 34).detach())
    plain, _ = _coded(photos, {"map": {"allocator": str(path)}})
    assert plain.offsets is not None and torch.allclose(plain.offsets.qp_map, made(x, 34).detach())


def test_a_map_of_features(photos: Path, tmp_path: Path) -> None:
    features = LayerFeatures("python:small_evaluation:tiny_network", ["0"])
    x = _batch(photos).images
    weights = torch.linspace(1, 5, 9).reshape(1, 3, 3).expand(2, 3, 3)
    made = FeatureAllocator.fit(features, [(x, weights)], ridge=0.1)
    made.save(tmp_path / "head.safetensors")
    named = {"features": str(tmp_path / "head.safetensors"), "strength": 1}
    with pytest.raises(ConfigError, match="a function, which no file may run"):
        _coded(photos, {"map": named})
    arm = {"map": {**named, "model": "python:small_evaluation:tiny_network"}}
    found, _ = _coded(photos, arm)
    made.strength = 1.0
    assert found.offsets is not None and torch.allclose(found.offsets.qp_map, made(x), atol=1e-5)
    assert made(x).abs().max() > 1 and found.sizes.tolist() == _sizes(x, made(x))
    assert found.offsets.sensitivity is not None
    assert torch.allclose(found.offsets.sensitivity, 0.4 * made.sensitivity(x), atol=1e-5)


def test_a_map_of_features_is_known_by_the_file_of_its_network(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a function does to the same weights stands in its file alone."""
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "net_of_features.py"
    module.write_text("from small_evaluation import tiny_network as net\n")
    features = LayerFeatures("python:net_of_features:net", ["0"])
    FeatureAllocator.fit(features, [(_batch(photos).images, torch.ones(2, 3, 3))]).save(tmp_path / "head")
    config = FeatureMapConfig(features=str(tmp_path / "head"), model="python:net_of_features:net")
    same, before = (config.build({}, CPU).identity() for _ in range(2))
    module.write_text("from small_evaluation import tiny_network as net  # with another body\n")
    with pytest.raises(ConfigError, match="module net_of_features has changed since it was imported"):
        config.build({}, CPU)
    importlib.reload(sys.modules["net_of_features"])
    assert same == before != config.build({}, CPU).identity()


def test_a_map_of_regions_follows_the_boxes_and_the_size(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    red_photos(photos / "test")
    arm = {"map": {"regions": "finder", "weight": 64}, "scale": 0.5}
    found, _ = _coded(photos, arm)
    assert found.offsets is not None
    expected = [
        qp_map(box_importance((48, 48), [[x1 / 2, y1 / 2, x2 / 2, y2 / 2]], 64)) for x1, y1, x2, y2 in RED[:2]
    ]
    assert torch.equal(found.offsets.qp_map, torch.stack(expected))
    assert found.offsets.qp_map.min() < -3


def test_boxes_and_their_margin_follow_each_side(photos: Path) -> None:
    """Full width and half of the height, which is three quarters of a margin on the mean."""
    (arm,), _ = _arms(
        photos,
        {"map": {"regions": "finder", "weight": 9, "margin": 8, "strength": 4, "limit": 51, "sigma": 0}},
    )
    targets = [{"boxes": torch.tensor([[8.0, 24.0, 40.0, 64.0]])}]
    scene = Scene(torch.rand(1, 3, 64, 96), 34, {}, (128, 96), lambda _: targets, 1)
    assert arm.qp_map is not None
    expected, other = (
        qp_map(box_importance((64, 96), [[8, 12, 40, 32]], 9, margin=margin), 4, 51, sigma=0)
        for margin in (6, 8)
    )
    assert torch.equal(arm.qp_map(scene).qp_map, expected[None]) and not torch.equal(expected, other)


# Together


def test_a_recipe_is_the_sum_of_its_parts(photos: Path, tmp_path: Path) -> None:
    made = allocator(tmp_path / "allocator.safetensors")
    blur = npp.Preprocessor("blur", sigmas={0: 0.7})
    blur.save(tmp_path / "blur.safetensors")
    recipe = npp.Recipe(
        "own",
        scale=npp.recipes.ScaleRule({30: 0.7}),
        preprocessor=blur,
        allocator=made,
        options={"effort": 0},
    )
    recipe.save(tmp_path / "recipe.safetensors")
    whole, x = _coded(photos, {"recipe": str(tmp_path / "recipe.safetensors")})
    parts = {
        "scale": {30: 0.7},
        "prefilter": {"preprocessor": str(tmp_path / "blur.safetensors")},
        "map": {"allocator": str(tmp_path / "allocator.safetensors")},
    }
    found, _ = _coded(photos, parts)
    expected = recipe.eval().compress(x, 34)
    written = recipe.encode(x, 34)
    assert whole.sizes.tolist() == found.sizes.tolist() == [len(file) for file in written]
    assert torch.equal(whole.x_hat, found.x_hat) and torch.allclose(whole.x_hat, expected.x_hat)
    for part in parts:
        less, _ = _coded(photos, {key: value for key, value in parts.items() if key != part})
        assert less.sizes.tolist() != found.sizes.tolist()


def test_a_recipe_brings_its_options_and_the_arm_s_come_first(photos: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "recipe.safetensors")
    npp.Recipe("own", options={"effort": 1, "tune": "machine"}).save(path)
    arms, _ = _arms(photos, {"recipe": path}, {"recipe": path, "codec_of": "bpg"})
    assert arms[0].options == {"effort": 0, "tune": "machine"}
    assert arms[1].options == {"effort": 0}


def test_what_refine_looks_at_is_the_enlarged_picture(photos: Path) -> None:
    arm = {"scale": 0.5, "prefilter": {"refine": {"steps": 1}}}
    found, x = _coded(photos, arm)
    assert found.x_hat.shape == x.shape and bool(torch.isfinite(found.x_hat).all())


def test_refine_may_change_the_map_and_begins_with_the_arm_s(photos: Path, tmp_path: Path) -> None:
    allocator(tmp_path / "a.safetensors")
    start = {"map": {"allocator": str(tmp_path / "a.safetensors")}}
    plain, x = _coded(photos, start)
    weights = dict.fromkeys(QPS, 0.5)

    def refined(**settings: Any) -> ArmFiles:
        return _coded(photos, {**start, "prefilter": {"refine": {"weight": weights, **settings}}})[0]

    assert plain.offsets is not None
    unmoved = refined(over="map", steps=0)
    assert unmoved.offsets is not None and torch.equal(unmoved.offsets.qp_map, plain.offsets.qp_map)
    assert unmoved.sizes.tolist() == plain.sizes.tolist()
    searched = refined(over="map", steps=3)
    assert searched.offsets is not None and not torch.equal(searched.offsets.qp_map, unmoved.offsets.qp_map)
    assert torch.equal(searched.filtered, x)
    assert not torch.equal(refined(over="both", steps=3).filtered, x)
    only_pixels = refined(steps=3)
    assert only_pixels.offsets is not None
    assert torch.equal(only_pixels.offsets.qp_map, plain.offsets.qp_map)
    assert not torch.equal(only_pixels.filtered, x)


def test_pictures_are_refined_for_seen_networks_alone(photos: Path) -> None:
    (arm,), judges = _arms(photos, {"prefilter": {"refine": {"steps": 2}}})
    assert [one.seen for one in judges] == [True, True, False]

    def filtered(networks: list[Judge]) -> Tensor:
        return code_batch(_batch(photos), arm, 34, networks, 1).filtered

    found = filtered(judges)
    assert torch.equal(found, filtered(judges[:2]))
    assert not torch.equal(found, filtered([*judges[:2], replace(judges[2], seen=True)]))


def test_a_weight_by_qp_is_that_of_the_qp(photos: Path) -> None:
    """Bits that are worth nothing leave a picture that is coded no smaller; loss that is, one that is."""
    first, second = QPS[:2]
    weights = {**dict.fromkeys(QPS, 1e6), second: 0.0}
    arm = {"prefilter": {"refine": {"weight": weights, "over": "map", "steps": 2}}}
    plain = [_coded(photos, {}, qp)[0].sizes.sum() for qp in (first, second)]
    found = [_coded(photos, arm, qp)[0].sizes.sum() for qp in (first, second)]
    assert found[0] >= plain[0] and found[1] < plain[1]


def test_weights_between_those_of_two_qps_lie_between_them() -> None:
    settings = RefineSettings(weight={30: 4.0, 34: 2.0}, steps=3)
    found = [settings.at(qp)["weight"] for qp in (28, 30, 33, 34, 40)]
    assert found == [4, 4, 2.5, 2, 2] and settings.at(31)["steps"] == 3


# What stored parts are known by


def test_stored_parts_change_with_all_that_changes_results(photos: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
    made = allocator(one)
    with torch.no_grad():
        next(made.network.parameters()).add_(0.01)
    made.save(other)
    arms = [
        {},
        {"scale": 0.5},
        {"scale": 0.6},
        {"map": {"gradients": "tiny"}},
        {"map": {"gradients": "finder"}},
        {"map": {"gradients": ["tiny", "finder"]}},
        {"map": {"gradients": "tiny", "draws": 2}},
        {"map": {"gradients": "tiny", "strength": 0.6}},
        {"map": {"gradients": "tiny", "limit": 5}},
        {"map": {"gradients": "tiny", "sigma": 0.5}},
        {"map": {"regions": "finder"}},
        {"map": {"regions": "finder", "weight": 8}},
        {"map": {"regions": "finder", "margin": 8}},
        {"map": {"allocator": str(one)}},
        {"map": {"allocator": str(other)}},
        {"map": {"allocator": str(one), "strength": 0.6}},
        {"map": {"allocator": str(one), "limit": 5}},
        {"map": {"allocator": str(one)}, "scale": 0.5},
    ]
    made_arms, _ = _arms(photos, *arms)
    keys = [str(arm.key(34)) for arm in made_arms]
    assert len(set(keys)) == len(arms)
    again, _ = _arms(photos, *arms)
    assert [str(arm.key(34)) for arm in again] == keys
    tables, _ = _arms(photos, {"scale": {34: 0.5}}, {"scale": {34: 0.5, 42: 0.4}}, {"scale": {31: 0.5}})
    assert len({str(arm.key(34)) for arm in tables}) == 1
    assert len({str(arm.key(31)) for arm in tables}) == 2
    rules = [ScaleRule({34: 0.5}), ScaleRule({34: 0.5}, least=0.6), ScaleRule({34: 0.5}, input_size=40)]
    assert len({str(replace(made_arms[0], scale=rule).key(34)) for rule in rules}) == 3


# What is wrong


@pytest.mark.parametrize(
    ("arm", "words"),
    [
        ({"scale": 0.05}, r"arms\[1\]\.scale must be a number from 0\.1 to 1, not 0\.05"),
        ({"scale": {30: 2}}, r"arms\[1\]\.scale\[30\.0\] must be a number from 0\.1 to 1"),
        ({"map": {"gradients": "gone"}}, r"arms\[1\]\.map names the network 'gone'; seen has tiny, finder"),
        ({"map": {"gradients": "bright"}}, r"arms\[1\]\.map names the network 'bright'; seen has"),
        ({"map": {"gradients": "tiny", "draws": 0}}, r"arms\[1\]\.map\.draws must be"),
        ({"map": {"allocator": "general", "strength": -1}}, r"arms\[1\]\.map\.strength must be"),
        ({"map": {"prior": 1}}, r"arms\[1\]\.map must be .*one of"),
        ({"map": {"regions": "finder"}, "lossless": True}, r"lossless goes without map"),
        ({"recipe": "r", "scale": 0.5}, r"scale and recipe exclude each other"),
        ({"share": "luck"}, r"arms\[1\]\.share must be rates or sensitivity or measured"),
    ],
)
def test_errors_name_the_key(photos: Path, arm: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        _config(photos, arm)


def test_what_cannot_be_loaded_names_the_arm(photos: Path) -> None:
    for arm in (
        {"map": {"allocator": "gone.safetensors"}},
        {"map": {"features": "gone.safetensors"}},
        {"recipe": "gone.safetensors"},
    ):
        with pytest.raises(ConfigError, match=r"^arm arm0: .*gone\.safetensors"):
            _arms(photos, arm)
    with pytest.raises(ConfigError, match=r"^arm arm0: map\.regions must name a judge of the task detection"):
        _arms(photos, {"map": {"regions": "tiny"}})


def test_a_restorer_stands_behind_recipes_and_plain_files(photos: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    restorer = npp.Restorer(width=8, depth=1, edge_width=4).eval()
    with torch.no_grad():
        for parameter in restorer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    path = str(tmp_path / "recipe.safetensors")
    npp.Recipe("restored", restorer=restorer, options={"effort": 0}).save(path)
    of_recipe, x = _coded(photos, {"recipe": path})
    left_out, _ = _coded(photos, {"recipe": path, "restorer": False})
    behind_plain, _ = _coded(photos, {"restorer": path})
    plain = npp.compress(x, 34, effort=0)
    with torch.no_grad():
        wanted = restorer(plain.x_hat)
    assert torch.equal(of_recipe.x_hat, wanted)
    assert torch.equal(behind_plain.x_hat, wanted)
    assert torch.equal(left_out.x_hat, plain.x_hat)
    arms, _ = _arms(photos, {"recipe": path}, {"recipe": path, "restorer": False}, {"restorer": path})
    assert len({str(arm.key(34)) for arm in arms[:2]}) == 2, "results of one must not pass for the other's"
    with pytest.raises(ConfigError, match="restorer must be a recipe with a restorer; detection has none"):
        _arms(photos, {"restorer": "detection"})
    for wrong in (True, False):
        with pytest.raises(ConfigError, match="restorer must be a recipe's name or path"):
            _config(photos, {"restorer": wrong})


class _Softer(nn.Module):
    """A filter of one's own; batch norm shows whether it is used in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, images: Tensor, qp: int) -> Tensor:
        """Towards the mean, the more the coarser the file."""
        return self.norm(images.mul_(1 - qp / 100)) / (1 + self.norm.eps) ** -0.5


def softer() -> _Softer:
    return _Softer()


def rounding() -> Any:
    return lambda images, qp: (images * 8).round() / 8


def wrong_shape() -> Any:
    return lambda images, qp: images[..., :-1]


def not_finite() -> Any:
    return lambda images, qp: images / 0


def nothing() -> None:
    """No filter at all."""


def _own(name: str) -> dict[str, Any]:
    return {"prefilter": {"python": f"{__name__}:{name}"}}


def test_a_filter_of_one_s_own_is_an_arm_s_prefilter(photos: Path) -> None:
    images = _batch(photos).images
    before = images.clone()
    for name, filtered in (("softer", images * (1 - 34 / 100)), ("rounding", (images * 8).round() / 8)):
        coded, x = _coded(photos, _own(name))
        assert torch.equal(x, before) and coded.sizes.tolist() == _sizes(filtered) != _sizes(x)
    arms, _ = _arms(photos, _own("softer"), _own("rounding"))
    keys = [arm.key(34) for arm in (*arms, *_arms(photos, _own("softer"))[0])]
    assert keys[0] == keys[2] != keys[1]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("wrong_shape", r"wrong_shape must give pictures of shape \(.*\), not \(.*\)"),
        ("not_finite", r"not_finite must give floats in \[0, 1\], not NaN or infinite samples"),
    ],
)
def test_what_a_filter_of_one_s_own_gives_is_checked(name: str, told: str, photos: Path) -> None:
    with pytest.raises(ValueError, match=told):
        _coded(photos, _own(name))


@pytest.mark.parametrize(
    ("name", "told"),
    [("nothing", "must give what filters pictures, not None"), ("absent", "has no 'absent'")],
)
def test_a_filter_of_one_s_own_that_is_not_there_is_told_with_the_arm(
    name: str, told: str, photos: Path
) -> None:
    with pytest.raises(ConfigError, match=rf"^arm arm0: .*{told}"):
        _arms(photos, _own(name))
