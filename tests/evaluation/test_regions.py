"""Readers judge the region of each photo that a table names, and real texts stand apart from their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_evaluation import QPS, reader, values, with_data

from npp.config.yaml_files import ConfigError
from npp.evaluation.evaluate_config import parse_config
from npp.evaluation.evaluation_run import evaluate
from npp.evaluation.region_files import regions_listed
from npp.tasks.region_task import Region

_COLOURS = {"a": (230, 20, 20), "b": (20, 230, 20), "c": (20, 20, 230), " ": (60, 60, 60)}
#: What stands in each photo at x, y, of 48x16 pixels, and what the table says.
_PLATES = {
    "0.png": ((8, 24), "a b c ", "abc"),
    "1.png": ((32, 64), "b a b ", "bab"),
    "2.png": ((40, 0), "c c a ", "cca"),
    "3.png": ((0, 80), "a c b ", "aaa"),  # the table is wrong, or the reader
}


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of stripes, with a plate in each, and the table."""
    root = tmp_path_factory.mktemp("plates")
    (root / "test").mkdir()
    rows = ["file,x,y,width,height,text"]
    for name, ((x, y), shown, text) in _PLATES.items():
        pixels = np.full((96, 96, 3), 60, np.uint8)
        pixels[:, ::2] = 200, 30, 30  # a whole photo says something else
        for i, one in enumerate(shown):
            pixels[y : y + 16, x + 8 * i : x + 8 * i + 8] = _COLOURS[one]
        Image.fromarray(pixels).save(root / "test" / name)
        rows.append(f"{name},{x},{y},48,16,{text}")
    (root / "regions.csv").write_text("\n".join(rows))
    return root


def _values(root: Path, **changes: Any) -> dict[str, Any]:
    data = {
        "folder": str(root / "test"),
        "mode": "full",
        "part": "all",
        "regions": str(root / "regions.csv"),
    }
    arms = [{"name": "bpg", "effort": 0}, {"name": "half", "effort": 0, "scale": 0.5}]
    given = values(root, data=data, arms=arms, unseen=[reader()], **changes)
    return {key: value for key, value in given.items() if key != "selection"}


def test_a_reader_is_given_the_region_and_its_text(plates: Path, tmp_path: Path) -> None:
    found = evaluate(parse_config(_values(plates)), tmp_path)
    assert found.measured.clean["reader", "exact_match"] == 0.75
    assert found.measured.clean["reader", "true_character_error_rate"] == pytest.approx(2 / 3 / 4)
    axes = {axis.name: axis for axis in found.measured.axes if axis.network == "reader"}
    true = {"ctc", "exact_match", "true_character_error_rate"}
    assert set(axes) == true | {"kl", "word_accuracy", "character_error_rate"}
    assert {name for name, axis in axes.items() if axis.true} == true
    assert axes["exact_match"].higher_is_better and not axes["true_character_error_rate"].higher_is_better
    scores = found.measured.arms["bpg"].scores
    assert scores["reader", "exact_match"].shape == (len(QPS), 4)
    # At the finest qp it reads what it reads on the original; the wrong text stays wrong.
    assert scores["reader", "word_accuracy"][0].mean() == 1
    by_name = dict(zip(found.measured.pictures, scores["reader", "exact_match"][0], strict=True))
    assert by_name == {"0.png": 1, "1.png": 1, "2.png": 1, "3.png": 0}
    text = (tmp_path / "table.md").read_text()
    assert "judged by reader (unseen) against real labels" in text
    again = evaluate(parse_config(_values(plates)), tmp_path)
    assert again.measured.clean == found.measured.clean


def test_the_first_network_may_be_a_reader(plates: Path, tmp_path: Path) -> None:
    given = {**_values(plates), "seen": [reader()], "unseen": [], "strip": {"photos": 1}}
    evaluate(parse_config(given), tmp_path)
    assert (tmp_path / "strip.png").stat().st_size > 0


def test_selection_photos_are_read_in_their_regions_too(plates: Path, tmp_path: Path) -> None:
    given = {
        **_values(plates),
        "seen": [reader()],
        "unseen": [],
        "selection": {"include": "0.png", "part": "all"},
    }
    given["data"] = {**given["data"], "include": ["1.png", "2.png"]}
    given["arms"] = [{"name": "bpg", "effort": 0}, {"name": "best", "codec_of": "best", "scale": 0.5}]
    config = parse_config(given)
    assert config.selection is not None and config.selection.regions == given["data"]["regions"]
    evaluate(config, tmp_path)


