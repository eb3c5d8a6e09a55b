"""What a run leaves for people and programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from small_evaluation import QPS

import npp
import npp.cli
from npp.evaluation.report_tables import Table


def _summary(folder: Path) -> Any:
    return json.loads((folder / "summary.json").read_text())


def test_results_have_the_shape_that_compressai_reads(finished: Path) -> None:
    results = json.loads((finished / "results" / "machine.json").read_text())
    assert set(results) == {"name", "description", "results"} and results["name"] == "machine"
    assert "tune machine" in results["description"]
    lists = results["results"]
    assert set(lists) >= {"bpp", "psnr", "tiny/kl", "tiny/agreement", "bright/error", "bright/correlation"}
    assert all(len(one) == len(QPS) for one in lists.values())
    assert lists["bpp"] == sorted(lists["bpp"], reverse=True)
    assert all(10 < psnr < 60 for psnr in lists["psnr"])


def test_real_files_are_counted(finished: Path, photos: Path) -> None:
    arrays = np.load(finished / "measurements.npz")
    for i, name in enumerate(arrays["pictures"]):
        with Image.open(photos / "test" / name) as image:
            size = len(npp.encode(image, QPS[0], effort=0))
            assert arrays["bpg/bytes"][0, i] == size
            assert arrays["bpg/bpp"][0, i] == 8 * size / (image.width * image.height)


def test_arms_that_are_the_same_measure_the_same(finished: Path) -> None:
    rows = _summary(finished)["comparisons"]
    same = [
        row for row in rows if row["arm"] == "same" and row["against"] == "bpg" and row["bd_rate"] is not None
    ]
    assert same and all(row["bd_rate"] == row["overlap"] - 1 == 0 for row in same)
    arrays = np.load(finished / "measurements.npz")
    assert np.array_equal(arrays["fixed/bytes"], arrays["learned/bytes"])
    assert not np.array_equal(arrays["fixed/bytes"], arrays["bpg/bytes"])
    assert not np.array_equal(arrays["refined/tiny/kl"], arrays["bpg/tiny/kl"])


def test_summary_says_how_it_was_measured(finished: Path) -> None:
    found = _summary(finished)
    assert found["photos"] == 4 and found["qps"] == list(QPS) and found["anchor"] == "bpg"
    assert {"torch", "x265_version", "cpu"} <= set(found["computer"])
    arms = {arm["name"]: arm for arm in found["arms"]}
    assert set(arms["blur"]["prefilter"]["blur"]) == {str(qp) for qp in QPS}
    assert arms["same"]["codec"] == {"effort": 0}
    assert {one["label"]: one["seen"] for one in found["networks"]} == {"tiny": True, "bright": False}
    assert {row["quality"] for row in found["differences"]} == {"kl", "agreement", "error", "psnr"}
    metric = next(row for row in found["comparisons"] if row["quality"] == "correlation")
    assert metric["low"] is None if metric["bd_rate"] is not None else metric["problem"]


def test_tables_and_pictures(finished: Path) -> None:
    text = (finished / "table.md").read_text()
    for words in (
        "judged by tiny (seen)",
        "judged by bright (unseen)",
        "against machine",
        "| learned minus blur |",
    ):
        assert words in text
    with Image.open(finished / "curves.png") as plot, Image.open(finished / "strip.png") as strip:
        assert plot.width > 800 and plot.height > 600
        assert strip.width > 4 * 48 and strip.height > 2 * 48
        assert len(np.unique(np.asarray(strip.convert("L")))) > 50


def test_arms_are_described_in_words(finished: Path) -> None:
    for name, words in {
        "fixed": "prefilter (blur (qp 28: 0.6, qp 31: 0.6,",
        "refined": "prefilter (refine (steps 1))",
        "bpg": "BPG (effort 0), prefilter none",
    }.items():
        said = json.loads((finished / "results" / f"{name}.json").read_text())["description"]
        assert words in said and not set("{}'") & set(said) and "None" not in said, said


def test_names_break_no_markdown() -> None:
    """A network's label may be whatever its setting model is."""
    table = Table("By a|b\nc", ("arm", "net|v2\nkl"), (("x|y", "-3 %"),))
    title, blank, head, line, row = table.markdown().split("\n")
    assert (title, blank) == ("**By a|b c**", "")
    assert head == r"| arm | net\|v2 kl |" and line == "| --- | ---: |"
    assert row == r"| x\|y | -3 % |"
