"""PNG with 16 bits a sample in colour."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

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
    body = b"tRNS" + color.astype(">u2").tobytes()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    split = data.index(b"IDAT") - 4
    again, _ = png16.read(data[:split] + chunk + data[split:])
    assert np.array_equal(again[..., :3], deep_photo)
    assert np.array_equal(again[..., 3] == 0, (deep_photo == color).all(-1))
    assert again[0, 0, 3] == 65535


def _pixel_bytes(data: bytes) -> bytes:
    """What is packed in a file's one chunk of pixels."""
    at = data.index(b"IDAT")
    return zlib.decompress(data[at + 4 : at + 4 + int.from_bytes(data[at - 4 : at], "big")])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("rows", [1, 7, 79])
def test_rows_are_filtered_in_bands_as_in_one_pass(
    deep_photo: np.ndarray, channels: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = deep_samples(deep_photo, channels)
    height, width = samples.shape[:2]
    assert height % 7 and height == 80, "the last band is lower than the others"
    whole = png16.write(samples, npp.Metadata())
    assert len(_pixel_bytes(whole)) == height * (1 + 2 * width * channels)
    monkeypatch.setattr(png16, "BAND_BYTES", 2 * width * channels * (rows + 1) - 1)
    assert len(list(png16.filtered_bands(samples))) == -(-height // rows)
    banded = png16.write(samples, npp.Metadata())
    assert _pixel_bytes(banded) == _pixel_bytes(whole)
    with Image.open(io.BytesIO(banded)) as image:
        image.load()  # its checks of lengths and sums


def test_samples_are_written_in_any_order_in_memory(deep_photo: np.ndarray) -> None:
    planes = np.ascontiguousarray(deep_photo.transpose(2, 0, 1))
    assert png16.write(planes.transpose(1, 2, 0), npp.Metadata()) == png16.write(deep_photo, npp.Metadata())


def _peak_above(call: Callable[[], Any]) -> int:
    """Bytes at the most that a call takes beyond those that were taken before, its result included."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_memory_for_a_png_of_16_bits(deep_photo: np.ndarray, channels: int) -> None:
    """Writing takes the file and a band with its filter, reading about twice the samples that it gives."""
    samples = np.tile(deep_samples(deep_photo, channels), (20, 20, 1))
    files: list[bytes] = []
    writing = _peak_above(lambda: files.append(png16.write(samples, npp.Metadata())))
    assert writing < 1.5 * len(files[0]) + 40 * png16.BAND_BYTES < samples.nbytes
    assert _peak_above(lambda: png16.read(files[0])) < 2.3 * spread_gray(samples).nbytes
