"""Pictures that are too large for a format are refused before they are decoded, and told a way out."""

from __future__ import annotations

import io
import re
import struct
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from PIL import Image

import npp
from npp.batch import BatchDecoder, batch_units
from npp.batch.animation_writing import write_animation
from npp.batch.picture_writing import LONGEST_SIDES, WriteSettings, write_still
from npp.recipes.size_extension import with_size

_SINGLE_FILES = "one file a frame with a name like frame-%03d.png"
_OF_PILLOW = (OSError, OverflowError, ValueError, struct.error)  # by format and version
_FORMATS = pytest.mark.parametrize("name", sorted(LONGEST_SIDES))


def _picture(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 90, np.uint8)


def _file(height: int, width: int, **options: Any) -> bytes:
    return npp.encode(_picture(height, width), 40, effort=0, **options)


def _refused(name: str, height: int, width: int, ways: str) -> str:
    """The message in full, as a pattern."""
    longest = LONGEST_SIDES[name]
    return re.escape(f"the picture is {width}x{height}; {name} allows {longest} pixels a side: write {ways}")


@pytest.fixture
def undecoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is decoded in this test fails."""

    def decode_file(*arguments: object) -> NoReturn:
        raise AssertionError("decoded in vain")

    monkeypatch.setattr(batch_units, "decode_file", decode_file)


@_FORMATS
def test_the_longest_side_of_a_format_is_written(name: str) -> None:
    longest = LONGEST_SIDES[name]
    for height, width in ((8, longest), (longest, 8)):
        written = BatchDecoder(f".{name.lower()}").decode(_file(height, width)).file
        assert written is not None
        with Image.open(io.BytesIO(written)) as image:
            assert (image.format, image.size) == (name, (width, height))


@_FORMATS
def test_pillow_writes_no_longer_side(name: str) -> None:
    for size in ((LONGEST_SIDES[name] + 1, 1), (1, LONGEST_SIDES[name] + 1)):
        with pytest.raises(_OF_PILLOW):
            Image.new("RGB", size).save(io.BytesIO(), name)


@_FORMATS
def test_a_longer_side_is_refused_before_decoding(name: str, undecoded: None) -> None:
    longer = LONGEST_SIDES[name] + 1
    for height, width in ((8, longer), (longer, 8)):
        with pytest.raises(ValueError, match=f"^{_refused(name, height, width, 'png or tiff')}$"):
            BatchDecoder(f".{name.lower()}").decode(_file(height, width))


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".bmp", ".ppm"])
def test_other_formats_hold_longer_sides(suffix: str) -> None:
    written = BatchDecoder(suffix).decode(_file(8, 65_536)).file
    assert written is not None
    with Image.open(io.BytesIO(written)) as image:
        assert image.size == (65_536, 8)


@pytest.mark.parametrize("name", ["GIF", "WEBP"])
def test_an_animation_that_is_too_large_is_not_told_that_it_is_too_long(name: str, undecoded: None) -> None:
    width = LONGEST_SIDES[name] + 1
    frames = [_picture(8, width), 2 * _picture(8, width)]
    file = npp.encode_animation(frames, 40, effort=0)
    refused = f"^{_refused(name, 8, width, f'png, or {_SINGLE_FILES}')}$"
    with pytest.raises(ValueError, match=refused):
        BatchDecoder(f".{name.lower()}").decode(file)
    with pytest.raises(ValueError, match=refused):
        write_animation(npp.decode(file), npp.probe(file), npp.Metadata(), WriteSettings(name, False, 95))


def test_an_animation_that_is_too_large_for_others_is_written_as_png() -> None:
    file = npp.encode_animation([_picture(8, 65_536), 2 * _picture(8, 65_536)], 40, effort=0)
    written = BatchDecoder(".png").decode(file).file
    assert written is not None
    with Image.open(io.BytesIO(written)) as image:
        assert (image.size, getattr(image, "n_frames", 1)) == ((65_536, 8), 2)


@_FORMATS
def test_pixels_are_refused_whatever_their_file_says(name: str) -> None:
    width = LONGEST_SIDES[name] + 1
    frame, info = torch.zeros(3, 8, width, dtype=torch.uint8), npp.probe(_file(8, 8))
    with pytest.raises(ValueError, match=f"^{_refused(name, 8, width, 'png or tiff')}$"):
        write_still(frame, info, npp.Metadata(), WriteSettings(name, False, 95))


def test_the_size_that_counts_is_that_of_the_written_picture() -> None:
    """A picture that was coded smaller fits as it is coded, and not at the size that it had."""
    file = _file(16, 9000, metadata=with_size(None, 32, 18_000))
    written = BatchDecoder(".webp").decode(file).file
    assert written is not None
    with Image.open(io.BytesIO(written)) as image:
        assert image.size == (9000, 16)
    with pytest.raises(ValueError, match=f"^{_refused('WEBP', 32, 18_000, 'png or tiff')}$"):
        BatchDecoder(".webp", restore_size=True).decode(file)


def test_what_else_a_format_cannot_hold_is_told_before_decoding(undecoded: None) -> None:
    alpha = npp.encode(np.zeros((8, 8, 4), np.uint8), 40, effort=0)
    with pytest.raises(ValueError, match="the picture has alpha, which JPEG cannot hold"):
        BatchDecoder(".jpg").decode(alpha)
    with pytest.raises(ValueError, match="colour of 16 bits can only be written as png, not TIFF"):
        BatchDecoder(".tif", bit_depth=16).decode(_file(8, 8))
    moving = npp.encode_animation([_picture(8, 8), 2 * _picture(8, 8)], 40, effort=0)
    with pytest.raises(ValueError, match="an animation of 2 frames; BMP has none"):
        BatchDecoder(".bmp").decode(moving)
