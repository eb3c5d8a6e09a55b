"""Real labels: boxes and classes, average precision, and that clean answers are never taken for them."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_evaluation import (
    QPS,
    RED,
    detector,
    reader,
    red_photos,
    segmenter,
    tiny_network,
    values,
    with_data,
)
from torch import nn

from npp.config.yaml_files import ConfigError
from npp.evaluation.average_precision import BoxMatches, match_boxes
from npp.evaluation.bd_rate_bootstrap import picture_counts
from npp.evaluation.box_truth import BoxTruth
from npp.evaluation.evaluate_config import parse_config
from npp.evaluation.evaluation_run import evaluate
from npp.evaluation.judges import JudgeConfig, build_judge
from npp.evaluation.labelled_photos import LabelledPhotos
from npp.evaluation.measuring import Measurer
from npp.evaluation.originals import warn_of_labels
from npp.evaluation.part_store import PartStore
from npp.evaluation.real_labels import read_labels
from npp.photos.loading import load_photo
from npp.progress import no_stages
from npp.tasks import build_task
from npp.tasks.mean_average_precision import AveragePrecision

coco = pytest.importorskip("pycocotools", reason="average precision needs it")
_NOTHING = json.dumps({"images": [], "categories": [], "annotations": []})


def _boxes(generator: np.random.Generator, count: int, scores: bool) -> dict[str, torch.Tensor]:
    corners = generator.uniform(0, 60, (count, 2))
    found = {
        "boxes": torch.from_numpy(
            np.concatenate([corners, corners + generator.uniform(10, 40, (count, 2))], 1)
        ),
        "labels": torch.from_numpy(generator.integers(0, 4, count)),
    }
    return {**found, "scores": torch.from_numpy(generator.uniform(0, 1, count))} if scores else found


def _answers(pictures: int = 12) -> tuple[list[dict[str, torch.Tensor]], list[dict[str, torch.Tensor]]]:
    """True boxes and detections, some of them near, some elsewhere."""
    generator = np.random.default_rng(4)
    true = [_boxes(generator, int(generator.integers(0, 6)), False) for _ in range(pictures)]
    found = []
    for one in true:
        other = _boxes(generator, 3, True)
        noise = torch.from_numpy(generator.normal(0, 2, one["boxes"].shape))
        moved = {"boxes": one["boxes"] + noise, "labels": one["labels"]}
        moved["scores"] = torch.from_numpy(generator.uniform(0, 1, len(noise)))
        found.append({name: torch.cat([moved[name], other[name]]) for name in other})
    return found, true


def test_a_perfect_detector_has_an_average_precision_of_one() -> None:
    _, true = _answers()
    perfect = [{**one, "scores": torch.rand(len(one["boxes"]))} for one in true]
    assert match_boxes(perfect, true).values == {"ap": 1, "ap_50": 1, "ap_75": 1}
    nothing = [{**one, "labels": one["labels"] + 7} for one in perfect]
    assert match_boxes(nothing, true).values["ap"] == 0


def test_average_precision_is_torchmetrics_and_of_resamplings_too() -> None:
    pytest.importorskip("torchvision")
    found, true = _answers()
    metric = AveragePrecision()
    metric.update(found, true)
    matched = match_boxes(found, true)
    theirs = metric.compute()
    weights = picture_counts(12, 6, 0) / 12
    # torchmetrics reads precision at recalls in float32, a little below those of pycocotools.
    rows = {"ap": "map", "ap_50": "map_50", "ap_75": "map_75"}
    for name, other in rows.items():
        assert matched.values[name] == pytest.approx(theirs[other], abs=2e-3)
        resampled = matched.resampled(name, weights)
        assert resampled[0] == pytest.approx(matched.values[name], abs=1e-6)
        for column in (1, 4):
            drawn = [i for i in range(12) for _ in range(round(12 * weights[i, column]))]
            again = match_boxes([found[i] for i in drawn], [true[i] for i in drawn])
            assert resampled[column] == pytest.approx(again.values[name], abs=1e-6)
    assert 0.05 < matched.values["ap"] < 0.9
    kept = BoxMatches.unpacked(matched.packed())
    assert kept.values == matched.values
    assert np.array_equal(kept.resampled("ap", weights), matched.resampled("ap", weights))


def _pictures(*pictures: list[tuple[list[float], int]]) -> list[dict[str, torch.Tensor]]:
    """Boxes with their labels, the surest first."""
    return [
        {
            "boxes": torch.tensor([box for box, _ in one]).reshape(-1, 4),
            "labels": torch.tensor([label for _, label in one], dtype=torch.int64),
            "scores": torch.linspace(0.9, 0.1, len(one)),
        }
        for one in pictures
    ]


@pytest.mark.parametrize(
    "empty", [[5.0, 5.0, 5.0, 5.0], [0.0, 0.0, 9.0, 0.0], [9.0, 0.0, 0.0, 9.0], [9.0, 9.0, 0.0, 0.0]], ids=str
)
def test_a_detection_without_area_is_wrong_in_resamplings_too(empty: list[float]) -> None:
    """The surest detection is wrong, the second right: a precision of one half at every recall."""
    true, found = _pictures([([0.0, 0.0, 9.0, 9.0], 1)]), _pictures([(empty, 1), ([0.0, 0.0, 9.0, 9.0], 1)])
    matched = match_boxes(found, true)
    assert matched.values == pytest.approx({"ap": 0.5, "ap_50": 0.5, "ap_75": 0.5})
    assert matched.resampled("ap", np.ones((1, 1))).tolist() == pytest.approx([0.5])


def test_a_category_that_a_resampling_did_not_draw_has_no_part_in_it() -> None:
    """By hand: all of the first category is found, of the second one of two, 51 of 101 recalls, and of the
    third nothing; each is on one photo, and the last photo has none."""
    square, other = [0.0, 0.0, 9.0, 9.0], [20.0, 20.0, 29.0, 29.0]
    true = _pictures([(square, 1)], [(square, 2), (other, 2)], [(square, 3)], [])
    found = _pictures([(square, 1)], [(square, 2)], [], [(square, 1)])
    matched = match_boxes(found, true)
    assert matched.values["ap"] == pytest.approx((1 + 51 / 101 + 0) / 3)
    draws = {(4, 0, 0, 0): 1, (0, 4, 0, 0): 51 / 101, (0, 0, 4, 0): 0, (2, 2, 0, 0): (1 + 51 / 101) / 2}
    draws |= {(0, 1, 3, 0): 51 / 202, (1, 1, 2, 0): (1 + 51 / 101) / 3, (0, 0, 0, 4): 0, (0, 0, 2, 2): 0}
    for name in ("ap", "ap_50", "ap_75"):
        resampled = matched.resampled(name, np.array(list(draws)).T / 4)
        assert resampled.tolist() == pytest.approx(list(draws.values()))
    never = matched.resampled("ap", np.array([[4, 2], [0, 0], [0, 2], [0, 0]]) / 4)
    assert never.tolist() == pytest.approx([1, 0.5])


@pytest.mark.parametrize(("wrong", "precision"), [(1, 1 / 2), (99, 1 / 100), (100, 0)])
def test_the_hundred_surest_detections_of_a_photo_count(wrong: int, precision: float) -> None:
    square, elsewhere = [0.0, 0.0, 9.0, 9.0], [20.0, 20.0, 29.0, 29.0]
    matched = match_boxes(_pictures([(elsewhere, 1)] * wrong + [(square, 1)]), _pictures([(square, 1)]))
    assert matched.values["ap"] == pytest.approx(precision)
    assert matched.resampled("ap", np.ones((1, 1))).tolist() == pytest.approx([precision])


def test_detections_of_one_score_count_in_the_order_of_the_photos() -> None:
    """As pycocotools has them. Of 50 of either score the first 25 are right: 26 recalls have a precision of
    1, 25 more that of 50 in 75, and those above one half none."""
    square, elsewhere = [0.0, 0.0, 9.0, 9.0], [20.0, 20.0, 29.0, 29.0]
    found = _pictures(*[[(square if i < 50 else elsewhere, 1)] for i in range(100)])
    for one, score in zip(found, [0.9, 0.8] * 50, strict=True):
        one["scores"] = torch.tensor([score])
    matched = match_boxes(found, _pictures(*[[(square, 1)]] * 100))
    expected = (26 + 25 * 2 / 3) / 101
    assert matched.values["ap"] == pytest.approx(expected)
    assert matched.resampled("ap", np.ones((100, 1))).tolist() == pytest.approx([expected])


def test_only_a_detector_that_finds_nothing_is_told_of_its_labels() -> None:
    judge = build_judge(
        JudgeConfig("detection", settings={"model": _SaysIds()}), torch.device("cpu"), seen=True
    )
    warn_of_labels(judge, {"ap_50": 0.01, "ap": 0.0})
    with pytest.warns(UserWarning, match=r"taken for the id of categories; it may be the place"):
        warn_of_labels(judge, {"ap_50": 0.0})


def _annotate(folder: Path, path: Path, category: int = 18) -> None:
    """COCO's JSON for the red boxes; the category is the second of two."""
    names = sorted(one.name for one in folder.glob("*.png"))
    content = {
        "images": [{"id": 10 + i, "file_name": name} for i, name in enumerate(names)],
        "annotations": [
            {"image_id": 10 + i, "category_id": category, "bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": 0}
            for i, (x1, y1, x2, y2) in enumerate(RED)
        ]
        + [{"image_id": 10, "category_id": 5, "bbox": [0, 0, 96, 96], "iscrowd": 1}],
        "categories": [{"id": 5, "name": "other"}, {"id": category, "name": "red"}],
    }
    path.write_text(json.dumps(content))


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos in "test" with boxes, and with the classes that the tiny classifier says, but for one."""
    root = tmp_path_factory.mktemp("labelled")
    red_photos(root / "test")
    _annotate(root / "test", root / "boxes.json")
    task = build_task("classification", model=tiny_network())
    with (root / "classes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label"])
        for i, path in enumerate(sorted((root / "test").glob("*.png"))):
            answer = int(task.predict(load_photo(path, None, "full")[None])[0].argmax())
            writer.writerow([path.name, (answer + (i == 0)) % 6])
    return root


def _spec(given: Mapping[str, Any], **changes: Any) -> JudgeConfig:
    """A judge's part of a configuration."""
    settings = {key: value for key, value in given.items() if key not in ("name", "label")}
    return JudgeConfig(given["name"], given["label"], settings=settings, **changes)


