"""The configuration of an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_evaluation import values

from npp.config.yaml_files import ConfigError, read_config
from npp.evaluation.block_maps import AllocatorMapConfig
from npp.evaluation.evaluate_config import DEFAULT_QPS, EvaluateConfig, load_evaluation, parse_config
from npp.evaluation.labelled_photos import LabelledPhotos
from npp.evaluation.prefilters import BlurConfig, RefineConfig
from npp.recipes import Recipe

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def test_defaults_are_the_method_s() -> None:
    config = parse_config({"data": {"folder": "x"}, "seen": [{"name": "classification", "model": "m"}]})
    assert config.qps == DEFAULT_QPS and [arm.name for arm in config.arms] == ["bpg", "machine", "blur"]
    assert config.anchor == "bpg" and config.selection is not None and config.selection.part == "val"
    assert config.data.part == "test" and config.strip.arm == "blur"


def _first_arm(**changes: Any) -> dict[str, Any]:
    return {"arms": [{"name": "a", **changes}, {"name": "b"}]}


def _unseen(**changes: Any) -> dict[str, Any]:
    """The same, with no network that took part in anything."""
    return {**_first_arm(**changes), "seen": [], "unseen": [{"name": "classification", "model": "m"}]}


def _network(label: str) -> dict[str, Any]:
    return {"name": "classification", "model": "m", "label": label}


SHIPPED = sorted(CONFIGS.glob("evaluate-*.yaml"))
MAPS = [path for path in SHIPPED if "maps" in path.stem]
RECIPES = [path for path in SHIPPED if "recipes" in path.stem]
REFINED = [path for path in SHIPPED if "refine" in path.stem]
ALLOCATORS = [path for path in SHIPPED if "allocators" in path.stem]
FILTERS = [path for path in SHIPPED if path not in (*MAPS, *RECIPES, *REFINED, *ALLOCATORS)]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_configurations_of_recipes_are_sound(path: Path) -> None:
    config = parse_config(read_config(path), name=path.stem)
    # There is no second reader of plates and no second segmenter that could be an unseen judge.
    alone = path.stem.endswith(("-reading", "-segmentation"))
    assert config.anchor == "bpg" and (config.unseen or alone)
    assert any(arm.recipe is not None for arm in config.arms)


@pytest.mark.parametrize("path", MAPS, ids=lambda path: path.stem)
def test_shipped_configurations_of_maps_are_sound(path: Path) -> None:
    config = parse_config(read_config(path), name=path.stem)
    codec = next(arm for arm in config.arms if arm.name == "codec")
    assert config.anchor == "codec" or "codec" in config.analysis.against
    mapped = [arm for arm in config.arms if arm.map is not None]
    assert {"GradientMapConfig", "AllocatorMapConfig"} <= {type(arm.map).__name__ for arm in mapped}
    # They differ from the codec by the map alone, and among each other by where it comes from.
    assert all((arm.codec_of, arm.scale) == ("codec", codec.scale) for arm in mapped)
    assert len({arm.map.strength for arm in mapped if arm.map is not None}) == 1
    labels = {one.label for one in config.seen}
    assert all(set(arm.map.labels) <= labels for arm in mapped if arm.map is not None)
    assert config.unseen


@pytest.mark.parametrize("path", ALLOCATORS, ids=lambda path: path.stem)
def test_shipped_configurations_of_allocators_differ_by_their_weights_alone(path: Path) -> None:
    config = parse_config(read_config(path), name=path.stem)
    codec = next(arm for arm in config.arms if arm.name == "codec")
    mapped = [arm for arm in config.arms if arm.map is not None]
    assert (config.anchor == "codec" or "codec" in config.analysis.against) and config.unseen
    assert dict(config.analysis.groups) == {"seeds": ("seed0", "seed1", "seed2")}
    maps = [arm.map for arm in mapped]
    weights = [one.allocator for one in maps if isinstance(one, AllocatorMapConfig)]
    assert len(set(weights)) == len(weights) == len(mapped) == 5
    assert all((arm.codec_of, arm.scale) == ("codec", codec.scale) for arm in mapped)
    assert len({(str(one.mix), one.strength) for one in maps if isinstance(one, AllocatorMapConfig)}) == 1


@pytest.mark.parametrize("path", REFINED, ids=lambda path: path.stem)
def test_shipped_configurations_of_refine_are_sound(path: Path) -> None:
    """The search begins with the size, map and options of the recipe; its weight falls with the qp."""
    config = parse_config(read_config(path), name=path.stem)
    (named,) = (arm.recipe for arm in config.arms if arm.recipe is not None)
    recipe = Recipe.load(named)
    assert config.seen and config.unseen and recipe.allocator is not None
    refined = [arm for arm in config.arms if arm.prefilter_kind == "refine"]
    assert len(refined) >= 2
    for arm in refined:
        assert isinstance(arm.prefilter, RefineConfig) and isinstance(arm.map, AllocatorMapConfig)
        weight = arm.prefilter.refine.weight
        assert isinstance(weight, dict) and list(weight) == list(config.qps)
        assert list(weight.values()) == sorted(weight.values(), reverse=True)
        assert arm.options == recipe.options and arm.map.mix == recipe.allocator.settings.mix
        assert arm.map.strength == recipe.allocator.settings.strength
        assert arm.scale == (None if recipe.scale is None else recipe.scale.factors[25])


@pytest.mark.parametrize("path", FILTERS, ids=lambda path: path.stem)
def test_shipped_configurations_are_sound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPP_DATA", "/photos")
    config = parse_config(read_config(path), name=path.stem)
    training = path.with_name(path.name.replace("evaluate", "preprocessor"))
    if training.exists():
        assert list(config.data.fractions) == read_config(training)["data"]["fractions"]
    assert config.data.part == "test" and config.data.fractions == (0.42, 0.08, 0.5)
    chooses = any(arm.name == "blur" for arm in config.arms)
    assert chooses == (config.selection is not None and config.selection.part == "val")
    asks_strangers = chooses or path.stem == "evaluate-published-network"
    assert config.seen and bool(config.unseen) == asks_strangers


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"qps": [30, 31, 32, 33]}, r"^qps .*at least 5"),
        ({"qps": [30, 31, 32, 33, 60]}, r"^qps .*60"),
        (
            {"data": {"folder": "x", "mode": "zoom"}},
            r"^data\.mode must be crop or resize or full, not \'zoom\'",
        ),
        ({"data": {"size": 64}}, r"^data\.folder is missing"),
        ({"data": {"folder": "x", "crops": 3}}, r"^data\.crops is not known"),
        ({"seen": [], "unseen": []}, r"^seen and unseen must have at least one network together"),
        (_unseen(codec_of="best"), r"^arms\[0\] \(a\) needs .* seen ones: 'best' is chosen by it"),
        (_unseen(scale="best"), r"^arms\[0\] \(a\) needs .*'best'"),
        (_unseen(prefilter={"refine": {"steps": 1}}), r"^arms\[0\] \(a\) needs .*refined for it"),
        (_unseen(share=["measured"]), r"^arms\[0\] \(a\) needs .*what it measures"),
        ({"seen": [{"model": "m"}]}, r"^seen\[0\]\.name is missing"),
        ({"seen": [_network("m"), _network("m")]}, r"^networks: the label 'm' is used twice; give label: to"),
        (
            {"seen": [_network("picture")]},
            r"^networks: the label 'picture' is that of PSNR; give label: to it",
        ),
        (
            {
                "data": {"folder": "x", "mode": "full", "regions": "x.csv"},
                "seen": [{**_network("m"), "name": "recognition"}],
                **_first_arm(map={"gradients": "m"}),
            },
            r"^arms\[0\]\.map takes the gradients of whole photos, and m reads regions",
        ),
        ({"arms": [{"name": "a"}]}, r"^arms must be at least two"),
        (_first_arm(name="b"), r"^arms\[1\]\.name .*used twice"),
        (_first_arm(name="b/c"), r"^arms\[0\]\.name must be of letters"),
        (_first_arm(tun="ssim"), r"^arms\[0\]\.tun is not known; allowed are .*codec_of.*tune"),
        (_first_arm(effort=11), r"^arms\[0\].*effort.*0 to 9.*11"),
        (_first_arm(prefilter={"sharpen": 1}), r"^arms\[0\]\.prefilter must be none or one of"),
        (_first_arm(prefilter={"blur": {28: 1}}), r"^arms\[0\]\.prefilter\.blur\.31 is missing"),
        (_first_arm(prefilter={"refine": {"step": 1}}), r"prefilter\.refine\.step is not known"),
        (_first_arm(prefilter={"refine": {"over": "all"}}), r"prefilter\.refine\.over must be .*map"),
        (
            _first_arm(prefilter={"refine": {"weight": {28: 1}}}),
            r"^arms\[0\]\.prefilter\.refine\.weight\.31 is missing",
        ),
        (
            _first_arm(prefilter={"refine": {"weight": -1}}),
            r"^arms\[0\]\.prefilter\.refine\.weight must be a finite number from 0 on, not -1",
        ),
        (_first_arm(codec_of="z"), r"^arms\[0\]\.codec_of must be best or one of b, not 'z'"),
        (_first_arm(codec_of="b", effort=3), r"^arms\[0\]\.effort and codec_of \(b\) exclude"),
        ({"anchor": "z"}, r"^anchor names the arm 'z'; there are bpg, machine"),
        (
            {"analysis": {"differences": [["bpg"]]}},
            r"^analysis\.differences\[0\] must be a list of 2 entries",
        ),
        ({"analysis": {"groups": {"g": ["bpg", "machine"]}}}, r"^analysis\.groups\.g must not have"),
        ({"analysis": {"against": ["z"]}}, r"^analysis\.against names the arm 'z'"),
        ({"strip": {"qp": 33}}, r"^strip\.qp must be one of 28"),
        ({"batches": 3}, r"^batches is not known"),
    ],
)
def test_errors_name_the_key(photos: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_config(values(photos, **changes))


def test_who_names_no_arms_and_no_seen_network_is_told_of_both() -> None:
    network = [{"name": "classification", "model": "m"}]
    text = r"needs a network among the seen ones.*name arms of your own, without which bpg, machine, blur are"
    with pytest.raises(ConfigError, match=text):
        parse_config({"data": {"folder": "x"}, "unseen": network})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"blur_sigmas": ("a",)}, "each of blur_sigmas must be a number from 0 to 8, not 'a'"),
        ({"scale_factors": ("a",)}, "each of scale_factors must be a number from 0.1 to 1, not 'a'"),
        ({"qps": 30}, "qps must be a list of integers from 0 to 51, not 30"),
        ({"scale_factors": ()}, "scale_factors must be a list of numbers from 0.1 to 1, not empty"),
        ({"threads": 5000}, "threads must be an integer from 1 to 4096, not 5000"),
        ({"batch": 10**6}, "batch must be an integer from 1 to 65536, not 1000000"),
        ({"analysis": {"samples": 10**9}}, "samples must be an integer from 10 to 1000000, not 1000000000"),
    ],
)
def test_values_that_python_gives_are_checked_too(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        EvaluateConfig(LabelledPhotos("photos"), **given)


def test_settings_by_qp_can_be_given_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "data: {folder: p, mode: full, masks: m}\nseen: [{name: classification}]\nqps: [28, 31, 34, 37, 40]\n"
        "arms: [{name: a, effort: 0}, {name: b, effort: 0, scale: {28: 0.9}},"
        " {name: c, effort: 0, prefilter: {blur: {28: 0.9}}}]\n"
    )
    changes = ["data.mask_classes.44=1"]
    changes += [f"arms.1.scale.{qp}=0.5" for qp in (31, 34, 37, 40)]
    changes += [f"arms.2.prefilter.blur.{qp}=0.5" for qp in (28, 31, 34, 37, 40)]
    config = load_evaluation(path, changes)
    assert config.data.mask_classes == {44: 1}
    assert config.arms[1].scale == {28: 0.9, 31: 0.5, 34: 0.5, 37: 0.5, 40: 0.5}
    assert config.arms[2].prefilter == BlurConfig(dict.fromkeys((28, 31, 34, 37, 40), 0.5))
