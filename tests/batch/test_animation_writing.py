"""Animations of other formats: how long frames are shown, where they lie, and what is no frame."""

from __future__ import annotations

import io
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from command_line import moving
from PIL import Image

import npp
from npp.batch.animated_webp import animated_webp
from npp.batch.animation_writing import write_animation
from npp.batch.picture_reading import read_source
from npp.batch.picture_writing import WriteSettings


@pytest.mark.parametrize(
    ("name", "longest"),
    [("PNG", Fraction(65_535)), ("GIF", Fraction(65_535, 100)), ("WEBP", Fraction(16_777_215, 1000))],
)
def test_a_frame_is_shown_for_as_long_as_the_format_can_say(
    name: str, longest: Fraction, photo: np.ndarray
) -> None:
    """Sixteen bits of seconds or hundredths, twenty-four of milliseconds."""
    file = npp.encode_animation([photo, photo[::-1].copy()], 40, effort=0)
    frames, info, settings = npp.decode(file), npp.probe(file), WriteSettings(name, False, 95)
    written, _ = write_animation(
        frames, replace(info, durations=(Fraction(1, 10), longest)), npp.Metadata(), settings
    )
    with Image.open(io.BytesIO(written)) as image:
        image.seek(1)
        image.load()
        assert image.info["duration"] == pytest.approx(float(1000 * longest))
    beyond = replace(info, durations=(Fraction(1, 10), longest + Fraction(1, 1000)))
    with pytest.raises(ValueError, match=f"{name} allows {float(longest):g} s at most"):
        write_animation(frames, beyond, npp.Metadata(), settings)


@pytest.mark.parametrize("shown", [1, 2])
def test_a_single_frame_beside_a_picture_that_is_none_is_a_still(shown: int, photo: np.ndarray) -> None:
    first, *others = moving(photo)
    out = io.BytesIO()
    first.save(
        out, "PNG", save_all=True, append_images=others[:shown], default_image=True, duration=[40] * shown
    )
    source = read_source(out.getvalue(), keep_metadata=False)
    assert (source.durations is None) == (shown == 1)
    assert len(source.frames) == shown
    if shown == 2:
        assert source.durations == [Fraction(1, 25)] * 2
    pixels = [np.asarray(one) for one in (source.frames[0], others[0])]
    assert np.array_equal(pixels[0], pixels[1])


def _chunks(file: bytes) -> list[tuple[bytes, bytes]]:
    """Of a RIFF file, each followed by a byte that fills it up to an even length."""
    assert file[:4] == b"RIFF" and file[8:12] == b"WEBP"
    assert int.from_bytes(file[4:8], "little") + 8 == len(file)
    found, place = [], 12
    while place < len(file):
        length = int.from_bytes(file[place + 4 : place + 8], "little")
        found.append((file[place : place + 4], file[place + 8 : place + 8 + length]))
        place += 8 + length + length % 2
    assert place == len(file)
    return found


@pytest.mark.parametrize("filler", [b"", b"!"])
def test_what_follows_a_chunk_of_odd_length_is_found(filler: bytes) -> None:
    metadata = npp.Metadata(
        exif=b"II*\0\x08\0\0\0\0\0\0\0\0\0" + filler, icc_profile=b"profile!" + filler, xmp=b"<x/>" + filler
    )
    pictures = [Image.new("RGB", (5, 7), colour) for colour in ("teal", "red", "red")]
    chunks = _chunks(animated_webp(pictures, [10, 20, 30], 3, metadata))
    assert [name for name, _ in chunks] == [b"VP8X", b"ICCP", b"ANIM", *[b"ANMF"] * 3, b"EXIF", b"XMP "]
    said = dict(chunks)
    assert said[b"ICCP"] == metadata.icc_profile and said[b"XMP "] == metadata.xmp
    assert said[b"ANIM"][4:] == b"\x03\0" and said[b"VP8X"][4:] == b"\x04\0\0\x06\0\0"
    times = [int.from_bytes(data[12:15], "little") for name, data in chunks if name == b"ANMF"]
    assert times == [10, 20, 30]


@pytest.mark.parametrize("place", [(3, 5), (4, 6), (3, 6), (0, 0), (10, 8)])
def test_a_change_is_drawn_where_it_is(place: tuple[int, int]) -> None:
    """Frames begin at even places alone."""
    pictures = [Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8))]
    for colour in ((1, 2, 3), (250, 3, 9)):
        changed = pictures[-1].copy()
        changed.putpixel(place, colour)
        pictures.append(changed)
    pictures.append(pictures[-1].copy())
    with Image.open(io.BytesIO(animated_webp(pictures, [10] * 4, 0, npp.Metadata()))) as image:
        for number, picture in enumerate(pictures):
            image.seek(number)
            assert np.array_equal(np.asarray(image.convert("RGB")), np.asarray(picture)), number