def _values(root: Path, **changes: Any) -> dict[str, Any]:
    data = {
        "folder": str(root / "test"),
        "mode": "full",
        "part": "all",
        "annotations": str(root / "boxes.json"),
        "labels": str(root / "classes.csv"),
    }
    return values(root, data=data, unseen=[detector()], **changes)


def test_real_labels_stand_beside_clean_answers_and_apart(labelled: Path, tmp_path: Path) -> None:
    arms = [{"name": "bpg", "effort": 0}, {"name": "half", "effort": 0, "scale": 0.5}]
    found = evaluate(parse_config(_values(labelled, arms=arms)), tmp_path)
    assert found.measured.clean["finder", "ap"] == 1
    assert found.measured.clean["tiny", "top1"] == 0.75
    axes = {(axis.network, axis.name): axis for axis in found.measured.axes}
    true = {key for key, axis in axes.items() if axis.true}
    assert true == {
        ("tiny", "top1"),
        ("tiny", "cross_entropy"),
        ("finder", "ap"),
        ("finder", "ap_50"),
        ("finder", "ap_75"),
    }
    assert ("finder", "map") not in axes and axes["finder", "f1"].true is False
    arm = found.measured.arms["bpg"]
    assert arm.metrics["finder", "ap"].shape == (len(QPS),) and arm.metrics["finder", "ap_50"].max() == 1
    assert arm.scores["tiny", "top1"].shape == (len(QPS), 4)
    # Two of the photos' boxes are seen exactly and a decoded edge may move by a pixel.
    assert 0.5 < arm.metrics["finder", "ap"][0] <= 1
    text = (tmp_path / "table.md").read_text()
    assert "judged by finder (unseen) against real labels" in text
    clean_table = text.split("judged by finder (unseen);")[1].split("**")[1].splitlines()[2]
    assert "kl" in clean_table and "ap" not in clean_table
    assert "Bits per pixel at 95 %" in text and "| originals |" in text
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert {"network": "finder", "quality": "ap", "value": 1.0} in summary["clean"]
    again = evaluate(parse_config(_values(labelled, arms=arms)), tmp_path)
    assert again.measured.clean == found.measured.clean
    kept = again.measured.arms["half"].matches["finder"]
    assert [one.values for one in kept] == [
        one.values for one in found.measured.arms["half"].matches["finder"]
    ]