def test_without_texts_there_are_no_real_labels(plates: Path, tmp_path: Path) -> None:
    table = tmp_path / "regions.csv"
    rows = [line.rsplit(",", 1)[0] for line in (plates / "regions.csv").read_text().splitlines()]
    table.write_text("\n".join(rows))
    given = _values(plates)
    found = evaluate(parse_config(with_data(given, regions=str(table))), tmp_path)
    assert not any(axis.true for axis in found.measured.axes)
    assert found.measured.arms["bpg"].scores["reader", "word_accuracy"][0].mean() == 1


def test_wrong_tables_and_settings_are_named(plates: Path, tmp_path: Path) -> None:
    given = _values(plates)
    with pytest.raises(ConfigError, match=r"^data\.regions need mode: full"):
        parse_config(with_data(given, mode="crop", size=48))
    with pytest.raises(ConfigError, match=r"^data\.regions: .*gone\.csv"):
        evaluate(parse_config(with_data(given, regions=str(tmp_path / "gone.csv"))), tmp_path)
    several = tmp_path / "several.csv"
    several.write_text((plates / "regions.csv").read_text() + "\n0.png,1,1,8,8,abc")
    with pytest.raises(ConfigError, match=r"^data\.regions: .*one line for each photo, not more for 0\.png"):
        evaluate(parse_config(with_data(given, regions=str(several))), tmp_path)
    few = tmp_path / "few.csv"
    few.write_text("file,x,y,width,height,text\n0.png,8,24,48,16,abc")
    with pytest.raises(ConfigError, match=r"^data\.folder has photos without real labels: .*\.png"):
        evaluate(parse_config(with_data(given, regions=str(few))), tmp_path)
    maps = [{"name": "bpg"}, {"name": "map", "map": {"gradients": ["reader"]}}]
    with pytest.raises(ConfigError, match=r"arms\[1\]\.map takes the gradients of whole photos"):
        parse_config({**_values(plates), "seen": [reader()], "unseen": [], "arms": maps})


def test_a_text_that_a_reader_cannot_say_is_found_before_anything_is_measured(
    plates: Path, tmp_path: Path
) -> None:
    """It is that of the last photo, which no first look at the networks sees."""
    table = tmp_path / "regions.csv"
    table.write_text((plates / "regions.csv").read_text().replace("aaa", "aza"))
    given = _values(plates)
    stages: list[str] = []

    def stage(name: str, total: int) -> Any:
        stages.append(name)
        return lambda done: None

    config = parse_config(with_data(given, regions=str(table)))
    text = r"^data\.regions: the text of 3\.png is not one for reader: 'aza' has the character 'z'"
    with pytest.raises(ConfigError, match=text):
        evaluate(config, tmp_path / "run", stage)
    assert not stages


@pytest.mark.parametrize("photo", ["0.png", "3.png"])
def test_a_text_that_is_too_long_for_its_region_is_told_with_key_and_photo(
    plates: Path, tmp_path: Path, photo: str
) -> None:
    """Whether the first look at the networks sees it or not."""
    table = tmp_path / "regions.csv"
    rows = [line.split(",") for line in (plates / "regions.csv").read_text().splitlines()]
    rows = [[*row[:-1], "abcabca"] if row[0] == photo else row for row in rows]
    table.write_text("\n".join(",".join(row) for row in rows))
    stages: list[str] = []

    def stage(name: str, total: int) -> Any:
        stages.append(name)
        return lambda done: None

    config = parse_config(with_data(_values(plates), regions=str(table)))
    said = (
        rf"^data\.regions: the text 'abcabca' of {photo} is too long for reader: its 7 characters need 7 "
        r"steps, .* gives 6 for this picture$"
    )
    with pytest.raises(ConfigError, match=said):
        evaluate(config, tmp_path / "run", stage)
    assert not stages


def test_a_table_may_list_several_regions(tmp_path: Path) -> None:
    table = tmp_path / "regions.csv"
    table.write_text("file,x,y,width,height,text\na.png,1,2,3,4,AB\na.png,5,6,7,8,")
    rows = regions_listed(str(table))["a.png"]
    assert rows == [(Region(1, 2, 4, 6), "AB"), (Region(5, 6, 12, 14), None)]
    table.write_text("file,x,y,width,height\na.png,-1,2,3,4")
    with pytest.raises(ValueError, match=r"^regions: .*, line \d: .*a region at -1, 2 of 3x4"):
        regions_listed(str(table))


def test_a_region_beside_its_photo_is_named(plates: Path, tmp_path: Path) -> None:
    """As those of the photo before it was shrunk."""
    table = tmp_path / "regions.csv"
    table.write_text((plates / "regions.csv").read_text().replace("2.png,40,0,", "2.png,400,0,"))
    given = _values(plates)
    with pytest.raises(
        ConfigError,
        match=r"^data\.regions: 2\.png must be marked within its 96x96 pixels .*, not from 400, 0 to ",
    ):
        evaluate(parse_config(with_data(given, regions=str(table))), tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.json"))
