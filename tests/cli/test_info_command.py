"""npp info."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
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


def test_info_names_what_a_file_has(
    folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = npp.Metadata(icc_profile=bytes(7), xmp=bytes(8), thumbnail=bytes(9), extensions=((77, b"x"),))
    file = npp.encode(np.dstack([photo, photo[..., 0]]), limited_range=True, metadata=metadata, effort=0)
    frames = [photo[:16, :32], photo[16:32, :32]]
    Path("a.bpg").write_bytes(file)
    Path("b.bpg").write_bytes(npp.encode_animation(frames, durations=0.5, loop_count=2, effort=0))
    Path("c.bpg").write_bytes(npp.encode_animation(frames, loop_count=1, effort=0))
    assert run("info", "a.bpg", "b.bpg", "c.bpg") == 0
    a, b, c = capsys.readouterr().out.split(".bpg\n")[1:]
    rows = dict(line.strip().rsplit("  ", 1) for line in a.splitlines()[:8])
    assert {name.strip(): value.strip() for name, value in rows.items()} == {
        "size": "112x80",
        "file": f"{len(file)} bytes, {8 * len(file) / (112 * 80):.4g} bpp",
        "colour": "ycbcr 420, 8 bits, limited range, alpha",
        "block QPs": "no",
        "ICC profile": "7 bytes",
        "XMP": "8 bytes",
        "thumbnail": "9 bytes",
        "extension 77": "1 bytes",
    }
    assert "2 frames, 1 s, shown 2 time(s)" in b and "2 frames, 0.08 s, shown 1 time(s)" in c


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