def test_labels_may_be_ids_of_categories(labelled: Path) -> None:
    photos = LabelledPhotos(
        str(labelled / "test"), mode="full", part="all", annotations=str(labelled / "boxes.json")
    )
    labels = read_labels(photos)
    assert labels.boxes.category_ids == (5, 18)
    for categories, label in ((None, 1), ("place", 1), ("id", 18)):
        judge = build_judge(_spec(detector(), categories=categories), torch.device("cpu"), seen=True)
        (target,) = labels.boxes.targets(judge, [labelled / "test" / "0.png"])
        assert target["labels"].tolist() == [label]  # the crowd is left out
        assert target["boxes"].tolist() == [list(map(float, RED[0]))]


@pytest.mark.parametrize("batch", [1, 3, 4])
def test_clean_values_are_means_over_photos_whatever_their_batches(
    labelled: Path, tmp_path: Path, batch: int
) -> None:
    config = parse_config(_values(labelled))
    judges = [build_judge(spec, torch.device("cpu"), seen=False) for spec in config.networks]
    labels, store = read_labels(config.data), PartStore(tmp_path)
    device = torch.device("cpu")
    found = Measurer(config.data, judges, store, batch=batch, device=device, threads=1, labels=labels).clean()
    assert found["tiny", "top1"] == 0.75 and found["finder", "ap"] == 1


