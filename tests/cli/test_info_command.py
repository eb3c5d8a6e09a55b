"""npp info."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import encode, run

import npp


def test_info(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("photos/a.png", "-o", "a.bpg", "--chroma", "444", "--bit-depth", 10, "-q") == 0
    assert run("info", "a.bpg", "--json") == 0
    (document,) = json.loads(capsys.readouterr().out)["files"]
    info = npp.probe(Path("a.bpg").read_bytes())
    for name in (
        "width",
        "height",
        "chroma",
        "color_space",
        "bit_depth",
        "has_alpha",
        "frames",
        "loop_count",
    ):
        assert document[name] == getattr(info, name)
    assert document["durations"] == [[0, 1]]
    assert document["bytes"] == Path("a.bpg").stat().st_size
    assert run("info", "a.bpg") == 0
    out = capsys.readouterr().out
    assert "112x80" in out and "ycbcr 444, 10 bits" in out


def test_info_of_bad_files_goes_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("photos/a.png", "-o", "a.bpg", "-q") == 0
    assert run("info", "photos/a.png", "missing.bpg", "a.bpg") == 1
    out, err = capsys.readouterr()
    assert "112x80" in out
    assert "npp: photos/a.png: " in err and "npp: missing.bpg: No such file" in err
    assert run("info", "photos/a.png", "a.bpg", "--json") == 1
    bad, good = json.loads(capsys.readouterr().out)["files"]
    assert bad["error"] and good["width"] == 112


def test_info_agrees_with_the_manifest(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vectors = shared / "conformance"
    assert run("info", "--json", vectors) == 0
    documents = {Path(doc["file"]).name: doc for doc in json.loads(capsys.readouterr().out)["files"]}
    assert len(documents) == len(list(vectors.glob("*.bpg")))
    assert documents["anim_delays.bpg"]["durations"] == [[1, 10], [1, 5], [1, 10], [2, 5], [1, 10], [3, 10]]
    assert [tag for tag, _ in documents["meta_jpeg_exif_icc_xmp.bpg"]["extensions"]] == [1, 3, 2]
    assert (
        run("info", vectors / "anim_delays.bpg", vectors / "alpha_premul.bpg", vectors / "jpeg_cmyk.bpg") == 0
    )
    out = capsys.readouterr().out
    assert "6 frames, 1.2 s, shown for ever" in out
    assert "alpha, premultiplied" in out and "CMYK" in out
