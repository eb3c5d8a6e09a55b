"""Real maps of classes: read from pictures, renumbered, compared, and drawn anew for intervals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_evaluation import QPS, RED, red_photos, segmenter, values

from npp.config.yaml_files import ConfigError
from npp.evaluation.bd_rate_bootstrap import picture_counts
from npp.evaluation.class_overlaps import ClassCounter, ClassOverlaps
from npp.evaluation.evaluate_config import parse_config
from npp.evaluation.evaluation_run import evaluate
from npp.evaluation.labelled_photos import LabelledPhotos
from npp.evaluation.mask_files import find_masks
from npp.evaluation.real_labels import read_labels

_RED_NUMBER, _UNCLEAR_NUMBER = 44, 99


def _overlaps(found: list[torch.Tensor], true: list[torch.Tensor]) -> ClassOverlaps:
    counter = ClassCounter(255)
    for start in range(0, len(found), 2):
        counter.add(found[start : start + 2], true[start : start + 2])
    return counter.result()


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos with a red rectangle each; all but the last have a map that says where it is."""
    root = tmp_path_factory.mktemp("masked")
    red_photos(root / "test")
    (root / "masks").mkdir()
    for i, (x1, y1, x2, y2) in enumerate(RED[:3]):
        numbers = np.zeros((96, 96), np.uint8)
        numbers[y1:y2, x1:x2] = _RED_NUMBER
        if i == 1:  # an eighth of this red is said to be none; the first rows of another are unclear
            numbers[y1:y2, x1 : x1 + 4] = 3
        if i == 2:
            numbers[y1 : y1 + 2] = _UNCLEAR_NUMBER
        Image.fromarray(numbers).convert("P" if i == 2 else "L").save(root / "masks" / f"{i}.png")
    return root


def _values(root: Path, **data: Any) -> dict[str, Any]:
    photos = {
        "folder": str(root / "test"),
        "mode": "full",
        "part": "all",
        "masks": str(root / "masks"),
        "mask_classes": {0: 0, 3: 0, _RED_NUMBER: 1},
        "unlabelled": "skip",
        **data,
    }
    arms = [{"name": "bpg", "effort": 0}, {"name": "half", "effort": 0, "scale": 0.5}]
    given = values(root, data=photos, arms=arms, unseen=[segmenter()])
    return {key: value for key, value in given.items() if key != "selection"}


def test_masks_give_real_scores_and_an_miou_with_intervals(masked: Path, tmp_path: Path) -> None:
    found = evaluate(parse_config(_values(masked)), tmp_path)
    assert found.measured.pictures and set(found.measured.pictures) == {"0.png", "1.png", "2.png"}
    axes = {axis.name: axis for axis in found.measured.axes if axis.network == "segmenter"}
    true = {"cross_entropy", "pixel_accuracy", "true_miou"}
    assert {name for name, axis in axes.items() if axis.true} == true
    assert {"kl", "agreement"} < set(axes) and "miou" not in axes
    # Of the originals all is right but for the 4x48 pixels that the second map denies.
    sides = [(x2 - x1, y2 - y1) for x1, y1, x2, y2 in RED[:3]]
    red = sum(width * height for width, height in sides) - 2 * sides[2][0]
    denied = 4 * sides[1][1]
    gray = 3 * 96 * 96 - red - 2 * 96
    expected = ((red - denied) / red + (gray) / (gray + denied)) / 2
    assert found.measured.clean["segmenter", "true_miou"] == pytest.approx(expected, abs=1e-9)
    arm = found.measured.arms["bpg"]
    assert arm.metrics["segmenter", "true_miou"].shape == (len(QPS),)
    assert 0.8 < arm.metrics["segmenter", "true_miou"][0] <= 1
    kept = arm.matches["segmenter"][0]
    assert isinstance(kept, ClassOverlaps)
    assert kept.values["true_miou"] == arm.metrics["segmenter", "true_miou"][0]
    again = evaluate(parse_config(_values(masked)), tmp_path)
    assert again.measured.clean == found.measured.clean
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert any(row["quality"] == "true_miou" for row in summary["clean"])
    text = (tmp_path / "table.md").read_text()
    assert "judged by segmenter (unseen) against real labels" in text