class _SaysIds(nn.Module):
    """A detector of one's own with COCO's ids."""

    says_category_ids = True

    def forward(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        return [_boxes(np.random.default_rng(1), 2, True) for _ in images]

    def losses(self, images: Any, targets: Any) -> dict[str, torch.Tensor]:
        return {"loss": images[0].mean()}


def test_a_detector_says_itself_what_its_labels_are() -> None:
    def says(model: Any, categories: Any = None) -> bool:
        spec = JudgeConfig("detection", categories=categories, metrics=False, settings={"model": model})
        return build_judge(spec, torch.device("cpu"), seen=True).says_category_ids

    assert says(_SaysIds()) and not says(_SaysIds(), "place") and says(_SaysIds(), "id")
    models = pytest.importorskip("torchvision.models.detection", reason="torchvision is not installed")
    kind = {"weights": None, "weights_backbone": None}
    network = models.ssdlite320_mobilenet_v3_large(**kind)

    class Own(type(network)):  # type: ignore[misc]
        """Somebody's, who has changed something."""

    for one in ("torchvision:ssdlite320_mobilenet_v3_large:none", network):
        assert says(one) and not says(one, "place")
    network.__class__ = Own
    assert says(network)


def test_wrong_files_are_named(labelled: Path, tmp_path: Path) -> None:
    given = _values(labelled)
    with pytest.raises(ConfigError, match=r"^data\.annotations need mode: full"):
        parse_config(with_data(given, mode="crop", size=48))
    with pytest.raises(ConfigError, match=r"^data\.annotations: .*gone\.json"):
        evaluate(parse_config(with_data(given, annotations=str(tmp_path / "gone.json"))), tmp_path)
    broken = tmp_path / "broken.json"
    broken.write_text('{"images": []}')
    with pytest.raises(ConfigError, match=r"^data\.annotations: .*broken\.json is not of that form"):
        evaluate(parse_config(with_data(given, annotations=str(broken))), tmp_path)
    few = tmp_path / "few.csv"
    few.write_text("file,label\n0.png,1\n")
    said = (
        r"^data\.folder has photos without real labels: (\d\.png), .*\. \1 is not in "
        rf"labels \({few}\), where one name is 0\.png: real labels go by"
    )
    with pytest.raises(ConfigError, match=said):
        evaluate(parse_config(with_data(given, labels=str(few))), tmp_path)


def test_a_file_that_lists_none_of_the_photos_is_named_with_one_of_its_names(
    labelled: Path, tmp_path: Path
) -> None:
    table = tmp_path / "ids.csv"
    table.write_text("file,label\n000139,1\n000285,0\n")
    given = with_data(_values(labelled), labels=str(table), unlabelled="skip")
    said = (
        r"^data\.folder has no photo with real labels among its 4\. \d\.png is not in "
        rf"labels \({table}\), where one name is 000139: real labels go by"
    )
    with pytest.raises(ConfigError, match=said):
        evaluate(parse_config(given), tmp_path / "out")


def test_other_meanings_of_labels_are_measured_anew(labelled: Path, tmp_path: Path) -> None:
    """What was measured with places is no answer to ids."""
    arms = [{"name": "bpg", "effort": 0}, {"name": "half", "effort": 0, "scale": 0.5}]

    def clean(categories: str) -> float:
        given = _values(labelled, arms=arms)
        given["unseen"] = [{**detector(), "categories": categories}]
        return evaluate(parse_config(given), tmp_path).measured.clean["finder", "ap"]

    with (
        pytest.warns(UserWarning, match=r"network finder has 2 classes, .* the label 18"),
        pytest.warns(UserWarning, match=r"network finder finds none of the real .*\(categories: place\)"),
    ):
        assert clean("id") == 0
    assert clean("place") == 1


def test_photos_of_one_name_are_not_mixed_up(labelled: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        red_photos(tmp_path / "twice" / folder)
    given = _values(labelled)
    given["data"]["folder"] = str(tmp_path / "twice")
    said = (
        r"data.folder has (a/(\d).png and b/\2|b/(\d).png and a/\3).png, and both are listed as \d.png in a"
    )
    with pytest.raises(ConfigError, match=said):
        evaluate(parse_config(given), tmp_path / "out")
    listed = json.loads((labelled / "boxes.json").read_text())
    listed["images"][1]["file_name"] = "./0.png"
    (tmp_path / "boxes.json").write_text(json.dumps(listed))
    with pytest.raises(ValueError, match=r"0\.png is listed 2 times"):
        read_labels(LabelledPhotos("x", mode="full", annotations=str(tmp_path / "boxes.json")))


def test_labels_that_no_network_needs_are_warned_of(labelled: Path, tmp_path: Path) -> None:
    """Also annotations beside a detector of which no metric is computed, for nothing else goes by them."""
    masks, regions = tmp_path / "masks", tmp_path / "regions.csv"
    shutil.copytree(labelled / "test", masks)
    regions.write_text("file,x,y,width,height\na.png,0,0,8,8\n")
    photos = LabelledPhotos(
        str(labelled / "test"),
        mode="full",
        annotations=str(labelled / "boxes.json"),
        labels=str(labelled / "classes.csv"),
        masks=str(masks),
        regions=str(regions),
    )

    def unused(*specs: JudgeConfig) -> list[str]:
        judges = [build_judge(spec, torch.device("cpu"), seen=False) for spec in specs]
        return [truth.setting for truth in read_labels(photos).unused(judges)]

    finder = _spec(detector())
    classifier = JudgeConfig("classification", settings={"model": tiny_network()})
    assert unused(finder, classifier, _spec(segmenter()), _spec(reader())) == []
    assert unused(finder, _spec(reader())) == ["labels", "masks"]
    assert unused(_spec(detector(), metrics=False)) == ["annotations", "labels", "regions", "masks"]


def test_a_run_warns_of_a_file_that_it_has_no_use_for(labelled: Path, tmp_path: Path) -> None:
    given = _values(labelled)
    given["unseen"] = []
    said = r"^data\.annotations are not used: they are for networks of the task detection with metrics, and"
    with pytest.warns(UserWarning, match=said):
        evaluate(parse_config(given), tmp_path)


@pytest.mark.parametrize("label", ["cat", "-1", "1.5", ""])
def test_labels_that_are_no_class_are_named_with_their_line(label: str, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(f"file,label\na.png,0\n\nb.png,{label}\n")
    said = rf"^labels: {table}, line 4: label must be a class index from 0, not '{label}'$"
    with pytest.raises(ValueError, match=said):
        read_labels(LabelledPhotos("x", labels=str(table)))


def test_labels_of_another_order_are_warned_of(labelled: Path, tmp_path: Path) -> None:
    rows = (labelled / "classes.csv").read_text().splitlines()[1:]
    wrong = [f"{name},{(int(label) + 2) % 6}" for name, label in (row.split(",") for row in rows)]
    (tmp_path / "wrong.csv").write_text("\n".join(["file,label", *wrong]))
    arms = [{"name": "bpg", "effort": 0}, {"name": "half", "effort": 0, "scale": 0.5}]
    given = _values(labelled, arms=arms)
    given["unseen"] = []
    given["data"] = {**given["data"], "labels": str(tmp_path / "wrong.csv"), "annotations": None}
    said = r"network tiny: top1 on the originals is 0\.000: are the labels the network's class indices\?"
    with pytest.warns(UserWarning, match=said):
        found = evaluate(parse_config(given), tmp_path / "out")
    rows = [row for table in found.tables if table.title.startswith("Bits") for row in table.rows[1:]]
    assert rows == [("bpg", "none"), ("half", "none")]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"category_id": 99}, "annotation None is of category 99, which the file does not list"),
        ({"image_id": 99}, "is of image 99, which the file does not list"),
        ({"bbox": [5, 5, -3, 4]}, "has a box of -3x4"),
        ({"bbox": [float("nan"), 5, 3, 4]}, r"annotation None of 1\.png has a box of 3x4 at nan, 5"),
        ({"bbox": [5, 5, 3, float("inf")]}, "has a box of 3xinf"),
        ({"id": 7, "bbox": [5, 5, 3]}, r"annotation 7 must have a bbox of four numbers, not \[5, 5, 3\]"),
        ({"id": 7, "bbox": None}, "annotation 7 must have a bbox of four numbers, not None"),
        ({"id": 7, "bbox": ["a", 5, 3, 4]}, "annotation 7 must have a bbox of four numbers"),
        ({"image_id": "10"}, "is of image '10', which the file does not list"),
    ],
)
def test_annotations_that_contradict_themselves_are_named(
    labelled: Path, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    listed = json.loads((labelled / "boxes.json").read_text())
    listed["annotations"][1] |= change
    (tmp_path / "boxes.json").write_text(json.dumps(listed))
    with pytest.raises(ValueError, match=words):
        read_labels(LabelledPhotos("x", mode="full", annotations=str(tmp_path / "boxes.json")))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": {"0.png": {"id": 10}}}, "images must be a list of objects"),
        ({"categories": None}, "categories must be a list of objects"),
        ({"annotations": [[1, 2, 3, 4]]}, "annotations must be a list of objects"),
        ({"images": [{"id": 10, "file_name": 139}]}, r"images\[0\]\.file_name must be text, not 139"),
    ],
)
def test_annotations_of_another_form_are_told_what_is_wrong(
    labelled: Path, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    listed = json.loads((labelled / "boxes.json").read_text())
    (tmp_path / "boxes.json").write_text(json.dumps(listed | change))
    with pytest.raises(ValueError, match=words):
        read_labels(LabelledPhotos("x", mode="full", annotations=str(tmp_path / "boxes.json")))


def test_annotations_may_begin_with_a_byte_order_mark(labelled: Path, tmp_path: Path) -> None:
    (tmp_path / "boxes.json").write_bytes(b"\xef\xbb\xbf" + (labelled / "boxes.json").read_bytes())
    plain, marked = (
        read_labels(LabelledPhotos("x", mode="full", annotations=str(folder / "boxes.json")))
        for folder in (labelled, tmp_path)
    )
    assert marked == plain


@pytest.mark.parametrize(
    ("key", "entry", "words"),
    [
        ("images", {"id": 10, "file_name": "new.png"}, r"image 10 is listed twice, as 0\.png and new\.png"),
        ("categories", {"id": 18, "name": "car"}, "category 18 is listed twice, as red and car"),
    ],
)
def test_two_things_of_one_id_are_named(
    labelled: Path, tmp_path: Path, key: str, entry: dict[str, Any], words: str
) -> None:
    listed = json.loads((labelled / "boxes.json").read_text())
    listed[key].append(entry)
    (tmp_path / "boxes.json").write_text(json.dumps(listed))
    with pytest.raises(ValueError, match=words):
        read_labels(LabelledPhotos("x", mode="full", annotations=str(tmp_path / "boxes.json")))


def _checked(labelled: Path, path: Path, listed: Any) -> BoxTruth:
    """The boxes of annotations, looked through."""
    path.write_text(json.dumps(listed))
    photos = LabelledPhotos(str(labelled / "test"), mode="full", part="all", annotations=str(path))
    labels = read_labels(photos)
    labels.check([], photos.readable_paths())
    return labels.boxes


@pytest.mark.parametrize(
    "box",
    [[94, 0, 4, 9], [-2, -2, 5, 5], [0, 0, 98, 98], [95.5, 95.5, 9, 9], [96, 96, 0, 0], [30, 30, 0, 9]],
)
def test_boxes_may_reach_over_the_edge(labelled: Path, tmp_path: Path, box: list[float]) -> None:
    """Some of COCO's do, and some have no area."""
    listed = json.loads((labelled / "boxes.json").read_text())
    listed["annotations"][1]["bbox"] = box
    truth = _checked(labelled, tmp_path / "boxes.json", listed)
    left, top, width, height = box
    read = truth.by_photo[labelled / "test" / "1.png"].boxes.tolist()
    assert read == [[left, top, left + width, top + height]], "it is read as it is, and not cut"


@pytest.mark.parametrize("box", [[96, 0, 4, 9], [0, 200, 4, 9], [-9, 0, 9, 9], [0, -9, 4, 3], [99, 0, 0, 4]])
def test_a_box_beside_its_photo_is_named(labelled: Path, tmp_path: Path, box: list[float]) -> None:
    listed = json.loads((labelled / "boxes.json").read_text())
    listed["annotations"][1]["bbox"] = box
    with pytest.raises(
        ValueError, match=r"^annotations: 1\.png must be marked within its 96x96 pixels .*, not"
    ):
        _checked(labelled, tmp_path / "boxes.json", listed)


def test_a_box_that_is_listed_twice_is_warned_of(labelled: Path, tmp_path: Path) -> None:
    """And only where both have its category, and a metric is computed of them."""
    listed = json.loads((labelled / "boxes.json").read_text())
    listed["annotations"] += [dict(one) for one in listed["annotations"][:2]]
    listed["annotations"].append({**listed["annotations"][2], "category_id": 5})
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(listed))
    folder = str(labelled / "test")
    photos = LabelledPhotos(folder, mode="full", part="all", annotations=str(path))
    judge = build_judge(_spec(detector()), torch.device("cpu"), seen=False)
    labels, paths = read_labels(photos), [labelled / "test" / f"{i}.png" for i in range(4)]
    with pytest.warns(
        UserWarning,
        match=r"list a box of 0\.png more than once, .* category 18 from 32, 16 to 64, 48, and 1 others: ",
    ):
        assert labels.check([judge], paths) == {"finder": (1, "3.png")}
    assert labels.check([], paths) == {}
    labels.check([judge], paths[2:])


