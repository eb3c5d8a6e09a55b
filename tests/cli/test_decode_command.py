"""npp decode: usage, what every format can hold, one file for each frame."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import decoded, encode, files, moving, pixels, run, save_moving
from PIL import Image

import npp
from npp.batch.animation_writing import whole_units
from npp.cli.output_files import numbered


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.bpg", "-o", "a.xyz"], "--output a.xyz: .xyz: pictures are written as .apng"),
        (["a.bpg", "-o", "a"], "--output a: no suffix: pictures are written as .apng"),
        (["a.bpg", "-o", "out/", "--format", "heic"], "--format heic: .heic: pictures are written as .apng"),
        (["a.bpg", "-o", "out/", "--format", ""], "--format : .: pictures are written as .apng"),
        (
            ["a.bpg", "-o", "a.png", "--format", "jpg"],
            "--output a.png and --format jpg contradict each other",
        ),
        (["a.bpg", "-o", "f%d.webp", "--format", ".PNG"], "--output f%d.webp and --format png contradict"),
        (["a.bpg", "-o", "a.png", "--bit-depth", "10"], "--bit-depth must be 8 or 16, not 10"),
        (["a.bpg", "-o", "a.jpg", "--quality", "0"], "--quality must be from 1 to 100, not 0"),
        (["a.bpg", "-o", "a.jpg", "--quality", "101"], "--quality must be from 1 to 100, not 101"),
    ],
)
def test_wrong_usage_of_decode(
    folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encode("photos/a.png", "-o", "a.bpg", "-q") == 0
    before = files(folder)
    assert run("decode", *arguments) == 2
    assert message in capsys.readouterr().err
    assert files(folder) == before


def test_a_format_that_says_the_same_as_the_file_is_taken(folder: Path) -> None:
    assert encode("photos/a.png", "-o", "a.bpg", "-q") == 0
    assert run("decode", "a.bpg", "-o", "a.jpg", "--format", "JPEG") == 0
    assert run("decode", "a.bpg", "-o", "out/", "--format", "webp") == 0
    for name, kind in (("a.jpg", "JPEG"), ("out/a.webp", "WEBP")):
        with Image.open(name) as picture:
            assert picture.format == kind


def test_the_quality_of_jpeg_is_95_unless_told_otherwise(folder: Path) -> None:
    assert encode("photos/a.png", "-o", "a.bpg", "-q") == 0
    for quality in (1, 95, 100):
        assert run("decode", "a.bpg", "-o", f"{quality}.jpg", "--quality", quality) == 0
    assert run("decode", "a.bpg", "-o", "usual.jpg") == 0
    assert Path("usual.jpg").read_bytes() == Path("95.jpg").read_bytes()
    assert len({Path(f"{quality}.jpg").stat().st_size for quality in (1, 95, 100)}) == 3


@pytest.mark.parametrize("suffix", ["jpg", "bmp", "webp", "gif"])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB"])
def test_16_bits_where_the_format_has_none(
    suffix: str, mode: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Image.open("photos/a.png") as image:
        image.convert(mode).save("in.png")
    assert encode("in.png", "-o", "a.bpg", "-q") == 0
    assert run("decode", "a.bpg", "-o", f"a.{suffix}", "--bit-depth", 16) == 1
    said = capsys.readouterr().err
    if mode == "LA" and suffix in ("jpg", "bmp"):
        assert "the picture has alpha" in said
    elif mode == "L":
        assert "gray of 16 bits can only be written as png, tiff or pgm, not " in said
    else:
        assert "colour of 16 bits can only be written as png, not " in said
    assert not Path(f"a.{suffix}").exists()


@pytest.mark.parametrize("suffix", ["png", "tif", "tiff", "ppm", "pgm", "pnm"])
def test_gray_of_16_bits(suffix: str, folder: Path, deep_photo: np.ndarray) -> None:
    Image.fromarray(deep_photo[..., 0]).save("in.png")
    assert encode("in.png", "-o", "a.bpg", "--bit-depth", 12) == 0
    assert run("decode", "a.bpg", "-o", f"a.{suffix}", "--bit-depth", 16) == 0
    wanted = npp.decode(Path("a.bpg").read_bytes(), dtype=torch.uint16)[0].numpy()
    assert np.array_equal(pixels(f"a.{suffix}"), wanted)
    assert len(np.unique(wanted)) > 256


@pytest.mark.parametrize("suffix", ["bmp", "jpg", "ppm"])
def test_alpha_where_the_format_has_none(
    folder: Path, photo: np.ndarray, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.dstack([photo, photo[..., :1]])).save("rgba.png")
    assert encode("rgba.png", "-o", "a.bpg", "-q") == 0
    assert run("decode", "a.bpg", "-o", f"a.{suffix}") == 1
    assert "the picture has alpha" in capsys.readouterr().err
    assert not Path(f"a.{suffix}").exists()


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [
        *itertools.product(["png", "webp", "tif"], ["L", "LA", "RGB", "RGBA"]),
        *itertools.product(["bmp", "ppm", "pgm"], ["L", "RGB"]),
    ],
)
def test_exact_formats(folder: Path, photo: np.ndarray, suffix: str, mode: str) -> None:
    alpha = np.linspace(0, 255, photo.shape[1]).astype(np.uint8)[None].repeat(photo.shape[0], 0)
    Image.fromarray(np.dstack([photo, alpha])).convert(mode).save("in.png")
    assert encode("in.png", "-o", "a.bpg", "-q") == 0
    assert run("decode", "a.bpg", "-o", f"a.{suffix}") == 0
    with Image.open(f"a.{suffix}") as image:
        written = np.asarray(image.convert("RGBA"))
    wanted = decoded("a.bpg")
    wanted = wanted.repeat(3, axis=-1) if wanted.shape[-1] == 1 else wanted
    assert np.array_equal(written[..., : wanted.shape[-1]], wanted)


def test_frames_as_files(folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    save_moving("in.webp", moving(photo), duration=40, lossless=True)
    assert encode("in.webp", "-o", "a.bpg", "--lossless") == 0
    assert run("decode", "a.bpg", "-o", "frames/f-%03d.png", "--json") == 0
    (report,) = json.loads(capsys.readouterr().out)["files"]
    names = [f"f-00{i}.png" for i in (1, 2, 3, 4)]
    assert files(folder / "frames") == names
    assert report["outputs"] == [f"frames/{name}" for name in names]
    for name, frame in zip(names, moving(photo), strict=True):
        assert np.array_equal(pixels(f"frames/{name}"), np.asarray(frame))
    assert run("decode", "a.bpg", "-o", "frames/f-%03d.png", "--skip-existing") == 0
    assert run("decode", "a.bpg", "-o", "deep/f%d.png", "--bit-depth", 16) == 0
    assert files(folder / "deep") == ["f1.png", "f2.png", "f3.png", "f4.png"]


def test_the_report_of_frames_says_their_size(
    folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.bpg").write_bytes(npp.encode_animation([photo[:40, :64], photo[8:48, :64]], effort=0))
    assert run("decode", "a.bpg", "-o", "f%d.png", "--json") == 0
    printed = capsys.readouterr()
    (found,) = json.loads(printed.out)["files"]
    assert (found["width"], found["height"], found["frames"]) == (64, 40, 2)
    assert printed.err == "a.bpg -> f%d.png: 64x40, 2 frames\n"


def test_sequence_is_whole_or_not_there(
    folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    save_moving("in.webp", moving(photo, "RGBA"), duration=40, lossless=True)
    assert encode("in.webp", "-o", "a.bpg", "-q") == 0
    Path("out").mkdir()
    Path("out/3.png").write_bytes(b"precious")
    assert run("decode", "a.bpg", "-o", "out/%d.png") == 1
    assert "out/3.png exists" in capsys.readouterr().err
    assert files(folder / "out") == ["3.png"]
    assert run("decode", "a.bpg", "-o", "out/%d.jpg") == 1
    assert files(folder / "out") == ["3.png"]


def test_frames_that_are_missing_are_written(
    folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    save_moving("in.webp", moving(photo), duration=40, lossless=True)
    assert encode("in.webp", "-o", "a.bpg", "--lossless") == 0
    assert run("decode", "a.bpg", "-o", "f%d.png") == 0
    whole = {name: Path(name).read_bytes() for name in ("f1.png", "f2.png", "f3.png", "f4.png")}
    Path("f1.png").unlink()
    Path("f4.png").unlink()
    Path("f2.png").write_bytes(b"precious")
    capsys.readouterr()
    assert run("decode", "a.bpg", "-o", "f%d.png", "--skip-existing", "--json") == 0
    (report,) = json.loads(capsys.readouterr().out)["files"]
    assert (report["status"], report["notes"]) == ("written", ["2 of 4 files were there and stay"])
    assert report["outputs"] == list(whole)
    assert Path("f2.png").read_bytes() == b"precious"
    Path("f2.png").write_bytes(whole["f2.png"])
    assert {name: Path(name).read_bytes() for name in whole} == whole
    assert run("decode", "a.bpg", "-o", "f%d.png", "--skip-existing", "--json") == 0
    (report,) = json.loads(capsys.readouterr().out)["files"]
    assert report["status"] == "skipped"
    Path("f3.png").unlink()
    Path("f3.png").mkdir()
    assert run("decode", "a.bpg", "-o", "f%d.png", "--skip-existing") == 1
    assert "f3.png is a folder" in capsys.readouterr().err


def _notes(*arguments: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Of the decoding of one file that goes well, as JSON has them."""
    capsys.readouterr()
    assert run("decode", *arguments, "--json") == 0
    printed = capsys.readouterr()
    (report,) = json.loads(printed.out)["files"]
    notes: list[str] = report["notes"]
    assert all(f"  note: {note}\n" in printed.err for note in notes)
    return notes


