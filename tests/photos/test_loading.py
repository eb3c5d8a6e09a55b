"""Photos loaded: the samples that the file has, cut and turned; what cannot be read is named."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from command_line import deep_samples, encode
from PIL import Image

import npp
from npp.photos import png16
from npp.photos.loading import load_photo, open_covering, open_photo, photo_size, to_tensor


def save(path: Path, width: int, height: int) -> Path:
    """Red grows to the right, green downwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (width, height))
    image.putdata([(x, y, 0) for y in range(height) for x in range(width)])
    image.save(path)
    return path


def test_crop_is_the_centre_and_resize_the_whole(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", 60, 40)
    crop = (load_photo(path, 20) * 255).round()
    assert crop.shape == (3, 20, 20) and crop.dtype == torch.float32
    assert crop[0, 0].tolist() == list(range(20, 40)) and crop[1, :, 0].tolist() == list(range(10, 30))
    small = load_photo(path, 20, "resize") * 255
    assert small.shape == (3, 20, 20)
    assert small[1, 0, 0] < 3 and small[1, -1, 0] > 36
    assert load_photo(path, mode="full").shape == (3, 40, 60)
    assert load_photo(path, 50).shape == (3, 50, 50)
    wide = (load_photo(path, (10, 30)) * 255).round()
    assert wide[0, 0].tolist() == list(range(15, 45)) and wide[1, :, 0].tolist() == list(range(15, 25))
    assert load_photo(path, (10, 30), "resize").shape == (3, 10, 30)


def test_photo_is_turned_as_exif_says(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", 60, 40)
    with Image.open(path) as image:
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(tmp_path / "turned.png", exif=exif)
    assert load_photo(tmp_path / "turned.png", mode="full").shape == (3, 60, 40)


def test_load_names_wrong_arguments(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", 8, 8)
    with pytest.raises(ValueError, match="mode must be one of 'crop', 'resize', 'full', not 'fit'"):
        load_photo(path, 8, "fit")  # type: ignore[arg-type]
    assert torch.equal(load_photo(path), load_photo(path, mode="full"))
    for mode in ("crop", "resize"):
        with pytest.raises(ValueError, match=f"size must be given with mode '{mode}'; without a mode all"):
            load_photo(path, mode=mode)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="size must be a number or"):
        load_photo(path, (8, 8, 8))
    for size in (64.0, (64.5, 64), True, (True, 8), "8", 0, (8, 0), None.__class__):
        with pytest.raises(ValueError, match="size must be a number or"):
            load_photo(path, size)  # type: ignore[arg-type]
    assert load_photo(path, np.int64(8)).shape == load_photo(path, (np.int32(8), 8)).shape == (3, 8, 8)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="size must be None"):
        load_photo(path, 8, "full")
    (tmp_path / "broken.png").write_bytes(b"nothing")
    with pytest.raises(OSError, match=r"broken\.png"):
        load_photo(tmp_path / "broken.png", 8)


def test_gray_of_more_bits_is_as_bright_as_gray_of_8(tmp_path: Path, photo: np.ndarray) -> None:
    gray = np.asarray(Image.fromarray(photo).convert("L"))
    wanted = to_tensor(Image.fromarray(gray))
    deep = gray.astype(np.uint16) * 257
    kinds: dict[str, Image.Image] = {
        "deep.png": Image.fromarray(deep),
        "little.tif": Image.fromarray(deep),
        "big.tif": Image.fromarray(deep.astype(">u2")),
        "wide.tif": Image.fromarray(deep.astype(np.int32)),
        "float.tif": Image.fromarray(gray.astype(np.float32) / 255),
    }
    for name, image in kinds.items():
        image.save(tmp_path / name)
        assert torch.equal(load_photo(tmp_path / name, mode="full"), wanted), name
        assert torch.equal(to_tensor(image), wanted), name


def test_more_than_8_bits_are_rounded_not_cut(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0x10FF, 0x1080, 0x7F, 0x81]], np.uint16)).save(tmp_path / "a.png")
    loaded = load_photo(tmp_path / "a.png", mode="full") * 255
    assert loaded[0].round().int().tolist() == [[0x11, 0x10, 0, 1]]
    (tmp_path / "b.png").write_bytes(png16.write(np.full((1, 1, 3), 0x10FF, np.uint16), npp.Metadata()))
    assert (load_photo(tmp_path / "b.png", mode="full") * 255).unique().round().tolist() == [0x11]


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.array([[0, 255]], np.float32), r"values from 0 to 255; floats must lie in \[0, 1\]"),
        (np.array([[-0.5, 1]], np.float32), "values from -0.5 to 1"),
        (np.array([[np.nan, 1]], np.float32), "NaN"),
        (np.array([[0, 65536]], np.int32), "mode I holds 0..65536"),
        (np.array([[-1, 5]], np.int32), "mode I holds -1..5"),
    ],
)
def test_samples_without_a_known_white_are_refused_by_name(
    tmp_path: Path, samples: np.ndarray, message: str
) -> None:
    Image.fromarray(samples).save(tmp_path / "a.tif")
    with pytest.raises(OSError, match=rf"a\.tif: .*{message}"):
        load_photo(tmp_path / "a.tif", mode="full")


