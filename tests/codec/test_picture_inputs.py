"""Every kind of picture that the encoder takes: tensors, arrays and those of Pillow."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from smooth_pictures import smooth_picture

import npp


def test_every_way_to_pass_a_picture_gives_the_same_bytes() -> None:
    chw = (smooth_picture(3, 50, 70, 5) * 255).round().to(torch.uint8)
    hwc = chw.permute(1, 2, 0).contiguous().numpy()
    expected = npp.encode(chw, 30, effort=2)
    assert npp.encode(hwc, 30, effort=2) == expected
    assert npp.encode(Image.fromarray(hwc), 30, effort=2) == expected
    assert npp.encode(chw.float() / 255, 30, effort=2) == expected
    assert npp.encode(chw.double() / 255, 30, effort=2) == expected
    assert npp.encode(chw.half() / 255, 30, effort=2) == expected
    assert npp.encode(hwc[::-1].copy()[::-1], 30, effort=2) == expected
    assert npp.encode(np.asfortranarray(hwc), 30, effort=2) == expected
    assert npp.encode(chw[None].to(memory_format=torch.channels_last), 30, effort=2) == [expected]
    assert npp.encode([chw, hwc], 30, effort=2) == [expected, expected]
    padded = torch.zeros(3, 60, 90, dtype=torch.uint8)
    padded[:, 5:55, 10:80] = chw
    assert npp.encode(padded[:, 5:55, 10:80], 30, effort=2) == expected


def test_floats_are_rounded_half_up() -> None:
    values = torch.tensor([0.0, 0.49, 0.5, 0.51, 1.5, 126.5, 254.5, 255.0]) / 255
    x = values.double().reshape(1, 1, 8).expand(1, 8, 8)
    decoded = npp.decode(npp.encode(x, lossless=True))
    wanted = torch.floor(x * 255 + 0.5).to(torch.uint8)
    assert torch.equal(decoded, wanted)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I"])
def test_pil_modes(mode: str) -> None:
    gradient = np.arange(32 * 48, dtype=np.uint16).reshape(32, 48)
    if mode in ("I;16", "I"):
        image = (
            Image.fromarray(gradient * 40).convert(mode) if mode == "I" else Image.fromarray(gradient * 40)
        )
        decoded = npp.decode(npp.encode(image, lossless=True, bit_depth=12), dtype=torch.uint16)
        assert (decoded.int() - torch.from_numpy((gradient * 40).astype(np.int32))).abs().max() <= 8
        return
    image = Image.fromarray((gradient % 256).astype(np.uint8)).convert("RGB").convert(mode)
    decoded = npp.decode(npp.encode(image, lossless=True))
    if mode in ("1", "L"):
        wanted = np.asarray(image.convert("L"))[None]
    else:
        wanted = np.asarray(image.convert("RGBA" if "A" in mode else "RGB")).transpose(2, 0, 1)
    assert np.array_equal(decoded.numpy(), wanted)


def test_gray_with_alpha_is_written_without_colour() -> None:
    image = Image.fromarray(np.full((20, 20), 90, np.uint8)).convert("LA")
    data = npp.encode(image)
    assert npp.probe(data).chroma == "400" and npp.probe(data).has_alpha


@pytest.mark.parametrize("dtype", ["u2", "f4", "f8", "f2"])
def test_byte_order_does_not_matter(dtype: str) -> None:
    samples = smooth_picture(3, 20, 24, 0).permute(1, 2, 0).numpy()
    native = (samples * 65535).astype(dtype) if dtype == "u2" else samples.astype(dtype)
    wanted = npp.encode(native, 20, effort=0, bit_depth=10)
    for order in "<>":
        assert npp.encode(native.astype(order + dtype), 20, effort=0, bit_depth=10) == wanted
    with pytest.raises(TypeError, match="allowed are uint8, uint16"):
        npp.encode(native.astype(">i4"), 20)


def _reopened(image: Image.Image, **options: Any) -> Image.Image:
    """The picture as a reader of PNG gives it."""
    out = io.BytesIO()
    image.save(out, "PNG", **options)
    return Image.open(out)


@pytest.mark.parametrize(
    ("mode", "transparent", "channels"),
    [("1", 0, 4), ("L", 7, 4), ("P", 7, 4), ("RGB", (7, 7, 7), 4), ("I;16", 7, 4), ("RGB", None, 3)],
)
def test_a_transparent_colour_is_kept(mode: str, transparent: Any, channels: int) -> None:
    samples = np.ones((16, 16), np.uint16 if mode == "I;16" else np.uint8)
    samples[:, :8] = 7
    image = Image.fromarray(samples)
    if mode == "P":
        image.putpalette(bytes(range(256)) * 3)
    elif mode == "1":
        image = Image.fromarray(samples == 1)
    elif mode == "RGB":
        image = image.convert(mode)
    assert image.mode == mode
    options = {} if transparent is None else {"transparency": transparent}
    decoded = npp.decode(npp.encode(_reopened(image, **options), lossless=True, effort=0))
    assert decoded.shape[0] == channels
    if channels == 4:
        assert decoded[3, :, :8].unique().tolist() == [0]
        assert decoded[3, :, 8:].unique().tolist() == [255]


def test_pil_floats_have_the_range_of_all_floats() -> None:
    samples = np.linspace(0, 1, 16 * 16, dtype=np.float32).reshape(16, 16)
    assert npp.encode(Image.fromarray(samples), 20, effort=0) == npp.encode(samples, 20, effort=0)
    with pytest.raises(npp.EncodeError, match="image holds values from 0 to 255; floats must lie in"):
        npp.encode(Image.fromarray(samples * 255), 20)