def test_frames_that_a_longer_animation_left_are_named(
    folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, frames in (("long", moving(photo)), ("short", moving(photo)[:2])):
        save_moving(f"{name}.webp", frames, duration=40, lossless=True)
        assert encode(f"{name}.webp", "-o", f"{name}.bpg", "-q") == 0
    for name in ("f-00.png", "f-3.png", "f-003.png", "f-03.jpg", "g-03.png"):
        Path(name).write_bytes(b"none of its frames")
    sequence = ["-o", "f-%02d.png"]
    assert _notes("long.bpg", *sequence, capsys=capsys) == []
    two = "2 files f-03.png to f-04.png were there and stay, though frame 2 is the last one"
    assert _notes("short.bpg", *sequence, "--force", capsys=capsys) == [two]
    assert _notes("short.bpg", *sequence, "--skip-existing", capsys=capsys) == [two]
    Path("f-02.png").unlink()
    assert _notes("short.bpg", *sequence, "--skip-existing", capsys=capsys) == [
        "1 of 2 files were there and stay",
        two,
    ]
    Path("f-03.png").unlink()
    one = "f-04.png was there and stays, though frame 2 is the last one"
    assert _notes("short.bpg", *sequence, "--force", capsys=capsys) == [one]
    assert Path("f-04.png").is_file()


@pytest.mark.parametrize("policy", [[], ["--force"], ["--skip-existing"]])
def test_frames_do_not_replace_the_file_that_is_read(
    policy: list[str], folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    save_moving("in.webp", moving(photo), duration=40)
    assert encode("in.webp", "-o", "f-02", "-q") == 0
    file = Path("f-02").read_bytes()
    Path("f-02").rename("f-02.png")
    assert run("decode", "f-02.png", "-o", "f-%02d.png", *policy) == 2
    assert "f-02.png could be one of f-%02d.png and is read" in capsys.readouterr().err
    assert Path("f-02.png").read_bytes() == file
    assert run("decode", "f-02.png", "-o", "f-%03d.png") == 0, "which has other names"


def test_animation_in_a_format_without(
    folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    save_moving("in.webp", moving(photo), duration=40)
    assert encode("in.webp", "-o", "a.bpg", "-q") == 0
    assert run("decode", "a.bpg", "-o", "a.jpg") == 1
    assert "an animation of 4 frames; JPEG has none" in capsys.readouterr().err
    assert run("decode", "a.bpg", "-o", "a.png", "--bit-depth", 16) == 1
    assert "16 bits: only as stills" in capsys.readouterr().err
    assert not Path("a.jpg").exists() and not Path("a.png").exists()


def test_pictures_that_are_too_large_for_a_format(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    wide = np.full((8, 65_536, 3), 90, np.uint8)
    Path("still.bpg").write_bytes(npp.encode(wide, 40, effort=0))
    Path("moving.bpg").write_bytes(npp.encode_animation([wide, wide[:, ::-1] // 2], 40, effort=0))
    before = files(folder)
    for suffix, says in (
        ("gif", "GIF allows 65535"),
        ("jpg", "JPEG allows 65500"),
        ("webp", "WEBP allows 16383"),
    ):
        refused = f"the picture is 65536x8; {says} pixels a side: write png"
        assert run("decode", "still.bpg", "-o", f"out.{suffix}") == 1
        assert capfd.readouterr().err.splitlines()[0] == f"npp: still.bpg: {refused} or tiff"
        assert run("decode", "moving.bpg", "-o", f"f%d.{suffix}") == 1
        assert capfd.readouterr().err.splitlines()[0] == f"npp: moving.bpg: {refused} or tiff"
    assert run("decode", "moving.bpg", "-o", "out.gif") == 1
    assert "GIF allows 65535 pixels a side: write png, or one file a frame" in capfd.readouterr().err
    assert files(folder) == before
    assert run("decode", "moving.bpg", "-o", "f%d.tiff") == 0
    assert pixels("f2.tiff").shape == wide.shape


def test_reference_vectors_decode(shared: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("decode", shared / "conformance", "-o", "out", "--json") == 1
    reports = json.loads(capsys.readouterr().out)["files"]
    failed = {Path(report["file"]).name for report in reports if report["status"] == "failed"}
    assert failed == {"jct_b11_420.bpg", "jct_b13_444.bpg", "jct_b14_420.bpg"}
    for report in reports:
        if report["status"] == "failed" or report["frames"] > 1:
            continue
        wanted = Path(report["file"]).with_suffix(".png")
        with Image.open(wanted) as one, Image.open(report["output"]) as other:
            mode = "RGBA" if "A" in one.getbands() else "RGB"
            assert np.array_equal(np.asarray(one.convert(mode)), np.asarray(other.convert(mode))), wanted.name


def test_a_huge_claim_is_one_failed_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = b"BPG\xfb\x20\x00" + b"\x8f\xff\xff\xff\x7f" * 2 + b"\x00"
    Path("huge.bpg").write_bytes(header + bytes(40))
    assert run("decode", "huge.bpg", "-o", "huge.png") == 1
    assert "npp: huge.bpg: " in capsys.readouterr().err
    assert not Path("huge.png").exists()


def test_numbered_and_units() -> None:
    assert numbered(Path("a/f-%04d.png"), 7) == Path("a/f-0007.png")
    assert numbered(Path("%d"), 12) == Path("12")
    third = Fraction(1, 30)
    assert whole_units([third] * 6, Fraction(1, 100)) == [3, 4, 3, 3, 4, 3]
    assert whole_units([Fraction(1, 1000)] * 3, Fraction(1, 100)) == [1, 1, 1]


def test_the_limit_on_pixels_is_named_and_moved(
    folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    save_moving("in.webp", moving(photo), duration=40)
    assert encode("in.webp", "photos/a.png", "-o", "in", "-q") == 0
    assert run("decode", "in", "-o", "out", "--max-pixels", 64 * 64) == 1
    said = capsys.readouterr().err
    assert (
        "npp: in/in.bpg: 4 frame(s) of 64x64 are 16384 pixels; at most 4096 are allowed (--max-pixels)"
        in said
    )
    assert "npp: in/a.bpg: 1 frame(s) of 112x80 are 8960 pixels" in said
    assert run("decode", "in/in.bpg", "-o", "f%d.png", "--max-pixels", 64 * 64) == 1
    assert "npp: in/in.bpg: 4 frame(s) of 64x64 are 16384 pixels" in capsys.readouterr().err
    assert run("decode", "in", "-o", "out", "--max-pixels", 4 * 64 * 64) == 0
    assert npp.get_max_pixels() == 178_956_970
    assert run("decode", "in", "-o", "huge", "--max-pixels", 10**20) == 0
    assert encode("in/in.bpg", "in/a.bpg", "-o", "again", "--max-pixels", 10**20) == 0
    capsys.readouterr()
    assert encode("in/in.bpg", "-o", "again.bpg", "--max-pixels", 64 * 64) == 1
    assert "16384 pixels; at most 4096 are allowed (--max-pixels)" in capsys.readouterr().err
