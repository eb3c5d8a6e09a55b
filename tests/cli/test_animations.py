"""Animations of other formats, there and back."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from command_line import EXIF, decoded, encode, moving, profile, run, save_moving
from PIL import Image

import npp
from npp.batch.animation_writing import png_milliseconds
from npp.batch.picture_reading import read_source
from npp.batch.pixel_limit import limit_on_pixels


def _frames(path: str) -> tuple[list[np.ndarray], list[Any], Any]:
    """RGBA frames, milliseconds, loop."""
    shown, times = [], []
    with Image.open(path) as image:
        for i in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(i)
            image.load()
            shown.append(np.asarray(image.convert("RGBA")))
            times.append(image.info["duration"])
        return shown, times, image.info.get("loop")


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("in.png", {"duration": [30, 50, 1000, 7]}),
        ("in.webp", {"duration": [30, 50, 1000, 7], "lossless": True}),
    ],
)
def test_animations_there_and_back(
    folder: Path, photo: np.ndarray, mode: str, path: str, options: dict[str, Any]
) -> None:
    save_moving(path, moving(photo, mode), loop=5, **options)
    assert encode(path, "-o", "a.bpg", "--lossless") == 0
    info = npp.probe(Path("a.bpg").read_bytes())
    assert info.durations == (Fraction(3, 100), Fraction(1, 20), Fraction(1), Fraction(7, 1000))
    assert (info.loop_count, info.has_alpha) == (5, mode == "RGBA")
    source, times, _ = _frames(path)
    for suffix in ("png", "apng", "webp"):
        assert run("decode", "a.bpg", "-o", f"out.{suffix}") == 0
        again, times_again, loop = _frames(f"out.{suffix}")
        assert times_again == times == [30, 50, 1000, 7]
        assert loop == 5
        for one, other in zip(source, again, strict=True):
            assert np.array_equal(one, other), suffix


@pytest.mark.parametrize(("loop", "showings"), [(None, 1), (0, 0), (1, 2), (4, 5)])
def test_gif_there_and_back(folder: Path, photo: np.ndarray, loop: int | None, showings: int) -> None:
    options = {} if loop is None else {"loop": loop}
    save_moving("in.gif", moving(photo), duration=[30, 50, 1000, 20], **options)
    assert encode("in.gif", "-o", "a.bpg", "--lossless") == 0
    info = npp.probe(Path("a.bpg").read_bytes())
    assert (info.loop_count, info.frames, info.has_alpha) == (showings, 4, False)
    assert run("decode", "a.bpg", "-o", "out.gif") == 0
    source, times, _ = _frames("in.gif")
    again, times_again, loop_again = _frames("out.gif")
    assert times == times_again == [30, 50, 1000, 20]
    assert loop_again == loop
    for one, other in zip(source, again, strict=True):
        assert np.abs(one.astype(int) - other).mean() < 4  # both have palettes of 256 colours
    assert np.array_equal(np.stack(source)[..., :3], decoded("a.bpg"))


def test_a_gif_that_is_shown_more_often_than_bpg_can_say(
    folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    save_moving("in.gif", moving(photo), duration=30, loop=65_535)
    assert encode("in.gif", "-o", "a.bpg", "--effort", "0") == 0
    assert "shown 65535 times instead of 65536: BPG counts no further" in capsys.readouterr().err
    assert npp.probe(Path("a.bpg").read_bytes()).loop_count == 65_535
    with Image.open("in.gif") as gif:
        gif.save("b.bpg", save_all=True)
        assert npp.probe(Path("b.bpg").read_bytes()).loop_count == 65_535
        with pytest.raises(npp.EncodeError, match=r"loop must be an integer from 0 .* to 65535 or None"):
            gif.save("b.bpg", save_all=True, loop=65_536)


def _animation(frames: list[Image.Image], durations: list[Fraction], loop_count: int = 3) -> list[np.ndarray]:
    """Writes a.bpg; gives what is in it, as RGBA."""
    file = npp.encode_animation(
        frames, durations=durations, lossless=True, loop_count=loop_count, metadata=npp.Metadata(xmp=b"<x/>")
    )
    Path("a.bpg").write_bytes(file)
    return [np.asarray(Image.fromarray(np.asarray(frame)).convert("RGBA")) for frame in frames]


@pytest.mark.parametrize("order", ["aaaa", "abbbbc", "aabca", "abab"])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_equal_frames_stay_frames(
    suffix: str, mode: str, order: str, folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    transparent = np.zeros((33, 21), np.uint8)
    pictures = {}
    for at, name in enumerate("abc"):
        picture = Image.fromarray(photo[:33, 9 * at : 9 * at + 21])
        picture.paste((0, 0, 0), (0, 0, 7, 9))  # black, which transparent pixels of a viewer are, too
        if "A" in mode:
            transparent[5 * at : 5 * at + 11, 3:8] = 255
            picture.putalpha(Image.fromarray(transparent))
        pictures[name] = picture.convert(mode)
    frames = [pictures[name] for name in order]
    wanted = _animation(frames, [Fraction(20 + 10 * at, 1000) for at in range(len(frames))])
    capsys.readouterr()
    assert run("decode", "a.bpg", "-o", f"out.{suffix}", "--json") == 0
    (report,) = json.loads(capsys.readouterr().out)["files"]
    assert report["notes"] == []
    shown, times, loop = _frames(f"out.{suffix}")
    assert times == [20 + 10 * at for at in range(len(frames))]
    assert loop == 3
    for one, other in zip(wanted, shown, strict=True):
        assert np.array_equal(one, other)


def test_metadata_of_an_animated_webp(folder: Path, photo: np.ndarray) -> None:
    metadata = npp.Metadata(exif=EXIF, icc_profile=profile(), xmp=b"<x:xmpmeta/>")
    Path("a.bpg").write_bytes(npp.encode_animation(moving(photo), metadata=metadata, effort=0))
    assert run("decode", "a.bpg", "-o", "out.webp") == 0
    assert encode("out.webp", "-o", "again.bpg") == 0
    assert npp.probe(Path("again.bpg").read_bytes()).metadata == metadata


def test_a_gif_has_one_frame_for_equal_ones_and_says_so(
    folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = moving(photo)[:2]
    _animation([a, a, b], [Fraction(1, 20)] * 3)
    assert run("decode", "a.bpg", "-o", "out.gif") == 0
    assert "note: 3 frames are 2 in the GIF: equal neighbours become one" in capsys.readouterr().err
    assert _frames("out.gif")[1] == [100, 50]
    _animation([a, a, b], [Fraction(400)] * 3)
    assert run("decode", "a.bpg", "-o", "long.gif") == 1
    assert (
        "equal frames, which become one in GIF, are shown for more than 655.35 s" in capsys.readouterr().err
    )
    assert not Path("long.gif").exists()


def test_durations_and_showings_that_a_format_cannot_count(
    folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    _animation(moving(photo), [Fraction(70_002 * many, 1000) for many in (1, 2, 1, 1)], loop_count=65_535)
    # npp writes no more than that, as bpgdec reads no more, but others may: 70,000 in as many bytes.
    written = Path("a.bpg").read_bytes()
    assert written.count(b"\x83\xff\x7f") == 1
    Path("a.bpg").write_bytes(written.replace(b"\x83\xff\x7f", b"\x84\xa2\x70"))
    exact = [70_002, 140_004, 70_002, 70_002]
    for suffix, times, showings in (
        ("png", exact, 70_000),
        ("webp", exact, 65_535),
        ("gif", [70_000, 140_010, 70_000, 70_000], 65_535),
    ):
        capsys.readouterr()
        if suffix == "png" and tuple(map(int, PIL.__version__.split(".")[:2])) < (12, 1):
            assert run("decode", "a.bpg", "-o", "out.png") == 1
            assert "which Pillow writes into a PNG from version 12.1 on" in capsys.readouterr().err
            continue
        assert run("decode", "a.bpg", "-o", f"out.{suffix}") == 0
        said = capsys.readouterr().err
        assert _frames(f"out.{suffix}")[1:] == (times, showings)
        assert ("times instead of 70000" in said) == (suffix != "png")
    assert [png_milliseconds(value) for value in (7, 65_536, 65_537)] == [7, 65_536, 65_540]


def test_transparent_gif(folder: Path, photo: np.ndarray) -> None:
    save_moving("in.gif", moving(photo, "RGBA"), duration=50, disposal=2, loop=0)
    assert encode("in.gif", "-o", "a.bpg", "--lossless") == 0
    assert npp.probe(Path("a.bpg").read_bytes()).has_alpha
    assert run("decode", "a.bpg", "-o", "out.gif") == 0
    for one, other in zip(_frames("in.gif")[0], _frames("out.gif")[0], strict=True):
        assert np.array_equal(one[..., 3], other[..., 3])


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("frames", [1, 3])
def test_a_gif_has_whole_alpha_alone_and_says_so(
    folder: Path, photo: np.ndarray, mode: str, frames: int, capsys: pytest.CaptureFixture[str]
) -> None:
    alpha = np.broadcast_to(np.arange(64, dtype=np.uint8)[None] * 4, (64, 64)) + np.uint8(3)
    whole = np.where(alpha >= 128, 255, 0).astype(np.uint8)
    for name, given in (("partly", alpha), ("whole", whole)):
        pictures = moving(photo)[:frames]
        for picture in pictures:
            picture.putalpha(Image.fromarray(given))
        pictures = [picture.convert(mode) for picture in pictures]
        shown = _animation(pictures, [Fraction(1, 20)] * frames) if frames > 1 else []
        if frames == 1:
            Path("a.bpg").write_bytes(npp.encode(pictures[0], lossless=True))
            shown = [np.asarray(pictures[0].convert("RGBA"))]
        capsys.readouterr()
        assert run("decode", "a.bpg", "-o", "out.gif", "--force") == 0
        note = "note: partly transparent pixels: from alpha 128 on they are opaque in the GIF, below that "
        assert (f"{note}transparent" in capsys.readouterr().err) == (name == "partly")
        with Image.open("out.gif") as image:
            assert image.n_frames == frames  # type: ignore[attr-defined]
            for at, wanted in enumerate(shown):
                image.seek(at)
                again = np.asarray(image.convert("RGBA"))
                assert np.array_equal(again[..., 3], whole)
                kept = whole > 0
                assert np.abs(again[kept].astype(int) - np.dstack([wanted[..., :3], whole])[kept]).mean() < 8


def test_an_animation_that_nobody_could_decode_is_not_encoded(
    folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("in.gif", "in.webp", "in.png", "in.bpg"):
        save_moving(path, moving(photo), duration=40)
        limit = ["--max-pixels", 4 * 64 * 64 - 1]
        assert encode(path, "-o", "a.bpg", *limit) == 1
        said = "4 frame(s) of 64x64 are 16384 pixels; at most 16383 are allowed (--max-pixels)"
        assert said in capsys.readouterr().err
        assert not Path("a.bpg").exists()
        assert encode(path, "-o", f"{path}.bpg", "--max-pixels", 4 * 64 * 64, "--json") == 0
    with monkeypatch.context() as patched, limit_on_pixels(64 * 64):
        patched.setattr(Image.Image, "copy", lambda self: pytest.fail("a frame was read"))
        with pytest.raises(npp.EncodeError, match="16384 pixels"):
            read_source(Path("in.gif").read_bytes(), keep_metadata=True)


def test_gif_without_durations(folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    save_moving("in.gif", moving(photo))
    assert encode("in.gif", "-o", "a.bpg") == 0
    assert "note: 4 frame(s) without a duration are shown for 0.1 s" in capsys.readouterr().err
    assert set(npp.probe(Path("a.bpg").read_bytes()).durations) == {Fraction(1, 10)}


def test_apng_whose_first_picture_is_no_frame(folder: Path, photo: np.ndarray) -> None:
    frames = moving(photo)
    save_moving("in.png", frames, duration=[40, 60, 80], default_image=True)
    assert encode("in.png", "-o", "a.bpg", "--lossless") == 0
    file = Path("a.bpg").read_bytes()
    assert npp.probe(file).durations == (Fraction(1, 25), Fraction(3, 50), Fraction(2, 25))
    assert np.array_equal(npp.decode(file)[0].permute(1, 2, 0).numpy(), np.asarray(frames[1]))


def test_only_the_first_page_of_a_document(
    folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    save_moving("in.tif", moving(photo))
    assert encode("in.tif", "-o", "a.bpg") == 0
    assert "note: only the first of 4 pictures" in capsys.readouterr().err
    assert npp.probe(Path("a.bpg").read_bytes()).frames == 1