def test_miou_is_torchmetrics_and_resamples_as_if_pictures_were_drawn() -> None:
    library = pytest.importorskip("torchmetrics.classification")
    generator = torch.Generator().manual_seed(2)
    true = [torch.randint(0, 5, (24, 20 + i), generator=generator) for i in range(9)]
    found = [
        torch.where(torch.rand(one.shape, generator=generator) < 0.6, one, one.roll(1, 1)) for one in true
    ]
    true[3][:5] = 255
    true[8][:] = found[8][:] = 1  # a picture without the greater classes
    overlaps = _overlaps(found, true)
    metric = library.MulticlassJaccardIndex(5, average="macro", ignore_index=255)
    for one, other in zip(found, true, strict=True):
        metric.update(one[None], other[None])
    assert overlaps.values["true_miou"] == pytest.approx(float(metric.compute()), abs=1e-6)
    weights = picture_counts(9, 5, 0) / 9
    resampled = overlaps.resampled("true_miou", weights)
    assert resampled[0] == pytest.approx(overlaps.values["true_miou"])
    drawn = [i for i in range(9) for _ in range(round(9 * weights[i, 3]))]
    again = _overlaps([found[i] for i in drawn], [true[i] for i in drawn])
    assert resampled[3] == pytest.approx(again.values["true_miou"])
    kept = ClassOverlaps.unpacked(overlaps.packed())
    assert np.array_equal(kept.right, overlaps.right) and np.array_equal(kept.either, overlaps.either)


