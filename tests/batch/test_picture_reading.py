"""Pictures of all modes and depths with their metadata, there and back."""

from __future__ import annotations

import codecs
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from command_line import (
    EXIF,
    cmyk_bpg,
    deep_samples,
    encode,
    moving,
    pixels,
    profile,
    run,
    save_moving,
    spread_gray,
)
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

import npp
from npp.batch.picture_reading import read_source
from npp.batch.picture_writing import storable_metadata
from npp.batch.stored_bits import bits_left_out
from npp.codec.image_inputs import CodecImage
from npp.photos import open_photo, png16


@pytest.fixture
def rich_jpeg(folder: Path, photo: np.ndarray) -> Path:
    """A JPEG with EXIF (orientation 6), an ICC profile and XMP."""
    path = folder / "rich.jpg"
    Image.fromarray(photo).save(path, exif=b"Exif\0\0" + EXIF, icc_profile=profile(), xmp=b"<x:xmpmeta/>")
    return path


def test_metadata_is_kept_or_stripped(rich_jpeg: Path) -> None:
    assert encode(rich_jpeg, "-o", "kept.bpg") == 0
    info = npp.probe(Path("kept.bpg").read_bytes())
    assert info.metadata == npp.Metadata(exif=EXIF, icc_profile=profile(), xmp=b"<x:xmpmeta/>")
    assert (info.width, info.height) == (112, 80)  # orientation is metadata: the pixels stay as they are
    assert encode(rich_jpeg, "-o", "stripped.bpg", "--strip-metadata") == 0
    assert npp.probe(Path("stripped.bpg").read_bytes()).extensions == ()


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_metadata_comes_back(rich_jpeg: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode(rich_jpeg, "-o", "a.bpg", "-q") == 0
    assert run("decode", "a.bpg", "-o", f"a.{suffix}") == 0
    with Image.open(f"a.{suffix}") as image:
        assert image.info["icc_profile"] == profile()
        if suffix == "tif":
            assert "note: exif, xmp left out: TIFF has no place for it" in capsys.readouterr().err
        else:
            assert image.getexif()[0x0112] == 6
            xmp = image.info.get("xmp", image.info.get("XML:com.adobe.xmp"))
            assert xmp in (b"<x:xmpmeta/>", "<x:xmpmeta/>")
    assert run("decode", "a.bpg", "-o", f"b.{suffix}", "--strip-metadata") == 0
    with Image.open(f"b.{suffix}") as image:
        assert not {"exif", "icc_profile", "xmp"} & set(image.info)


def test_metadata_of_png_and_webp_sources(folder: Path, photo: np.ndarray) -> None:
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", "<é/>")
    exif = b"Exif\0\0" + EXIF
    Image.fromarray(photo).save("a.png", exif=exif, icc_profile=profile(), pnginfo=text)
    Image.fromarray(photo).save("b.webp", exif=exif, icc_profile=profile(), xmp="<é/>".encode())
    assert encode("a.png", "b.webp", "-o", "out") == 0
    for name in ("a", "b"):
        metadata = npp.probe(Path(f"out/{name}.bpg").read_bytes()).metadata
        assert metadata == npp.Metadata(exif=EXIF, icc_profile=profile(), xmp="<é/>".encode())


def test_cmyk_becomes_rgb_and_loses_its_profile(
    folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(photo).convert("CMYK").save("cmyk.jpg", icc_profile=b"cmyk profile")
    assert encode("cmyk.jpg", "-o", "a.bpg") == 0
    assert "note: CMYK converted to RGB, its ICC profile left out" in capsys.readouterr().err
    info = npp.probe(Path("a.bpg").read_bytes())
    assert (info.channels, info.metadata.icc_profile) == (3, None)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_modes_come_back(folder: Path, photo: np.ndarray, mode: str) -> None:
    image = Image.fromarray(photo).convert(mode)
    image.save("in.png")
    assert encode("in.png", "-o", "a.bpg", "--lossless") == 0
    assert run("decode", "a.bpg", "-o", "out.png") == 0
    expected = {"1": "L", "P": "RGB"}.get(mode, mode)
    with Image.open("out.png") as again:
        assert again.mode == expected
        assert np.array_equal(np.asarray(again), np.asarray(image.convert(expected)))


def test_palette_with_transparency(folder: Path, photo: np.ndarray) -> None:
    image = Image.fromarray(photo).quantize(16)
    image.save("in.png", transparency=3)
    assert encode("in.png", "-o", "a.bpg", "--lossless") == 0
    assert run("decode", "a.bpg", "-o", "out.png") == 0
    with Image.open("in.png") as source, Image.open("out.png") as again:
        assert again.mode == "RGBA"
        assert np.array_equal(np.asarray(again), np.asarray(source.convert("RGBA")))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_through_the_commands(folder: Path, deep_photo: np.ndarray, channels: int) -> None:
    samples = deep_samples(deep_photo, channels)
    Path("in.png").write_bytes(png16.write(samples, npp.Metadata(xmp=b"<x/>")))
    assert encode("in.png", "-o", "a.bpg", "--bit-depth", 12, "--lossless") == 0
    info = npp.probe(Path("a.bpg").read_bytes())
    assert (info.bit_depth, info.chroma) == (12, "400" if channels < 3 else "444")
    assert info.has_alpha == (channels in (2, 4))
    assert run("decode", "a.bpg", "-o", "out.png", "--bit-depth", 16) == 0
    data = Path("out.png").read_bytes()
    assert data[24:26] == bytes([16, {1: 0, 2: 4, 3: 2, 4: 6}[channels]])
    wanted = npp.decode(Path("a.bpg").read_bytes(), dtype=torch.uint16).permute(1, 2, 0).numpy()
    again = pixels("out.png")[..., None] if channels == 1 else png16.read(data)[0]
    assert np.array_equal(again, wanted)
    assert np.abs(again.astype(int) - spread_gray(samples)).max() <= 16  # 12 of the 16 bits
    assert b"XML:com.adobe.xmp" in data
    assert run("decode", "a.bpg", "-o", "eight.png") == 0
    assert Path("eight.png").read_bytes()[24] == 8


def test_16_bit_sources_are_rounded_not_cut(folder: Path) -> None:
    Path("in.png").write_bytes(png16.write(np.full((8, 8, 3), 0x10FF, np.uint16), npp.Metadata()))
    assert encode("in.png", "-o", "a.bpg", "--lossless") == 0
    assert npp.decode(Path("a.bpg").read_bytes()).unique().tolist() == [0x11]


def test_bpg_is_a_source_too(folder: Path, photo: np.ndarray) -> None:
    assert encode("photos/a.png", "-o", "a.bpg", "--qp", 10) == 0
    assert encode("a.bpg", "-o", "b.bpg", "--lossless") == 0
    assert torch.equal(npp.decode(Path("a.bpg").read_bytes()), npp.decode(Path("b.bpg").read_bytes()))
    save_moving("in.webp", moving(photo), duration=40)
    assert encode("in.webp", "-o", "c.bpg") == 0
    assert encode("c.bpg", "-o", "d.bpg", "--lossless") == 0
    assert torch.equal(npp.decode(Path("c.bpg").read_bytes()), npp.decode(Path("d.bpg").read_bytes()))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("frames", [1, 3])
def test_a_deep_bpg_keeps_its_bits(folder: Path, deep_photo: np.ndarray, channels: int, frames: int) -> None:
    """Pillow has no mode for colour of more than 8 bits."""
    pictures = [spread_gray(np.roll(deep_samples(deep_photo, channels), at, 0)) for at in range(frames)]
    options: dict[str, Any] = {"bit_depth": 12, "lossless": True, "effort": 0}
    if channels == 2:
        options["chroma"] = "400"
    if frames == 1:
        file = npp.encode(pictures[0], **options)
    else:
        file = npp.encode_animation(pictures, durations=[0.04, 0.06, 0.08], loop_count=2, **options)
    Path("a.bpg").write_bytes(file)
    assert encode("a.bpg", "-o", "b.bpg", "--bit-depth", 12, "--lossless") == 0
    again = Path("b.bpg").read_bytes()
    wanted = npp.decode(file, dtype=torch.uint16)
    assert torch.equal(npp.decode(again, dtype=torch.uint16), wanted)
    assert len(wanted.flatten()[:4096].unique()) > 256
    before, after = npp.probe(file), npp.probe(again)
    for name in ("chroma", "has_alpha", "durations", "loop_count", "bit_depth"):
        assert getattr(before, name) == getattr(after, name), name
    assert np.array_equal(np.asarray(open_photo("a.bpg")), np.asarray(open_photo("b.bpg")))


@pytest.mark.parametrize("frames", [1, 2])
def test_bpg_to_bpg_keeps_all_metadata(folder: Path, photo: np.ndarray, frames: int) -> None:
    thumbnail = npp.encode(photo[:8, :8], effort=0)
    metadata = npp.Metadata(EXIF, profile(), b"<x/>", thumbnail, [(77, b"kept"), (77, b"twice"), (9, b"")])
    if frames == 1:
        Path("a.bpg").write_bytes(npp.encode(photo, metadata=metadata))
    else:
        Path("a.bpg").write_bytes(npp.encode_animation([photo] * frames, metadata=metadata))
    assert encode("a.bpg", "-o", "b.bpg") == 0
    assert npp.probe(Path("b.bpg").read_bytes()).metadata == metadata
    assert encode("a.bpg", "-o", "c.bpg", "--strip-metadata") == 0
    assert npp.probe(Path("c.bpg").read_bytes()).extensions == () or frames > 1
    assert npp.probe(Path("c.bpg").read_bytes()).metadata == npp.Metadata()


@pytest.mark.parametrize("frames", [1, 2])
def test_a_cmyk_bpg_loses_its_profile_and_that_is_said(
    folder: Path, photo: np.ndarray, frames: int, capsys: pytest.CaptureFixture[str]
) -> None:
    profiled = npp.Metadata(icc_profile=b"cmyk profile", xmp=b"<x/>")
    Path("a.bpg").write_bytes(cmyk_bpg(photo, profiled, frames=frames))
    Path("b.bpg").write_bytes(cmyk_bpg(photo, frames=frames))
    for name, lost in (("a", ", its ICC profile left out"), ("b", "")):
        said = f"note: CMYK read as RGB{lost}\n"
        assert encode(f"{name}.bpg", "-o", "again.bpg", "--force") == 0
        assert said in capsys.readouterr().err
        for target in ("a.webp", "f%d.png"):
            assert run("decode", f"{name}.bpg", "-o", target, "--force") == 0
            assert said in capsys.readouterr().err
        with Image.open("a.webp") as one, Image.open("f1.png") as other:
            assert "icc_profile" not in one.info and "icc_profile" not in other.info
    assert npp.probe(Path("again.bpg").read_bytes()).metadata == npp.Metadata()
    assert encode("a.bpg", "-o", "again.bpg", "--force") == 0
    assert npp.probe(Path("again.bpg").read_bytes()).metadata == npp.Metadata(xmp=b"<x/>")


_XMP = "<x:xmpmeta>é</x:xmpmeta>"


@pytest.mark.parametrize("bit_depth", [8, 16])
@pytest.mark.parametrize(
    "xmp",
    [
        *(_XMP.encode(name) for name in ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be")),
        codecs.BOM_UTF16_BE + _XMP.encode("utf-16-be"),
        codecs.BOM_UTF32_BE + _XMP.encode("utf-32-be"),
    ],
)
def test_xmp_of_any_encoding_is_utf_8_in_a_png(
    folder: Path, photo: np.ndarray, bit_depth: int, xmp: bytes
) -> None:
    Path("a.bpg").write_bytes(npp.encode(photo, effort=0, metadata=npp.Metadata(xmp=xmp)))
    assert run("decode", "a.bpg", "-o", "a.png", "--bit-depth", bit_depth) == 0
    assert read_source(Path("a.png").read_bytes(), keep_metadata=True).metadata.xmp == _XMP.encode()


@pytest.mark.parametrize(
    ("declared", "left"),
    [
        ('<?xml version="1.0" encoding="UTF-16"?><x/>', '<?xml version="1.0"?><x/>'),
        (
            "<?xml version='1.0' encoding = 'utf-16' standalone='yes'?><x/>",
            "<?xml version='1.0' standalone='yes'?><x/>",
        ),
        ('<x encoding="UTF-16"/>', '<x encoding="UTF-16"/>'),
    ],
)
def test_xmp_in_a_png_declares_no_encoding_that_it_has_not(
    folder: Path, photo: np.ndarray, declared: str, left: str
) -> None:
    metadata = npp.Metadata(xmp=declared.encode("utf-16"))
    Path("a.bpg").write_bytes(npp.encode(photo, effort=0, metadata=metadata))
    assert run("decode", "a.bpg", "-o", "a.png") == 0
    assert read_source(Path("a.png").read_bytes(), keep_metadata=True).metadata.xmp == left.encode()


@pytest.mark.parametrize("xmp", [b"<x>\xe9</x>", codecs.BOM_UTF16_LE + b"\0\xd8", codecs.BOM_UTF16_LE + b"<"])
def test_xmp_that_nobody_can_read_is_left_out_of_a_png(
    folder: Path, photo: np.ndarray, xmp: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.bpg").write_bytes(npp.encode_animation([photo] * 2, effort=0, metadata=npp.Metadata(xmp=xmp)))
    for target in ("a.png", "f%d.png"):
        for bits in (8, 16) if target == "f%d.png" else (8,):
            assert run("decode", "a.bpg", "-o", target, "--force", "--bit-depth", bits) == 0
            assert "note: xmp left out: it is not UTF-8, which PNG needs" in capsys.readouterr().err
            with Image.open(target.replace("%d", "1")) as image:
                image.load()
                assert "xmp" not in image.info and "XML:com.adobe.xmp" not in image.info
    assert run("decode", "a.bpg", "-o", "a.webp") == 0
    with Image.open("a.webp") as image:
        assert image.info["xmp"] == xmp


@pytest.mark.parametrize(("name", "room"), [("exif", 65_527), ("xmp", 65_504)])
def test_metadata_that_a_jpeg_has_no_room_for_is_left_out(
    folder: Path, photo: np.ndarray, name: str, room: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for size in (room, room + 1):
        filled = (EXIF if name == "exif" else b"<x/>").ljust(size, b" ")
        metadata = npp.Metadata(**{"icc_profile": profile(), name: filled})
        Path(f"{size}.bpg").write_bytes(npp.encode_animation([photo] * 2, effort=0, metadata=metadata))
        assert run("decode", f"{size}.bpg", "-o", f"{size}-%03d.jpg") == 0
        said = capsys.readouterr().err
        note = f"note: {name} left out: it has {room + 1:,} bytes, and JPEG has room for {room:,}\n"
        assert (note in said) == (size > room)
        found = read_source(Path(f"{size}-002.jpg").read_bytes(), keep_metadata=True).metadata
        assert found.icc_profile == profile()
        assert getattr(found, name) == (filled if size == room else None)


def test_a_profile_has_255_segments_in_a_jpeg() -> None:
    room = 255 * 65_519
    for size in (room, room + 1):
        metadata = npp.Metadata(icc_profile=bytes(size))
        found, notes = storable_metadata("JPEG", metadata)
        assert found == (metadata if size == room else npp.Metadata())
        assert len(notes) == (size > room)
        assert storable_metadata("PNG", metadata) == (metadata, [])


def test_thumbnails_and_unknown_extensions_have_no_place_in_other_formats(photo: np.ndarray) -> None:
    metadata = npp.Metadata(thumbnail=npp.encode(photo[:8, :8]), extensions=[(77, b"x")], xmp=b"<x/>")
    for name in ("PNG", "JPEG", "WEBP"):
        assert storable_metadata(name, metadata) == (
            npp.Metadata(xmp=b"<x/>"),
            [f"thumbnail, extensions left out: {name} has no place for it"],
        )


def test_read_source_refuses_what_is_no_picture() -> None:
    with pytest.raises(OSError, match="cannot identify"):
        read_source(b"junk", keep_metadata=True)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png_with(chunks: list[tuple[bytes, bytes]], *, late: bool, deep: bool = False) -> bytes:
    """A PNG with more chunks in front of its pixels or behind them."""
    out = io.BytesIO()
    if deep:
        Image.fromarray(np.full((6, 8), 40000, np.uint16)).save(out, "PNG")
    else:
        Image.new("RGB", (8, 6), "teal").save(out, "PNG")
    data = out.getvalue()
    made = b"".join(_chunk(kind, body) for kind, body in chunks)
    place = data.index(b"IEND" if late else b"IDAT") - 4
    return data[:place] + made + data[place:]


@pytest.mark.parametrize("deep", [False, True])
def test_metadata_behind_a_pngs_pixels_is_found(deep: bool) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    tiff = exif.tobytes().removeprefix(b"Exif\0\0")
    xmp = b"XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta/>"
    found = [
        read_source(
            _png_with([(b"eXIf", tiff), (b"iTXt", xmp)], late=late, deep=deep), keep_metadata=True
        ).metadata
        for late in (False, True)
    ]
    assert found[0] == found[1]
    assert found[1].exif is not None and found[1].xmp == b"<x:xmpmeta/>"


def test_a_tiffs_description_is_kept_and_its_pixels_are_turned() -> None:
    """Pillow turns them, so that the orientation is no longer true."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.ImageDescription] = b"a street"
    exif[ExifTags.Base.XResolution] = 72.0
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.ExposureTime: 0.5, ExifTags.IFD.Interop: {1: "R98"}}
    out = io.BytesIO()
    Image.new("RGB", (8, 6)).save(out, "TIFF", exif=exif.tobytes())
    source = read_source(out.getvalue(), keep_metadata=True)
    assert CodecImage(source.frames[0], "x").samples.shape == (3, 8, 6)
    kept = Image.Exif()
    kept.load(b"Exif\0\0" + source.metadata.exif)
    assert dict(kept)[ExifTags.Base.ImageDescription] == "a street"
    assert ExifTags.Base.Orientation not in kept and ExifTags.Base.XResolution not in kept
    assert dict(kept.get_ifd(ExifTags.IFD.Exif)) == {ExifTags.Base.ExposureTime: 0.5}


def test_damaged_exif_is_left_out_and_said() -> None:
    text = b"Raw profile type exif\0\nexif\n       8\n0011223344556677\n"
    data = _png_with([(b"tEXt", text)], late=False)
    source = read_source(data, keep_metadata=True)
    assert source.metadata.exif is None
    assert any(note.startswith("EXIF left out: ") for note in source.notes)
    assert read_source(data, keep_metadata=False).notes == ()


def test_a_png_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[int] = []
    load = PngImageFile.load
    monkeypatch.setattr(PngImageFile, "load", lambda self: loads.append(1) or load(self))
    read_source(_png_with([(b"tEXt", b"Comment\0hello")], late=False), keep_metadata=True)
    once = len(loads)
    loads.clear()
    read_source(_png_with([], late=False), keep_metadata=False)
    assert once == len(loads)


def _deep_tiff(samples: npt.NDArray[np.uint16]) -> bytes:
    """(H, W, 3), as Pillow reads it but cannot write it."""
    height, width, channels = samples.shape
    pixels = samples.astype("<u2").tobytes()
    entries = 10
    depths = 8 + 2 + 12 * entries + 4
    start = depths + 2 * channels
    values = (
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, channels, depths), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, start), (277, 3, 1, channels), (278, 3, 1, height), (279, 4, 1, len(pixels)),
        (284, 3, 1, 1),
    )  # fmt: skip
    tags = b"".join(struct.pack("<HHII", *value) for value in values)
    head = b"II*\0" + struct.pack("<IH", 8, entries)
    return head + tags + bytes(4) + struct.pack("<3H", 16, 16, 16) + pixels


@pytest.mark.parametrize("kind", ["TIFF", "PPM", "JPEG2000"])
def test_colour_that_pillow_cuts_to_8_bits_is_told(kind: str) -> None:
    samples = np.random.default_rng(3).integers(0, 65536, (16, 24, 3), dtype=np.uint16)
    if kind == "TIFF":
        data = _deep_tiff(samples)
    elif kind == "PPM":
        data = b"P6\n24 16\n65535\n" + samples.astype(">u2").tobytes()
    else:
        written = io.BytesIO()
        Image.fromarray((samples >> 8).astype(np.uint8)).save(written, kind)
        deep = bytearray(written.getvalue())
        for component in range(3):
            deep[deep.find(b"\xff\x4f\xff\x51") + 42 + 3 * component] = 15  # one less than the bits
        data = bytes(deep)
    source = read_source(data, keep_metadata=True)
    assert source.notes == ("its 16 bits a sample read as 8, for Pillow has no more for colour",)
    if kind != "JPEG2000":  # whose samples were written with 8
        assert np.abs(np.asarray(source.frames[0]).astype(int) - (samples >> 8)).max() <= 1


def _deep_apng(samples: np.ndarray) -> bytes:
    """An APNG of frames (F, H, W, C) of 16 bits, C being 1 or 3; Pillow writes none."""
    count, height, width, channels = samples.shape
    made = [
        _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, {1: 0, 3: 2}[channels], 0, 0, 0)),
        _chunk(b"acTL", struct.pack(">II", count, 0)),
    ]
    for index, frame in enumerate(samples):
        rows = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in frame))
        control = struct.pack(">IIIIIHHBB", max(0, 2 * index - 1), width, height, 0, 0, 1, 10, 0, 0)
        later = (b"fdAT", struct.pack(">I", 2 * index) + rows)
        made += [_chunk(b"fcTL", control), _chunk(*later if index else (b"IDAT", rows))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(made) + _chunk(b"IEND", b"")


@pytest.mark.parametrize("channels", [1, 3])
def test_an_apng_of_16_bits_is_read_whole_if_gray_and_else_a_note_tells_what_is_left(channels: int) -> None:
    samples = np.random.default_rng(4).integers(0, 65536, (3, 8, 16, channels), dtype=np.uint16)
    source = read_source(_deep_apng(samples), keep_metadata=True)
    gray = channels == 1
    assert source.notes == (
        () if gray else ("its 16 bits a sample read as 8, for Pillow has no more for colour",)
    )
    for frame, sent in zip(source.frames, samples, strict=True):
        assert np.array_equal(np.asarray(frame), sent[..., 0] if gray else sent >> 8)


def test_deep_avif_is_told_and_what_is_read_whole_is_not() -> None:
    picture = Image.new("RGB", (16, 24), (9, 100, 200))
    Image.init()
    if "AVIF" in Image.SAVE:
        written = io.BytesIO()
        picture.save(written, "AVIF")
        data = written.getvalue()
        assert read_source(data, keep_metadata=True).notes == ()
        place = data.find(b"pixi") + 9  # behind the number of channels
        with Image.open(written) as image:
            assert bits_left_out(image, data[:place] + bytes([10] * 3) + data[place + 3 :]) == 10
    for kind in ("TIFF", "PPM", "JPEG2000", "PNG", "BMP"):
        written = io.BytesIO()
        picture.save(written, kind)
        assert read_source(written.getvalue(), keep_metadata=True).notes == ()
    written = io.BytesIO()
    Image.fromarray(np.full((8, 8), 40000, np.uint16)).save(written, "TIFF")
    assert read_source(written.getvalue(), keep_metadata=True).notes == ()


def test_training_sees_the_frame_of_an_apng_that_is_encoded(tmp_path: Path) -> None:
    default, frame = (Image.new("RGB", (16, 24), colour) for colour in ((200, 0, 0), (0, 0, 200)))
    path = tmp_path / "in.png"
    default.save(path, "PNG", save_all=True, append_images=[frame], default_image=True, duration=[40])
    source = read_source(path.read_bytes(), keep_metadata=True)
    shown = np.asarray(source.frames[0])
    assert shown[0, 0].tolist() == [0, 0, 200] and source.notes == ()
    assert np.array_equal(np.asarray(open_photo(path)), shown)
