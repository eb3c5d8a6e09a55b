"""BPGRoundTrip in a pipeline, and what BppMetric makes of samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmdet.datasets import CocoDataset
from mmengine.registry import DefaultScope

import npp
from npp.integrations.openmmlab import BPGRoundTrip, BppMetric


def _bgr(photo: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(photo[..., ::-1])


def _decoded(rgb: np.ndarray, qp: int, **options: Any) -> tuple[np.ndarray, int]:
    file = npp.encode(rgb, qp, **options)
    return npp.decode(file).permute(1, 2, 0).numpy(), len(file)


def test_the_picture_is_what_the_codec_makes_of_it(photo: np.ndarray) -> None:
    wanted, size = _decoded(photo, 37, effort=2)
    found = BPGRoundTrip(37, effort=2)({"img": _bgr(photo)})
    assert np.array_equal(found["img"], wanted[..., ::-1])
    assert found["img"].flags["C_CONTIGUOUS"]
    assert (found["bpg_bytes"], found["bpg_qp"]) == (size, 37)
    assert found["bpp"] == 8 * size / (photo.shape[0] * photo.shape[1])
    rgb = BPGRoundTrip(37, channels="rgb", effort=2)({"img": photo})
    assert np.array_equal(rgb["img"], wanted)


@pytest.mark.parametrize("gray", [False, True])
def test_floats_and_gray_pictures_keep_their_kind(photo: np.ndarray, gray: bool) -> None:
    given = photo[..., 1] if gray else _bgr(photo)
    whole = BPGRoundTrip(40, effort=0)({"img": given})["img"]
    floats = BPGRoundTrip(40, effort=0)({"img": given.astype(np.float32)})["img"]
    assert whole.shape == floats.shape == given.shape
    assert floats.dtype == np.float32
    assert np.array_equal(floats, whole)
    one_channel = BPGRoundTrip(40, effort=0)({"img": photo[..., 1:2]})["img"]
    assert one_channel.shape == (*photo.shape[:2], 1)


@pytest.mark.parametrize("channels", ["bgr", "rgb"])
def test_the_last_of_four_channels_is_alpha(photo: np.ndarray, channels: str) -> None:
    rgba = np.dstack([photo, np.tile(np.arange(112, dtype=np.uint8) + 100, (80, 1))])
    wanted, _ = _decoded(rgba, 30, effort=0)
    order = [2, 1, 0, 3] if channels == "bgr" else [0, 1, 2, 3]
    found = BPGRoundTrip(30, channels=channels, effort=0)({"img": np.ascontiguousarray(rgba[..., order])})
    assert np.array_equal(found["img"], wanted[..., order])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x.astype(np.float32) / 255, "from 0.* to 1:"),
        (lambda x: (x.astype(np.float32) - 120) / 58, r"from -2\.069 to"),
        (lambda x: x.astype(np.uint16) * 257, "from 0 to 65535:"),
        (lambda x: x.astype(np.float32) * np.nan, "from nan to nan:"),
    ],
)
def test_pictures_of_another_scale_are_refused(photo: np.ndarray, change: Any, words: str) -> None:
    given = photo.copy()
    given[0, :2, 0] = 0, 255
    with pytest.raises(ValueError, match=rf"img must be raw pictures from 0 to 255, not {words}"):
        BPGRoundTrip(40, effort=0)({"img": change(given)})


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float64])
def test_raw_pictures_of_other_kinds_are_taken(photo: np.ndarray, kind: type) -> None:
    black = np.zeros((16, 16, 3), kind)
    assert BPGRoundTrip(40, effort=0)({"img": photo.astype(kind)})["img"].dtype == kind
    assert BPGRoundTrip(40, effort=0)({"img": black})["img"].max() <= 2


def test_a_pair_draws_a_qp_for_each_picture(photo: np.ndarray) -> None:
    step = BPGRoundTrip((30, 33), effort=0)
    drawn = {step({"img": _bgr(photo)})["bpg_qp"] for _ in range(40)}
    assert drawn == {30, 31, 32, 33}


def test_a_recipe_prepares_the_picture(photo: np.ndarray) -> None:
    name = npp.Recipe.available()[0]
    recipe = npp.Recipe.load(name)
    file = recipe.encode(photo, 37)
    found = BPGRoundTrip(37, recipe=name)({"img": _bgr(photo)})
    wanted = recipe.decode(file).permute(1, 2, 0).numpy()
    assert np.array_equal(found["img"], wanted[..., ::-1])
    assert found["bpg_bytes"] == len(file)


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ValueError, match="qp"):
        BPGRoundTrip(52)
    with pytest.raises(ValueError, match=r"qp must be \(least, greatest\), not \(40, 30\)"):
        BPGRoundTrip((40, 30))
    with pytest.raises(ValueError, match="channels"):
        BPGRoundTrip(30, channels="gbr")
    with pytest.raises(TypeError, match="efort"):
        BPGRoundTrip(30, efort=2)
    with pytest.raises(FileNotFoundError, match=r"recipe: no file 'detecton'.*did you mean 'detection'\?"):
        BPGRoundTrip(30, recipe="detecton")
    with pytest.raises(TypeError, match="recipe must be a name or path of one, or None, not Recipe"):
        BPGRoundTrip(30, recipe=npp.Recipe.load("detection"))  # type: ignore[arg-type]


def test_samples_of_a_real_pipeline_carry_the_rate_to_the_metric(coco: Path) -> None:
    keys = ("img_id", "ori_shape", "bpp", "bpg_bytes", "bpg_qp")
    pipeline = [
        {"type": "LoadImageFromFile"},
        {"type": "BPGRoundTrip", "qp": 37, "effort": 0},
        {"type": "Resize", "scale": (80, 64), "keep_ratio": True},
        {"type": "PackDetInputs", "meta_keys": keys},
    ]
    places = {"data_root": str(coco), "data_prefix": {"img": "img/"}}
    with DefaultScope.overwrite_default_scope("mmdet"):
        dataset = CocoDataset(
            ann_file="all.json", pipeline=pipeline, test_mode=True, backend_args=None, **places
        )
    metric = BppMetric()
    samples = [dataset[number]["data_samples"] for number in range(len(dataset))]
    metric.process(None, [sample.to_dict() for sample in samples])
    found = metric.evaluate(len(samples))
    # The photo is coded before it is scaled: both rates are for its pixels.
    assert found["bpg/bpp"] == pytest.approx(found["bpg/bpp_of_photo"])
    assert found["bpg/bytes"] == sum(sample.bpg_bytes for sample in samples)
    assert found["bpg/qp"] == 37


def test_a_sample_without_a_rate_is_an_error() -> None:
    with pytest.raises(KeyError, match="meta_keys"):
        BppMetric().process(None, [{"img_id": 3}])


def test_the_rate_for_the_photo_is_said_only_where_its_size_is_known() -> None:
    metric = BppMetric()
    known = {"bpp": 1.0, "bpg_bytes": 100, "bpg_qp": 37}
    metric.process(None, [known, {**known, "bpp": 2.0, "ori_shape": (20, 40)}])
    assert metric.evaluate(2) == {"bpg/bpp": 1.5, "bpg/bytes": 200, "bpg/qp": 37.0}
    metric.process(None, [{**known, "ori_shape": (20, 40)}])
    assert metric.evaluate(1)["bpg/bpp_of_photo"] == 1.0