def test_a_detector_with_fewer_classes_than_the_annotations_is_warned_of(
    labelled: Path, tmp_path: Path
) -> None:
    listed = json.loads((labelled / "boxes.json").read_text())
    listed["categories"].append({"id": 40, "name": "blue"})
    listed["annotations"][2]["category_id"] = 40
    (tmp_path / "boxes.json").write_text(json.dumps(listed))
    given = with_data(_values(labelled), annotations=str(tmp_path / "boxes.json"))
    judge = build_judge(_spec(detector()), torch.device("cpu"), seen=False)
    config = parse_config(given)

    def measurer() -> Measurer:
        labels, store, device = read_labels(config.data), PartStore(tmp_path / "parts"), torch.device("cpu")
        return Measurer(config.data, [judge], store, batch=4, device=device, threads=1, labels=labels)

    for _ in range(2):  # the second time the number of classes is known
        said = r"network finder has 2 classes, 0 to 1, and .* the label 2 \(with 2\.png\): ap counts"
        with pytest.warns(UserWarning, match=said):
            measurer()


def test_annotations_of_photos_of_another_size_are_named(labelled: Path, tmp_path: Path) -> None:
    """Every box may lie in the photo, and none where it should."""
    listed = json.loads((labelled / "boxes.json").read_text())
    for size in ({"width": 96, "height": 96}, {"width": None, "height": 96}, {"width": 0, "height": 0}, {}):
        listed["images"][2] = {"id": 12, "file_name": "2.png", **size}
        truth = _checked(labelled, tmp_path / "boxes.json", listed)
        known = (96, 96) if size == {"width": 96, "height": 96} else None
        assert truth.by_photo[labelled / "test" / "2.png"].size == known
    listed["images"][2] |= {"width": 640, "height": 480}
    wanted = r"^annotations: 2\.png must be 96x96 \(width x height\), as its photo is loaded, not 640x480$"
    with pytest.raises(ValueError, match=wanted):
        _checked(labelled, tmp_path / "boxes.json", listed)


