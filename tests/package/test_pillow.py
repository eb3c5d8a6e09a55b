"""The Pillow plugin: what Pillow users expect of a format."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import cmyk_bpg
from PIL import Image, ImageSequence, UnidentifiedImageError

import npp
import npp.pillow
from npp.codec.limits import max_pixels_within
from npp.pillow import BpgImageFile

FAST: dict[str, Any] = {"effort": 1}
EXIF = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # orientation 6


def _saved(image: Image.Image, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, "BPG", **{**FAST, **options})
    return out.getvalue()


def _opened(data: bytes) -> BpgImageFile:
    image = Image.open(io.BytesIO(data))
    assert isinstance(image, BpgImageFile)
    return image


def _moving(photo: np.ndarray, count: int = 4) -> list[Image.Image]:
    return [Image.fromarray(np.ascontiguousarray(photo[:64, 4 * i : 4 * i + 64])) for i in range(count)]


def test_registered(photo: np.ndarray, tmp_path: Path) -> None:
    assert Image.registered_extensions()[".bpg"] == "BPG"
    assert Image.MIME["BPG"] == "image/bpg"
    path = tmp_path / "a.BPG"
    Image.fromarray(photo).save(path, **FAST)
    with Image.open(path) as image:
        assert image.format == "BPG"
        assert image.get_format_mimetype() == "image/bpg"
        assert image.size == (112, 80)
        assert "is_animated" in dir(image)


def test_pixels_are_the_codecs(photo: np.ndarray) -> None:
    data = _saved(Image.fromarray(photo), qp=30, chroma="444", bit_depth=10)
    assert data == npp.encode(photo, 30, chroma="444", bit_depth=10, **FAST)
    wanted = npp.decode(data).permute(1, 2, 0).numpy()
    assert np.array_equal(np.asarray(_opened(data)), wanted)


def test_open_does_not_decode(photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    data = _saved(Image.fromarray(photo))
    calls: list[int] = []
    real = npp.pillow.decode

    def counting(file: bytes, **options: Any) -> torch.Tensor:
        calls.append(len(file))
        return real(file, **options)

    monkeypatch.setattr(npp.pillow, "decode", counting)
    image = _opened(data)
    assert (image.size, image.mode, image.n_frames, image.is_animated) == ((112, 80), "RGB", 1, False)
    assert calls == []
    image.load()
    image.load()
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("1", "L"),
        ("L", "L"),
        ("LA", "LA"),
        ("La", "LA"),
        ("P", "RGB"),
        ("PA", "RGBA"),
        ("RGB", "RGB"),
        ("RGBX", "RGB"),
        ("RGBA", "RGBA"),
        ("RGBa", "RGBA"),
        ("CMYK", "RGB"),
        ("YCbCr", "RGB"),
        ("HSV", "RGB"),
        ("LAB", "RGB"),
    ],
)
def test_modes(photo: np.ndarray, mode: str, expected: str) -> None:
    rgb = Image.fromarray(photo)
    by_way_of = {"PA": "RGBA", "RGBa": "RGBA", "La": "LA"}.get(mode)
    image = (rgb.convert(by_way_of) if by_way_of else rgb).convert(mode)
    again = _opened(_saved(image, qp=10, chroma="444"))
    assert again.mode == expected
    wanted = np.asarray((image.convert("LA") if mode == "La" else image).convert("RGB")).astype(int)
    assert np.abs(np.asarray(again.convert("RGB")).astype(int) - wanted).mean() < 3


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
def test_gray_of_16_bits(deep_photo: np.ndarray, mode: str) -> None:
    gray = deep_photo[..., 1]
    image = Image.fromarray(gray).convert("I")
    image = image if mode == "I" else image.convert(mode)
    again = _opened(_saved(image, bit_depth=12, lossless=True))
    assert again.mode == "I;16"
    assert np.abs(np.asarray(again).astype(int) - gray).max() <= 16  # 12 of 16 bits are kept
    assert _opened(_saved(image)).mode == "L"


def test_lossless_is_exact(photo: np.ndarray) -> None:
    alpha = np.linspace(0, 255, photo.shape[1]).astype(np.uint8)[None].repeat(photo.shape[0], 0)
    for image in (Image.fromarray(photo), Image.fromarray(photo).convert("L"), Image.fromarray(photo)):
        again = _opened(_saved(image, lossless=True))
        assert np.array_equal(np.asarray(again), np.asarray(image))
    image = Image.fromarray(np.dstack([photo, alpha]))
    assert np.array_equal(np.asarray(_opened(_saved(image, lossless=True))), np.asarray(image))
    image = image.convert("LA")
    assert np.array_equal(np.asarray(_opened(_saved(image, lossless=True))), np.asarray(image))


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_transparency_that_is_no_channel(photo: np.ndarray, mode: str) -> None:
    image = Image.fromarray(photo).convert(mode)
    image.putpixel((0, 0), {"P": 7, "L": 7, "RGB": (1, 2, 3)}[mode])
    image.info["transparency"] = {"P": 7, "L": 7, "RGB": (1, 2, 3)}[mode]
    again = _opened(_saved(image, lossless=True))
    assert again.mode == ("LA" if mode == "L" else "RGBA")
    assert again.getchannel("A").getpixel((0, 0)) == 0
    assert np.array_equal(np.asarray(again), np.asarray(image.convert(again.mode)))


def test_metadata_goes_through(photo: np.ndarray) -> None:
    image = Image.fromarray(photo)
    again = _opened(_saved(image, exif=b"Exif\0\0" + EXIF, icc_profile=b"profile" * 30, xmp=b"<x/>"))
    assert again.info == {"exif": b"Exif\0\0" + EXIF, "icc_profile": b"profile" * 30, "xmp": b"<x/>"}
    assert dict(again.getexif()) == {0x0112: 6}
    stored = npp.probe(_saved(image, exif=again.getexif())).metadata.exif
    assert stored is not None
    assert stored[:2] in (b"II", b"MM")
    assert dict(_opened(_saved(image, exif=again.getexif())).getexif()) == {0x0112: 6}
    assert npp.probe(_saved(image, exif=b"", xmp="", icc_profile=None)).extensions == ()
    assert npp.probe(_saved(image, xmp="<é/>")).metadata.xmp == "<é/>".encode()


def test_profile_follows_the_picture_unless_it_is_of_other_colors(photo: np.ndarray) -> None:
    image = Image.fromarray(photo)
    image.info["icc_profile"] = b"rgb profile"
    assert _opened(_saved(image)).info["icc_profile"] == b"rgb profile"
    assert "icc_profile" not in _opened(_saved(image, icc_profile=None)).info
    cmyk = image.convert("CMYK")
    cmyk.info["icc_profile"] = b"cmyk profile"
    assert "icc_profile" not in _opened(_saved(cmyk)).info


def test_reference_encoders_exif_and_xmp(shared: Path) -> None:
    with Image.open(shared / "conformance" / "meta_jpeg_exif_icc_xmp.bpg") as image:
        assert image.getexif()[0x010E] == "conformance vector"
        assert image.getexif()[0x0112] == 6
        assert image.info["xmp"].startswith(b"<?xpacket")
        assert image.info["icc_profile"][36:40] == b"acsp"


def test_animation(photo: np.ndarray) -> None:
    frames = _moving(photo)
    data = _saved(
        frames[0],
        save_all=True,
        append_images=frames[1:],
        duration=[40, 80, 40, 1000],
        loop=3,
        qp=20,
        xmp=b"<x/>",
    )
    info = npp.probe(data)
    assert info.durations == (Fraction(1, 25), Fraction(2, 25), Fraction(1, 25), Fraction(1))
    assert info.metadata.xmp == b"<x/>"
    image = _opened(data)
    assert (image.n_frames, image.is_animated, image.info["loop"], image.info["duration"]) == (4, True, 3, 40)
    decoded = npp.decode(data).permute(0, 2, 3, 1).numpy()
    for number in (0, 3, 1, 2, 0):
        image.seek(number)
        assert image.tell() == number
        assert np.array_equal(np.asarray(image), decoded[number])
        assert image.info["duration"] == [40, 80, 40, 1000][number]
    for frame, wanted in zip(ImageSequence.Iterator(image), decoded, strict=True):
        assert np.array_equal(np.asarray(frame), wanted)
    with pytest.raises(EOFError):
        image.seek(4)


def test_animation_is_copied_with_its_timing(photo: np.ndarray) -> None:
    frames = _moving(photo)
    first = _saved(frames[0], save_all=True, append_images=frames[1:], duration=[33, 50, 33.5, 20], loop=2)
    source = _opened(first)
    source.seek(2)
    copy = _opened(_saved(source, save_all=True, lossless=True))
    assert source.tell() == 2
    assert copy.info["loop"] == 2
    assert [_duration(copy, number) for number in range(4)] == [33, 50, 33.5, 20]


def _duration(image: Image.Image, number: int) -> Any:
    image.seek(number)
    return image.info["duration"]


def test_gif_to_bpg(photo: np.ndarray) -> None:
    frames = _moving(photo)
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=[50, 60, 70, 80], loop=0)
    gif = Image.open(out)
    image = _opened(_saved(gif, save_all=True, lossless=True))
    assert [_duration(image, number) for number in range(4)] == [50, 60, 70, 80]
    for number in range(4):
        gif.seek(number)
        image.seek(number)
        assert np.array_equal(np.asarray(image.convert("RGBA")), np.asarray(gif.convert("RGBA")))


def test_frames_without_duration_get_a_tenth_of_a_second(photo: np.ndarray) -> None:
    frames = _moving(photo, 2)
    image = _opened(_saved(frames[0], save_all=True, append_images=frames[1:]))
    assert image.info["duration"] == 100
    assert image.info["loop"] == 0


def test_frames_of_different_modes(photo: np.ndarray) -> None:
    first, second = _moving(photo, 2)
    mixed = _saved(first.convert("L"), save_all=True, append_images=[second.convert("RGBA")])
    assert _opened(mixed).mode == "RGBA"
    assert (
        _opened(_saved(first.convert("L"), save_all=True, append_images=[second.convert("LA")])).mode == "LA"
    )
    with pytest.raises(npp.EncodeError, match="mode I;16 cannot be in one animation with"):
        _saved(first, save_all=True, append_images=[Image.new("I;16", first.size)])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["b.png"], r"append_images\[0\] is str"),
        ("b.png", "not str"),
        (Image.new("RGB", (8, 8)), "not Image"),
        (7, "not int"),
    ],
)
def test_frames_that_are_no_pictures(photo: np.ndarray, given: Any, said: str) -> None:
    with pytest.raises(TypeError, match=f"append_images must be None or a list of PIL images.*{said}"):
        _saved(_moving(photo, 1)[0], save_all=True, append_images=given)
    assert _opened(_saved(_moving(photo, 1)[0], save_all=True, append_images=None)).n_frames == 1


def _wide(gray: np.ndarray, mode: str) -> Image.Image:
    if mode == "F":
        return Image.fromarray(gray.astype(np.float32) / 65535)
    return Image.fromarray(gray).convert("I").convert(mode)


@pytest.mark.parametrize("second", ["I", "I;16", "I;16B", "F"])
@pytest.mark.parametrize("first", ["I", "I;16", "I;16B", "F"])
def test_frames_of_16_bits(deep_photo: np.ndarray, first: str, second: str) -> None:
    arrays = [np.ascontiguousarray(deep_photo[:64, 4 * i : 4 * i + 64, 1]) for i in range(2)]
    frames = [_wide(array, mode) for array, mode in zip(arrays, (first, second), strict=True)]
    if "F" in (first, second) and first != second:
        other = first if second == "F" else second
        with pytest.raises(npp.EncodeError, match=f"mode F cannot be in one animation with {other}$"):
            _saved(frames[0], save_all=True, append_images=frames[1:])
        return
    data = _saved(frames[0], save_all=True, append_images=frames[1:], bit_depth=12, lossless=True)
    wanted = [Image.fromarray(array) for array in arrays]
    assert data == _saved(wanted[0], save_all=True, append_images=wanted[1:], bit_depth=12, lossless=True)
    with pytest.raises(npp.EncodeError, match=r"cannot be in one animation with L, RGB$"):
        _saved(frames[0], save_all=True, append_images=[wanted[0].convert("RGB"), frames[1].convert("L")])


def _apng(pictures: list[Image.Image], **options: Any) -> Image.Image:
    """An opened animation, the first of whose pictures is not part of it."""
    out = io.BytesIO()
    pictures[0].save(out, "PNG", save_all=True, append_images=pictures[1:], default_image=True, **options)
    return Image.open(out)


def test_frames_taken_out_of_an_apng_are_pictures_of_their_own(photo: np.ndarray) -> None:
    """Pillow copies what says that a file has a default image along with each frame."""
    pictures = _moving(photo)
    image = _apng(pictures, duration=[40, 60, 80])
    frames = [frame.copy() for frame in ImageSequence.Iterator(image)][1:]
    assert all(frame.info["default_image"] for frame in frames)
    for change in (Image.Image.copy, lambda frame: frame.resize((32, 32)), lambda frame: frame.convert("L")):
        first, *others = map(change, frames)
        again = _opened(_saved(first, save_all=True, append_images=others, lossless=True))
        assert again.n_frames == 3
        for at, one in enumerate([first, *others]):
            again.seek(at)
            assert np.array_equal(np.asarray(again), np.asarray(one))
            assert again.info["duration"] == one.info["duration"]
        assert _saved(first, save_all=True) == _saved(first)
    mixed = _opened(_saved(pictures[0], save_all=True, append_images=[image, frames[0]]))
    assert mixed.n_frames == 1 + 3 + 1


def test_the_only_frame_beside_a_default_image_is_what_is_saved(photo: np.ndarray) -> None:
    title, frame = _moving(photo, 2)
    assert _saved(_apng([title, frame], duration=40), save_all=True) == _saved(frame)


def test_more_frames_than_may_be_decoded_are_not_encoded(photo: np.ndarray) -> None:
    first, *others = _moving(photo)
    said = r"4 frame\(s\) of 64x64 are 16384 pixels; at most 16383 are allowed \(npp\.set_max_pixels\)"
    with max_pixels_within(4 * 64 * 64 - 1):
        for frames in ([first, *others], torch.zeros(4, 3, 64, 64)):
            with pytest.raises(npp.EncodeError, match=said):
                npp.encode_animation(frames, effort=0)
        with pytest.raises(npp.EncodeError, match=said):
            _saved(first, save_all=True, append_images=others)
    with max_pixels_within(4 * 64 * 64):
        assert npp.decode(_saved(first, save_all=True, append_images=others)).shape == (4, 3, 64, 64)


def test_cmyk_files_come_without_a_profile_that_is_not_of_rgb(photo: np.ndarray) -> None:
    metadata = npp.Metadata(icc_profile=b"cmyk profile", xmp=b"<x/>")
    for frames in (1, 2):
        file = cmyk_bpg(photo, metadata, frames=frames)
        image = _opened(file)
        assert (image.mode, image.info.get("icc_profile"), image.info["xmp"]) == ("RGB", None, b"<x/>")
        assert npp.probe(_saved(image)).metadata == npp.Metadata()
        assert npp.probe(file).metadata == metadata


def test_save_all_of_one_picture_is_a_still(photo: np.ndarray) -> None:
    image = Image.fromarray(photo)
    assert _saved(image, save_all=True) == _saved(image)


@pytest.mark.parametrize(
    "duration",
    [
        [40],
        [40] * 3,
        0,
        -1,
        "40",
        [40, None],
        True,
        float("nan"),
        float("inf"),
        [40, float("nan")],
        1e-5,
        1e-300,
        np.array([40]),
        np.float32("inf"),
        {},
        [[40], [40]],
    ],
)
def test_bad_durations(photo: np.ndarray, duration: Any) -> None:
    first, second = _moving(photo, 2)
    with pytest.raises(npp.EncodeError, match="duration"):
        _saved(first, save_all=True, append_images=[second], duration=duration)


def test_bad_options(photo: np.ndarray, tmp_path: Path) -> None:
    image = Image.fromarray(photo)
    with pytest.raises(TypeError, match="unknown option 'quality'"):
        _saved(image, quality=80)
    with pytest.raises(npp.EncodeError, match="qp must be an integer from 0 to 51"):
        _saved(image, qp=52)
    with pytest.raises(npp.EncodeError, match="frames"):
        _saved(image, save_all=True, append_images=[image.resize((8, 8))])
    with pytest.raises(npp.EncodeError, match="chroma"):
        image.save(tmp_path / "a.bpg", chroma="411")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "option",
    [
        {"errors": "return"},
        {"threads": 1},
        {"qp_map": torch.zeros(5, 7)},
        {"_x265": "rd=1"},
        {"metadata": npp.Metadata()},
        {"parts": None},
        {"quality": 80},
    ],
)
@pytest.mark.parametrize("own", [{}, {"save_all": True}, {"recipe": "missing"}])
def test_options_that_are_not_documented_are_refused(
    photo: np.ndarray, option: dict[str, Any], own: dict[str, Any]
) -> None:
    name = next(iter(option))
    said = ": BPG has qp instead, .*" if name == "quality" else ""
    with pytest.raises(
        TypeError, match=f"unknown option '{name}'{said}; allowed are qp, recipe, .* effort, "
    ):
        _saved(Image.fromarray(photo), **option, **own)


def test_truncated_and_damaged_files_raise(photo: np.ndarray) -> None:
    data = _saved(Image.fromarray(photo))
    for length in (0, 3, 4, 6, 10, 20, len(data) // 2, len(data) - 1):
        with pytest.raises(OSError):  # noqa: PT011 (Pillow's own class for it; the texts differ)
            _opened(data[:length]).load()
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(b"not a BPG file at all"))
    with pytest.raises(OSError, match="damaged BPG file"):
        Image.open(io.BytesIO(data[:4]))


def test_unsupported_depth_opens_and_says_so_on_load(shared: Path) -> None:
    with Image.open(shared / "conformance" / "jct_b11_420.bpg") as image:
        assert image.mode == "RGB"
        with pytest.raises(OSError, match="11"):
            image.load()


def test_every_vector_opens_in_the_right_mode(shared: Path) -> None:
    for path in sorted((shared / "conformance").glob("*.bpg")):
        info = npp.probe(path.read_bytes())
        with Image.open(path) as image:
            assert image.size == (info.width, info.height), path.name
            assert image.n_frames == info.frames, path.name
            if info.bit_depth in (11, 13, 14):
                continue
            pixels = np.asarray(image)
            decoded = npp.decode(
                path.read_bytes(), dtype=torch.uint16 if image.mode == "I;16" else torch.uint8
            )
            wanted = (decoded[0] if decoded.ndim == 4 else decoded).permute(1, 2, 0).numpy()
            if image.mode == "LA":
                wanted = wanted[..., [0, 3]]
            assert np.array_equal(pixels, wanted.squeeze(-1) if wanted.shape[-1] == 1 else wanted), path.name


def test_pixels_can_be_changed_without_changing_the_file(photo: np.ndarray) -> None:
    frames = [frame.convert("L") for frame in _moving(photo)]
    image = _opened(_saved(frames[0], save_all=True, append_images=frames[1:]))
    before = image.getpixel((3, 3))
    image.putpixel((3, 3), 255 - int(before))  # type: ignore[arg-type]
    assert image.getpixel((3, 3)) == 255 - int(before)  # type: ignore[arg-type]
    image.seek(1)
    image.load()
    image.seek(0)
    assert image.getpixel((3, 3)) == before


@pytest.mark.parametrize("loaded_between", [False, True])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_another_frame_is_as_in_the_file_whatever_became_of_this_one(
    photo: np.ndarray, mode: str, loaded_between: bool
) -> None:
    frames = [frame.convert(mode) for frame in _moving(photo)]
    data = _saved(frames[0], save_all=True, append_images=frames[1:])
    wanted = [np.asarray(frame) for frame in ImageSequence.Iterator(_opened(data))]
    changes: list[Callable[[Image.Image], object]] = [
        lambda image: image.thumbnail((20, 30)),
        lambda image: image.putalpha(7),
        lambda image: image.putpixel((0, 0), (1, 2, 3, 4)[: len(image.getbands())]),
        lambda image: image.paste(image.getpixel((0, 0)), (0, 0, 40, 40)),
    ]
    if mode == "L":
        changes.append(lambda image: image.putpalette(bytes(range(256)) * 3))
    for change in changes:
        image = _opened(data)
        image.seek(1)
        change(image)
        image.seek(2)
        assert (image.size, image.mode) == ((64, 64), mode)
        if loaded_between:
            assert np.array_equal(np.asarray(image), wanted[2])
        image.seek(1)
        assert (image.size, image.mode) == ((64, 64), mode)
        assert np.array_equal(np.asarray(image), wanted[1])
        assert (image.im.size, image.im.mode) == (image.size, image.mode)


def test_frames_are_counted_by_integers(photo: np.ndarray) -> None:
    frames = _moving(photo)
    image = _opened(_saved(frames[0], save_all=True, append_images=frames[1:]))
    for number in (np.int64(2), torch.tensor(3), 1):
        image.seek(number)  # type: ignore[arg-type]
        assert image.tell() == number and type(image.tell()) is int
    for wrong in (True, 2.0, np.float32(2), "2", None):
        with pytest.raises(TypeError, match="frame must be an integer, not"):
            image.seek(wrong)  # type: ignore[arg-type]
        assert image.tell() == 1


def test_closed_file_and_copies(photo: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.bpg"
    Image.fromarray(photo).save(path, **FAST)
    with Image.open(path) as image:
        image.load()
    pixels = np.asarray(image)
    assert np.array_equal(np.asarray(image.copy()), pixels)
    unpickled = pickle.loads(pickle.dumps(image))
    assert np.array_equal(np.asarray(unpickled), pixels)
    unpickled.seek(0)
    assert _saved(unpickled, save_all=True) == _saved(image)
    with pytest.raises(EOFError):
        unpickled.seek(1)
    path.unlink()  # nothing holds the file any more


def test_verify_and_thumbnail(photo: np.ndarray) -> None:
    data = _saved(Image.fromarray(photo))
    _opened(data).verify()
    image = _opened(data)
    image.thumbnail((20, 20))
    assert max(image.size) == 20


def test_durations_of_numpy(photo: np.ndarray) -> None:
    first, second = _moving(photo, 2)
    wanted = _saved(first, save_all=True, append_images=[second], duration=[40, 80])
    for duration in (np.array([40, 80]), [np.int64(40), np.float32(80)], torch.tensor([40, 80]), (40, 80.0)):
        assert _saved(first, save_all=True, append_images=[second], duration=duration) == wanted
    one = _saved(first, save_all=True, append_images=[second], duration=40)
    for value in (np.int16(40), np.float64(40), np.array(40), Fraction(40)):
        assert _saved(first, save_all=True, append_images=[second], duration=value) == one


def test_a_pictures_own_duration_is_checked_too(photo: np.ndarray) -> None:
    first, second = _moving(photo, 2)
    first.info["duration"] = float("nan")
    with pytest.raises(npp.EncodeError, match="duration must be positive, finite milliseconds, not nan"):
        _saved(first, save_all=True, append_images=[second])


@pytest.mark.parametrize(("loop", "shown"), [(None, 1), (0, 0), (3, 3), (np.int64(3), 3)])
def test_loop(photo: np.ndarray, loop: Any, shown: int) -> None:
    first, second = _moving(photo, 2)
    data = _saved(first, save_all=True, append_images=[second], loop=loop)
    assert npp.probe(data).loop_count == shown


@pytest.mark.parametrize("loop", ["3", 2.5, float("nan"), -1, 2**32, True])
def test_bad_loops(photo: np.ndarray, loop: Any) -> None:
    first, second = _moving(photo, 2)
    with pytest.raises(
        npp.EncodeError, match=r"loop must be an integer from 0 \(for ever\) to 65535 or None"
    ):
        _saved(first, save_all=True, append_images=[second], loop=loop)


@pytest.mark.parametrize("exif", ["text", 3, {0x0112: 6}, [1], np.zeros(3), True])
def test_exif_of_a_wrong_type(photo: np.ndarray, exif: Any) -> None:
    with pytest.raises(TypeError, match=r"exif must be bytes, PIL\.Image\.Exif or None, not"):
        _saved(Image.fromarray(photo), exif=exif)


@pytest.mark.parametrize("before", [b"", b"\0", b"Exif\0\0", b"Exif\0\0\0"])
def test_exif_with_surplus_bytes_is_read_and_written_whole(photo: np.ndarray, before: bytes) -> None:
    raw = npp.Metadata(extensions=((77, before + EXIF),))
    old = npp.encode(photo, effort=0, metadata=raw).replace(bytes([77]), bytes([1]), 1)
    image = _opened(old)
    assert dict(image.getexif()) == {0x0112: 6}
    for format_name in ("JPEG", "PNG", "WEBP", "BPG"):
        out = io.BytesIO()
        image.save(out, format_name, exif=image.info["exif"])
        with Image.open(out) as copy:
            assert dict(copy.getexif()) == {0x0112: 6}
    assert npp.probe(_saved(image, exif=bytearray(before + EXIF))).metadata.exif == EXIF


def test_first_frame_above_the_limit(photo: np.ndarray) -> None:
    frames = _moving(photo)
    for mode in ("RGB", "RGBA", "L"):
        moving = [frame.convert(mode) for frame in frames]
        data = _saved(moving[0], save_all=True, append_images=moving[1:], duration=40)
        wanted = npp.decode(data)[0].permute(1, 2, 0).numpy().squeeze()
        image = _opened(data)
        npp.set_max_pixels(64 * 64 * 4 - 1)
        try:
            assert np.array_equal(np.asarray(image), wanted)
            image.seek(1)
            with pytest.raises(
                OSError, match=r"4 frame\(s\) of 64x64 are 16384 pixels; .*npp.set_max_pixels"
            ):
                image.load()
            image.seek(0)
            assert np.array_equal(np.asarray(image), wanted)
        finally:
            npp.set_max_pixels(None)
        image.seek(3)
        assert np.array_equal(np.asarray(image), npp.decode(data)[3].permute(1, 2, 0).numpy().squeeze())


def test_append_images_may_be_none(photo: np.ndarray) -> None:
    image = Image.fromarray(photo)
    assert _saved(image, save_all=True, append_images=None) == _saved(image)


@pytest.mark.parametrize(("loop", "shown"), [(None, 1), (0, 0), (1, 2), (3, 4)])
def test_a_gif_is_shown_as_often_as_it_says(photo: np.ndarray, loop: int | None, shown: int) -> None:
    """It counts repetitions, and nothing means once."""
    first, second = Image.fromarray(photo), Image.fromarray(photo[:, ::-1])
    out = io.BytesIO()
    said = {} if loop is None else {"loop": loop}
    first.save(out, "GIF", save_all=True, append_images=[second], duration=100, **said)
    with Image.open(out) as image:
        data = _saved(image, save_all=True)
    assert npp.probe(data).loop_count == shown
