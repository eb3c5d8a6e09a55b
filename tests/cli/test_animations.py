"""Animations of other formats, there and back."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import decoded, encode, moving, run, save_moving
from PIL import Image

import npp


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
            visible = one[..., 3] > 0  # an animated WebP may change the colour of transparent pixels
            assert np.array_equal(one[..., 3], other[..., 3])
            assert np.array_equal(one[visible], other[visible])


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


def test_transparent_gif(folder: Path, photo: np.ndarray) -> None:
    save_moving("in.gif", moving(photo, "RGBA"), duration=50, disposal=2, loop=0)
    assert encode("in.gif", "-o", "a.bpg", "--lossless") == 0
    assert npp.probe(Path("a.bpg").read_bytes()).has_alpha
    assert run("decode", "a.bpg", "-o", "out.gif") == 0
    for one, other in zip(_frames("in.gif")[0], _frames("out.gif")[0], strict=True):
        assert np.array_equal(one[..., 3], other[..., 3])


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