def _kinds(photo: np.ndarray, deep_photo: np.ndarray) -> Iterator[tuple[str, bytes]]:
    """Files whose samples are spelled in many ways."""
    rgb = Image.fromarray(photo)
    gray = rgb.convert("L")
    spellings: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (rgb, "PNG", {}),
        (rgb, "PNG", {"transparency": tuple(int(v) for v in photo[3, 4])}),
        (gray, "PNG", {}),
        (gray, "PNG", {"transparency": 100}),
        (rgb.convert("1"), "PNG", {"transparency": 0}),
        (rgb.quantize(16), "PNG", {"transparency": 3}),
        (rgb.quantize(16), "GIF", {}),
        (rgb.convert("LA"), "PNG", {}),
        (rgb.convert("CMYK"), "TIFF", {}),
        (rgb.convert("LAB"), "TIFF", {}),
        (Image.fromarray(np.dstack([photo, photo[..., 0]])), "PNG", {}),
        (Image.fromarray(deep_photo[..., 0]), "PNG", {}),
        (Image.fromarray(deep_photo[..., 0]), "PNG", {"transparency": int(deep_photo[0, 0, 0])}),
        (Image.fromarray(photo[..., 0].astype(np.float32) / 255), "TIFF", {}),
    ]
    for number, (image, format_name, options) in enumerate(spellings):
        out = BytesIO()
        image.save(out, format_name, **options)
        yield f"{number}.{format_name.lower()}", out.getvalue()
    for channels in (2, 3, 4):
        yield f"deep{channels}.png", png16.write(deep_samples(deep_photo, channels), npp.Metadata())


def test_training_sees_what_encode_stores(tmp_path: Path, photo: np.ndarray, deep_photo: np.ndarray) -> None:
    (tmp_path / "in").mkdir()
    for name, data in _kinds(photo, deep_photo):
        (tmp_path / "in" / name).write_bytes(data)
        assert encode(tmp_path / "in" / name, "-o", tmp_path / f"{name}.bpg", "--lossless", "-q") == 0
        stored = npp.decode((tmp_path / f"{name}.bpg").read_bytes())[:3].expand(3, -1, -1)
        seen = (load_photo(tmp_path / "in" / name, mode="full") * 255).round()
        # Gray of 16 bits with alpha reaches the codec as RGBA, whose luma is rounded once more.
        assert (seen - stored).abs().max() <= (name in ("12.png", "deep2.png")), name


