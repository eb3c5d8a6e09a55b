"""PNG with 16 bits a sample in colour."""

from __future__ import annotations

import io

import numpy as np
import pytest
from command_line import EXIF, deep_samples, profile, spread_gray
from PIL import Image

import npp
from npp.photos import png16


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_png_of_16_bits_is_written_and_read_exactly(deep_photo: np.ndarray, channels: int) -> None:
    samples = deep_samples(deep_photo, channels)
    metadata = npp.Metadata(exif=EXIF, icc_profile=profile(), xmp="<é/>".encode())
    data = png16.write(samples, metadata)
    again, gray = png16.read(data)
    assert np.array_equal(again, spread_gray(samples))
    assert gray == (channels == 2)
    with Image.open(io.BytesIO(data)) as image:
        assert png16.has_deep_color(image)
        image.load()  # another reader's checks of the chunks
        assert image.getexif()[0x0112] == 6
        assert image.info["icc_profile"] == profile()
        assert image.info["XML:com.adobe.xmp"] == "<é/>"


def test_png_of_16_bits_gray_as_pillow_reads_it(deep_photo: np.ndarray) -> None:
    data = png16.write(deep_photo[..., :1], npp.Metadata())
    with Image.open(io.BytesIO(data)) as image:
        assert not png16.has_deep_color(image)
        assert np.array_equal(np.asarray(image), deep_photo[..., 0])


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_small_png_of_16_bits(size: tuple[int, int]) -> None:
    samples = np.random.default_rng(1).integers(0, 65536, (*size, 3), dtype=np.uint16)
    assert np.array_equal(png16.read(png16.write(samples, npp.Metadata()))[0], samples)


def test_transparent_color_of_a_16_bit_png(deep_photo: np.ndarray) -> None:
    data = png16.write(deep_photo, npp.Metadata())
    color = deep_photo[5, 7]
    chunk = png16._chunk(b"tRNS", color.astype(">u2").tobytes())
    split = data.index(b"IDAT") - 4
    again, _ = png16.read(data[:split] + chunk + data[split:])
    assert np.array_equal(again[..., :3], deep_photo)
    assert np.array_equal(again[..., 3] == 0, (deep_photo == color).all(-1))
    assert again[0, 0, 3] == 65535
