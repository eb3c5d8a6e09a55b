"""Exif, profiles, XMP and extensions of a file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from smooth_pictures import smooth_picture

import npp


def test_metadata_round_trips() -> None:
    metadata = npp.Metadata(
        exif=b"II*\0\x08\0\0\0\0\0",
        icc_profile=bytes(300),
        xmp=b"<x/>",
        extensions=((99, b"hello"), (2**31, b"")),
    )
    x = smooth_picture(3, 16, 16, 0)
    data = npp.encode(x, metadata=metadata)
    assert npp.probe(data).metadata == metadata
    assert torch.equal(npp.decode(data), npp.decode(npp.encode(x)))


def test_metadata_takes_pillow_s_exif_and_pairs_in_any_sequence() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    given = npp.Metadata(exif=exif, extensions=[(77, b"k")])  # type: ignore[arg-type]
    assert Image.Exif() != exif and given.exif is not None
    read = Image.Exif()
    read.load(b"Exif\0\0" + given.exif)
    assert read[0x0112] == 6
    found = npp.probe(npp.encode(torch.rand(3, 8, 8), metadata=given)).metadata
    assert found == given and hash(found) == hash(given)


@pytest.mark.parametrize(
    ("extensions", "message"),
    [
        ([(6.5, b"x")], r"tag must be an integer from 6 to 2\*\*32 - 1, not 6.5"),
        ([(True, b"x")], "tag must be an integer"),
        ({7: b"x"}, r"extensions must be pairs \(tag, data\), not"),
        (5, r"extensions must be pairs \(tag, data\), not 5"),
    ],
)
def test_invalid_extensions_are_named(extensions: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        npp.Metadata(extensions=extensions)


def test_metadata_of_any_buffer() -> None:
    for form in (
        bytearray(b"abc"),
        memoryview(b"abc"),
        memoryview(b"aXbXcX")[::2],
        np.frombuffer(b"abc", np.uint8),
    ):
        assert npp.Metadata(xmp=form) == npp.Metadata(xmp=b"abc")  # type: ignore[arg-type]
    for wrong in ("abc", 3, np.zeros(3), [97]):
        with pytest.raises(TypeError, match="icc_profile must be bytes or None"):
            npp.Metadata(icc_profile=wrong)  # type: ignore[arg-type]


TIFF = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"


@pytest.mark.parametrize("before", [b"", b"\0", b"Exif\0\0", b"Exif\0\0\0", b"\xff"])
def test_exif_begins_with_its_tiff_header(before: bytes) -> None:
    tag, length = 77, len(before + TIFF)
    old = npp.encode(smooth_picture(1, 8, 8, 0), metadata=npp.Metadata(extensions=((tag, before + TIFF),)))
    old = old.replace(bytes([tag, length]) + before, bytes([1, length]) + before, 1)  # as old bpgenc wrote it
    info = npp.probe(old)
    assert info.extensions == ((1, before + TIFF),)
    assert info.metadata.exif == TIFF
    copy = npp.encode(smooth_picture(1, 8, 8, 0), metadata=info.metadata)
    assert npp.probe(copy).extensions == ((1, TIFF),)
    again = npp.encode(smooth_picture(1, 8, 8, 0), metadata=npp.Metadata(exif=before + TIFF))
    assert npp.probe(again).extensions == ((1, TIFF),)


def test_first_of_several_extensions_of_one_kind_counts() -> None:
    found = npp.Metadata.from_extensions(((3, b"one"), (3, b"two"), (77, b"a"), (77, b"b")))
    assert found == npp.Metadata(xmp=b"one", extensions=((77, b"a"), (77, b"b")))


def test_the_size_before_coding_is_no_metadata_for_another_file() -> None:
    found = npp.Metadata.from_extensions(((int.from_bytes(b"npp", "big"), b"\x10\x10"), (77, b"a")))
    assert found == npp.Metadata(extensions=((77, b"a"),))


def test_the_first_tiff_header_is_where_exif_begins() -> None:
    both = b"II*\0MM\0*" + TIFF[4:]
    assert npp.Metadata(exif=both).exif == both


def test_exif_without_a_tiff_header_is_kept_as_it_is() -> None:
    for exif in (b"garbage", b"", b"0123456789" + TIFF):
        assert npp.Metadata(exif=exif).exif == exif