def test_a_class_that_a_resampling_did_not_draw_has_no_part_in_it() -> None:
    """By hand: of the first class 3 of 4 pixels, of the second 1 of 2, each on a photo of its own."""
    overlaps = _overlaps(
        [torch.tensor([[0, 0, 0, 2]]), torch.tensor([[1, 2]]), torch.tensor([[0]])],
        [torch.tensor([[0, 0, 0, 0]]), torch.tensor([[1, 1]]), torch.tensor([[255]])],
    )
    assert overlaps.right.tolist() == [[3, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert overlaps.either.tolist() == [[4, 0, 1], [0, 2, 1], [0, 0, 0]]
    draws = {(3, 0, 0): 0.75 / 2, (0, 3, 0): 0.5 / 2, (1, 1, 1): 1.25 / 3, (0, 0, 3): 0}
    resampled = overlaps.resampled("true_miou", np.array(list(draws)).T / 3)
    assert resampled.tolist() == pytest.approx(list(draws.values()))


def test_numbers_are_classes_unless_others_are_given(masked: Path) -> None:
    plain = find_masks(str(masked / "masks"), {}, 255)
    assert plain["0"].unique().tolist() == [0, _RED_NUMBER]
    renumbered = find_masks(str(masked / "masks"), {_RED_NUMBER: 1}, 0)
    assert renumbered["2"].unique().tolist() == [0, 1]
    unclear = find_masks(str(masked / "masks"), {0: 0, _RED_NUMBER: 1}, 255)
    assert (unclear["2"] == 255).sum() == 2 * 96


def test_masks_may_lie_in_the_folders_of_their_photos(masked: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / "photos" / folder).mkdir(parents=True)
        (tmp_path / "masks" / folder).mkdir(parents=True)
        (tmp_path / "photos" / folder / "0.jpg").touch()
    for name, folder in (("0", "a"), ("2", "b")):
        (tmp_path / "masks" / folder / "0.png").write_bytes((masked / "masks" / f"{name}.png").read_bytes())
    photos = LabelledPhotos(str(tmp_path / "photos"), mode="full", masks=str(tmp_path / "masks"))
    labels = read_labels(photos)
    first, second = (tmp_path / "photos" / folder / "0.jpg" for folder in ("a", "b"))
    maps, by_photo = find_masks(str(masked / "masks"), {}, 255), labels.masks.by_photo
    assert torch.equal(by_photo[first], maps["0"]) and torch.equal(by_photo[second], maps["2"])
    labels.check_names([first, second])
    assert labels.key([first]) != labels.key([second])


def test_only_maps_that_are_asked_for_are_read(masked: Path, tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes((masked / "masks" / "0.png").read_bytes())
    (tmp_path / "1.png").write_bytes(b"no picture")
    labels = read_labels(LabelledPhotos(str(masked / "test"), mode="full", masks=str(tmp_path)))
    (photo,) = (path for path in (masked / "test").iterdir() if path.stem == "0")
    assert labels.has(photo) and labels.has(photo.with_stem("1"))
    assert labels.masks.by_photo[photo].shape == (96, 96)


def test_other_numbers_are_another_measurement(masked: Path) -> None:
    photos = {"folder": str(masked / "test"), "mode": "full", "masks": str(masked / "masks")}
    paths = [masked / "test" / "0.png"]
    plain = read_labels(LabelledPhotos(**photos))
    renumbered = read_labels(LabelledPhotos(**photos, mask_classes={_RED_NUMBER: 1}, mask_others=0))
    assert plain.key(paths) != renumbered.key(paths)


def test_wrong_masks_and_settings_are_named(masked: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^data\.masks need mode: full"):
        parse_config(_values(masked, mode="crop", size=48))
    with pytest.raises(ConfigError, match=r"^data\.mask_classes must stand beside masks"):
        parse_config(_values(masked, masks=None))
    with pytest.raises(ConfigError, match=r"^data\.mask_classes and mask_others must be 0 to 255, not -1"):
        parse_config(_values(masked, mask_classes={0: -1}))
    with pytest.raises(ConfigError, match=r"^data\.mask_others must stand beside mask_classes"):
        parse_config(_values(masked, mask_classes={}, mask_others=1))
    with pytest.raises(ConfigError, match=r"^data\.masks must be a folder with maps of classes"):
        evaluate(parse_config(_values(masked, masks=str(tmp_path))), tmp_path / "out")
    with pytest.raises(ConfigError, match=r"^data\.folder has photos without real labels: 3\.png"):
        evaluate(parse_config(_values(masked, unlabelled="refuse")), tmp_path / "out")
    (tmp_path / "masks").mkdir()
    for name in "012":
        Image.new("RGB", (96, 96)).save(tmp_path / "masks" / f"{name}.png")
    with pytest.raises(ConfigError, match=r"^data\.masks: .*one number for each pixel, not RGB"):
        evaluate(parse_config(_values(masked, masks=str(tmp_path / "masks"))), tmp_path / "out")
    Image.new("L", (96, 96)).save(tmp_path / "masks" / "1.bmp")
    with pytest.raises(ConfigError, match=r"^data\.masks: .*1\.bmp and .*1\.png are of one photo, 1;"):
        evaluate(parse_config(_values(masked, masks=str(tmp_path / "masks"))), tmp_path / "out")
    (tmp_path / "masks" / "1.bmp").unlink()
    (tmp_path / "masks" / "0.png").write_bytes(b"no picture")
    with pytest.raises(ConfigError, match=r"^data\.masks: .*0\.png cannot be read"):
        evaluate(parse_config(_values(masked, masks=str(tmp_path / "masks"))), tmp_path / "out")
    for number, words in (
        (2, r"^network segmenter: .* from 0 to 1, not 2 \(with \d\)"),
        (255, r"^data\.masks: \d must have a pixel that counts for segmenter"),
    ):
        for name in "012":
            Image.new("L", (96, 96), number).save(tmp_path / "masks" / f"{name}.png")
        with pytest.raises(ConfigError, match=words):
            evaluate(
                parse_config(_values(masked, masks=str(tmp_path / "masks"), mask_classes={})),
                tmp_path / "out",
            )
    for name in "012":
        Image.new("L", (48, 96)).save(tmp_path / "masks" / f"{name}.png")
    said = r"^data\.masks: .*masks/\d\.png must be 96x96 \(width x height\), as its photo .*, not 48x96$"
    with pytest.raises(ConfigError, match=said):
        evaluate(parse_config(_values(masked, masks=str(tmp_path / "masks"))), tmp_path / "out")