def test_a_photo_that_exif_turns_has_the_size_that_it_is_loaded_with(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 48)).save(tmp_path / "test/a.jpg", exif=exif)
    box = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9]}
    categories = [{"id": 1, "name": "one"}]

    def listed(width: int, height: int) -> Any:
        image = {"id": 1, "file_name": "a.jpg", "width": width, "height": height}
        return {"images": [image], "annotations": [box], "categories": categories}

    truth = _checked(tmp_path, tmp_path / "boxes.json", listed(48, 64))
    assert truth.by_photo[tmp_path / "test/a.jpg"].size == (64, 48)  # height and width
    with pytest.raises(
        ValueError, match=r"a\.jpg must be 48x64 .*, perhaps turned by its EXIF data, not 64x48"
    ):
        _checked(tmp_path, tmp_path / "boxes.json", listed(64, 48))


def test_what_labels_lack_is_found_before_anything_is_measured(labelled: Path, tmp_path: Path) -> None:
    listed = json.loads((labelled / "boxes.json").read_text())
    (tmp_path / "boxes.json").write_text(json.dumps({**listed, "annotations": []}))
    stages: list[str] = []

    def stage(name: str, total: int) -> Any:
        stages.append(name)
        return no_stages(name, total)

    given = _values(labelled)
    given["data"]["annotations"] = str(tmp_path / "boxes.json")
    with pytest.raises(ConfigError, match=r"^data\.annotations have no box in any of the 4 photos"):
        evaluate(parse_config(given), tmp_path / "out", stage)
    (tmp_path / "classes.csv").write_text("file,label\n0.png,0\n1.png,1\n2.png,6\n3.png,2\n")
    given = _values(labelled)
    given["data"]["labels"] = str(tmp_path / "classes.csv")
    for _ in range(2):  # the second time the number of classes is known
        with pytest.raises(ConfigError, match=r"^network tiny: .* from 0 to 5, not 6 \(with 2\.png\)"):
            evaluate(parse_config(given), tmp_path / "out", stage)
    assert not stages


