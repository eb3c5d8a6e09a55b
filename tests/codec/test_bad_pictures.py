"""Pictures that cannot be encoded: the exception names the argument, the value and what is allowed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import npp

GOOD = torch.rand(3, 16, 16)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (torch.full((3, 8, 8), float("nan")), ["image", "NaN", "[0, 1]"]),
        (torch.full((3, 8, 8), 1.5), ["image", "1.5", "[0, 1]"]),
        (torch.full((3, 8, 8), -0.25), ["image", "-0.25", "[0, 1]"]),
        (torch.full((3, 8, 8), float("inf")), ["image", "inf", "[0, 1]"]),
        (torch.rand(2, 8, 8), ["image", "2 channels", "1 (gray)"]),
        (torch.rand(5, 8, 8), ["image", "5 channels"]),
        (torch.rand(0, 3, 8, 8), ["image", "empty"]),
        ([], ["image", "empty"]),
        (torch.rand(3, 0, 8), ["image", "8x0", "at least 1"]),
        (np.zeros((0, 4, 3), np.uint8), ["image", "4x0"]),
        (torch.rand(8, 8), ["image", "(8, 8)", "(C, H, W)"]),
        (np.zeros((1, 2, 3, 4), np.uint8), ["image", "(1, 2, 3, 4)"]),
        ([GOOD, torch.rand(2, 8, 8)], ["image[1]", "2 channels"]),
        ([GOOD, torch.full((3, 8, 8), 7.0)], ["image[1]", "7"]),
    ],
)
def test_bad_pictures(image: Any, words: list[str]) -> None:
    with pytest.raises(npp.EncodeError) as caught:
        npp.encode(image)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("image", "help_"),
    [
        (255 * GOOD, "divide samples of 0 to 255 by 255"),
        ((GOOD - 0.5) / 0.2, "normalise after the codec"),
        (torch.full((3, 8, 8), 1.004), "clamp what is a little outside"),
        (torch.rand(20, 30, 3), r"tensors are \(C, H, W\): movedim\(-1, -3\)"),
        (np.zeros((3, 20, 30)), r"arrays are \(H, W, C\): numpy.moveaxis\(x, 0, -1\)"),
        (torch.rand(20, 30, 40), r"3 \(RGB\) and 4 \(RGBA\)$"),
    ],
)
def test_common_mistakes_are_refused_with_help(image: Any, help_: str) -> None:
    with pytest.raises(npp.EncodeError, match=help_):
        npp.encode(image)


def test_suggested_movedim_gives_channels_first() -> None:
    assert torch.rand(2, 20, 30, 3).movedim(-1, -3).shape == (2, 3, 20, 30)
    with pytest.raises(npp.EncodeError, match="movedim"):
        npp.compress(torch.rand(2, 20, 30, 3), 30)


@pytest.mark.parametrize(
    ("file", "help_"),
    [
        ("x.png", r"npp\.photos\.open_photo\(path\) opens a photo, and npp\.batch\.BatchEncoder"),
        (Path("x.png"), r"npp\.photos\.open_photo\(path\) opens a photo, and npp\.batch\.BatchEncoder"),
        (b"x.png", r"PIL\.Image\.open\(io\.BytesIO\(data\)\) opens the bytes of a file$"),
        (io.BytesIO(b"x.png"), r"PIL\.Image\.open\(file\) opens it$"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_path_or_bytes_as_picture_is_refused_with_what_opens_them(file: Any, help_: str) -> None:
    for given, name in ((file, "image"), ([file], r"image\[0\]")):
        with pytest.raises(TypeError, match=rf"^{name} must be a PIL image.*, not \w+; {help_}"):
            npp.encode(given)


def test_functions_named_in_the_message_open_paths(tmp_path: Path) -> None:
    """The functions that the message names take such paths."""
    path = tmp_path / "x.png"
    Image.new("RGB", (24, 16), (200, 100, 50)).save(path)
    file = npp.encode(npp.photos.open_photo(path))
    assert npp.decode(file).shape == (3, 16, 24)
    assert npp.batch.BatchEncoder().encode(path).file == file


@pytest.mark.parametrize(
    "image",
    [
        torch.zeros(3, 8, 8, dtype=torch.int32),
        np.zeros((8, 8), bool),
        np.zeros((8, 8), "c16"),
        "x.png",
        None,
        3,
    ],
)
def test_wrong_types(image: Any) -> None:
    with pytest.raises(TypeError, match="image"):
        npp.encode(image)


def test_oversize_is_refused_before_memory_is_taken() -> None:
    huge = torch.zeros(1, 1, 1, dtype=torch.uint8).expand(3, 40_000, 40_000)
    with pytest.raises(npp.EncodeError, match=r"40000x40000.*178956970"):
        npp.encode(huge)


@pytest.mark.parametrize(("axis", "side"), [("height", 0), ("width", 1)])
def test_a_side_above_the_longest_is_refused_with_the_longest(axis: str, side: int) -> None:
    shape = [1, 1]
    shape[side] = 2**31 - 64  # of one byte in memory
    try:
        npp.set_max_pixels(2**32)
        with pytest.raises(npp.EncodeError, match=f"{axis} must be from 1 to 2147483583, not 2147483584"):
            npp.encode(np.broadcast_to(np.uint8(0), shape))
    finally:
        npp.set_max_pixels(None)


def test_the_pixel_limit_can_be_moved() -> None:
    data = npp.encode(GOOD)
    try:
        npp.set_max_pixels(10**30)
        assert npp.decode(npp.encode(GOOD)).shape == (3, 16, 16)
        npp.set_max_pixels(255)
        assert npp.get_max_pixels() == 255
        with pytest.raises(npp.EncodeError, match=r"16x16.*255"):
            npp.encode(GOOD)
        with pytest.raises(npp.DecodeError, match=r"16x16.*255"):
            npp.decode(data)
        npp.set_max_pixels(256)
        assert npp.decode(npp.encode(GOOD)).shape == (3, 16, 16)
        assert npp.decompress([data]).shape == (1, 3, 16, 16)
        npp.set_max_pixels(1e9)  # type: ignore[arg-type]
        assert npp.get_max_pixels() == 10**9
    finally:
        npp.set_max_pixels(None)
    assert npp.decode(data).shape == (3, 16, 16)
    with pytest.raises(ValueError, match=r"pixels.*0"):
        npp.set_max_pixels(0)
    with pytest.raises(TypeError, match=r"pixels must be an integer or None, not 0\.5"):
        npp.set_max_pixels(0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [-1, 65536])
def test_gray_of_pillow_that_16_bits_do_not_hold(wrong: int) -> None:
    samples = np.full((8, 8), 65535, np.int32)
    assert npp.decode(npp.encode(Image.fromarray(samples), 0), dtype=torch.uint16).numpy().min() > 65000
    samples[3, 4] = wrong
    held = f"mode I holds {samples.min()}..{samples.max()}; 0..65535 fits into 16 bits"
    with pytest.raises(npp.EncodeError, match=held):
        npp.encode(Image.fromarray(samples))


@pytest.mark.parametrize(
    "x", [torch.rand(3, 8, 8), torch.rand(0, 3, 8, 8), torch.rand(1, 2, 8, 8), torch.rand(1, 3, 0, 8)]
)
def test_compress_refuses_bad_shapes(x: torch.Tensor) -> None:
    with pytest.raises(npp.EncodeError, match="x "):
        npp.compress(x, 30)


def test_compress_names_the_image_that_holds_nan() -> None:
    x = torch.rand(3, 3, 8, 8)
    x[1, 0, 0, 0] = float("nan")
    with pytest.raises(npp.EncodeError, match=r"x\[1\].*NaN"):
        npp.compress(x, 30)


def test_compress_refuses_other_things() -> None:
    wrong: Any = np.zeros((1, 3, 8, 8), np.float32)
    with pytest.raises(TypeError, match="x must be a torch tensor"):
        npp.compress(wrong, 30)
    with pytest.raises(TypeError, match="int64"):
        npp.compress(torch.zeros(1, 3, 8, 8, dtype=torch.int64), 30)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_tensors_without_pixels_are_named() -> None:
    x = torch.rand(3, 16, 16)
    nested = torch.nested.nested_tensor([x, x])
    for given, words in ((x.to("meta"), "on the device meta"), (x.to_sparse(), "of layout torch.sparse_coo")):
        with pytest.raises(npp.UnsupportedError, match=f"image is {words}, and the codec needs pixels"):
            npp.encode(given)
    with pytest.raises(npp.UnsupportedError, match=r"image\[0\] is nested"):
        npp.encode([nested])


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_empty_pictures_of_any_mode_are_named() -> None:
    for mode in ("L", "I", "F", "I;16"):
        with pytest.raises(npp.EncodeError, match="is 0x5 pixels; both sides must be at least 1"):
            npp.encode(Image.new(mode, (0, 5)))
    assert npp.encode(np.asmatrix(np.zeros((20, 20), np.uint8))) == npp.encode(np.zeros((20, 20), np.uint8))


def test_value_just_above_one_is_shown_with_all_digits() -> None:
    x = torch.zeros(3, 16, 16)
    x[0, 0, 0] = float(np.nextafter(np.float32(1), np.float32(2)))
    with pytest.raises(npp.EncodeError, match=r"to 1\.0000001"):
        npp.encode(x)