def test_colour_of_transparent_pixels_is_taken_as_it_stands(tmp_path: Path, photo: np.ndarray) -> None:
    Image.fromarray(np.dstack([photo, np.zeros_like(photo[..., 0])])).save(tmp_path / "a.png")
    assert np.array_equal(np.asarray(open_photo(tmp_path / "a.png")), photo)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_in_every_format(tmp_path: Path, suffix: str, orientation: int) -> None:
    corner = np.zeros((40, 60, 3), np.uint8)
    corner[:16, :16] = 255  # top left in the file
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(corner).save(path, exif=exif)
    shown = load_photo(path, mode="full")[0]
    assert tuple(shown.shape) == photo_size(path) == ((40, 60) if orientation < 5 else (60, 40))
    top = orientation in (1, 2, 5, 6)
    left = orientation in (1, 4, 5, 8)
    assert shown[4 if top else -4, 4 if left else -4] > 0.9
    assert shown.mean() < 0.2


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize(
    "exif",
    [
        b"garbagegarbage",
        b"II*\0",
        b"II*\0\xff\xff\xff\x7f",
        b"II*\0\x08\0\0\0\x05\0\x12\x01",
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x63\0\x01\0\0\0\x06\0\0\0\0\0\0\0",  # of no known type
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x02\0\0\0\x36\0\0\0\0\0\0\0",  # a text
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0",  # 99
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns about some of them
def test_a_photo_with_damaged_exif_is_taken_as_it_stands(
    tmp_path: Path, photo: np.ndarray, suffix: str, exif: bytes
) -> None:
    path, plain = tmp_path / f"a.{suffix}", tmp_path / f"plain.{suffix}"
    Image.fromarray(photo).save(path, exif=b"Exif\0\0" + exif)
    Image.fromarray(photo).save(plain)
    assert np.array_equal(np.asarray(open_photo(path)), np.asarray(open_photo(plain)))
    assert photo_size(path) == photo.shape[:2]


def test_npps_limit_counts_not_pillows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [save(tmp_path / f"a.{suffix}", 60, 40) for suffix in ("png", "jpg", "bmp")]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # raises above twice as many
    for path in paths:
        assert load_photo(path, mode="full").shape == (3, 40, 60)
        assert photo_size(path) == (40, 60)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)  # warns
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_photo(paths[0], 20).shape == (3, 20, 20)
    npp.set_max_pixels(2399)
    try:
        for path in paths:
            for read in (load_photo, photo_size):
                with pytest.raises(
                    OSError, match=rf"{path.name}: .*60x40 = 2400 .* 2399 .*npp.set_max_pixels"
                ):
                    read(path, mode="full") if read is load_photo else read(path)
    finally:
        npp.set_max_pixels(None)


@pytest.mark.parametrize(
    ("mode", "width", "height"), [("crop", 2, 200), ("crop", 300, 1), ("resize", 1, 300)]
)
def test_a_narrow_photo_that_would_be_too_large_once_scaled_is_named(
    tmp_path: Path, mode: Literal["crop", "resize"], width: int, height: int
) -> None:
    path, size = save(tmp_path / "narrow.png", width, height), 64
    longer = max(width, height) * size // min(width, height)
    npp.set_max_pixels(longer * size)
    try:
        assert load_photo(path, size, mode).shape == (3, size, size)
        npp.set_max_pixels(longer * size - 1)
        words = rf"narrow\.png: of {width}x{height} pixels, scaled to cover 64x64, .*npp\.set_max_pixels"
        with pytest.raises(OSError, match=words):
            load_photo(path, size, mode)
        with pytest.raises(OSError, match=words):
            open_covering(path, (size, size), shrink=mode == "resize")
    finally:
        npp.set_max_pixels(None)


@pytest.mark.parametrize("suffix", ["bmp", "gif", "jpg", "png", "tif", "webp"])
def test_a_damaged_photo_is_named(tmp_path: Path, photo: np.ndarray, suffix: str) -> None:
    Image.fromarray(photo).save(tmp_path / f"whole.{suffix}")
    whole = (tmp_path / f"whole.{suffix}").read_bytes()
    path = tmp_path / f"cut.{suffix}"
    failed = 0
    random = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in random.integers(len(whole), size=4):
            damaged[place] = random.integers(256)
        path.write_bytes(damaged[: random.integers(len(whole))])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's remarks on damaged tags
                load_photo(path, mode="full")
        except OSError as error:
            failed += 1
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)  # noqa: PT017
    assert failed > 30


def test_a_missing_photo_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.jpg"):
        load_photo(tmp_path / "gone.jpg", 8)


@pytest.mark.parametrize("path", [None, 5, b"a.png", BytesIO(b"x")])
@pytest.mark.parametrize("read", [open_photo, photo_size, lambda path: load_photo(path, 8)])
def test_what_is_no_path_is_no_damaged_photo(read: Callable[[Any], object], path: object) -> None:
    with pytest.raises(TypeError, match=rf"str.*not ('|<class ')?{type(path).__name__}"):
        read(path)


@pytest.mark.parametrize("read", [open_photo, photo_size, load_photo])
def test_of_an_open_picture_it_is_told_what_makes_a_tensor(read: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError, match=r"path must be .*, not Image; npp\.photos\.to_tensor\(image\) makes"):
        read(Image.new("RGB", (4, 4)))
    with pytest.raises(TypeError, match=r"path must be .*, not BytesIO; PIL\.Image\.open reads an open file"):
        read(BytesIO(b"x"))