def test_tables_are_read_as_people_write_them(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    photos = LabelledPhotos("x", labels=str(file))
    file.write_bytes("\ufefffile,label\r\na.png,3\r\n".encode())  # as Excel does
    assert read_labels(photos).classes.by_photo.get(Path("a.png")) == 3
    for text, words in (
        ("file;label\na.png;3\n", "columns must be file, label, not 'file;label'"),
        ("file, label\na.png,3\n", "columns must be file, label, not 'file', ' label'"),
        ("\ufeff\ufefffile,label\na.png,3\n", r"columns must be file, label, not '\\ufefffile', 'label'"),
        ("file,label,label\na.png,3,4\n", "columns must be there once, not twice as 'label'"),
        ("file,label,a,a\na.png,3,,\n", "columns must be there once, not twice as 'a'"),
        ("file,label\n", "lists none"),
        ("file,label\na.png\n", "line 2: must have file, label"),
        ("file,label\na/0.png,1\na/0.png,5\n", "a/0.png is listed 2 times"),
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match=words):
            read_labels(photos)
    regions = tmp_path / "regions.csv"
    regions.write_text("file,x,y,width,height,text\na.png,0,0,8,8,ab\nb.png,0,0,8,8,\n")
    found = read_labels(LabelledPhotos("x", mode="full", regions=str(regions)))
    assert found.texts.by_photo.get(Path("a.png")) == "ab" and not found.has(Path("b.png"))


def test_a_label_that_a_network_cannot_have_is_told_with_its_photo(labelled: Path, tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text("file,label\n0.png,0\n1.png,1\n2.png,1000\n3.png,2\n")
    given = _values(labelled, batch=1)
    given["data"]["labels"] = str(tmp_path / "classes.csv")
    with pytest.raises(ConfigError, match=r"network tiny: .* from 0 to 5, not 1000 .*with 2.png"):
        evaluate(parse_config(given), tmp_path / "out")


@pytest.mark.parametrize("key", ["annotations", "labels"])
def test_what_is_wrong_with_a_file_begins_with_the_key(key: str, tmp_path: Path) -> None:
    file = tmp_path / "given"
    photos = LabelledPhotos("x", mode="full", **{key: str(file)})
    with pytest.raises(ValueError, match=rf"^{key}: .*No such file"):
        read_labels(photos)
    for text, words in {
        "annotations": (
            ("{}", "given is not of that form: images must be a list"),
            (_NOTHING, "given lists none"),
        ),
        "labels": (("a", "given is not of that form: "), ("file,label\n", "given lists none")),
    }[key]:
        file.write_text(text)
        with pytest.raises(ValueError, match=rf"^{key}: .*{words}"):
            read_labels(photos)
