"""At which size pictures are coded, and the way back."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import torch

import npp
from npp.codec.metadata import SIZE_TAG, Metadata
from npp.recipes import ScaleRule
from npp.recipes.scale import enlarge, shrink
from npp.recipes.size_extension import bpp_of, picture_size, size_before, with_size


def test_factor_holds_from_its_qp_on() -> None:
    rule = ScaleRule({40: 0.5, 34: 0.75})
    assert [rule.factor(qp, 480, 640) for qp in (0, 33, 34, 39, 40, 51)] == [1, 1, 0.75, 0.75, 0.5, 0.5]
    assert rule.size(40, 480, 640) == (240, 320)
    assert rule.size(33, 481, 641) == (481, 641)


def test_small_pictures_keep_what_the_network_looks_at() -> None:
    rule = ScaleRule({30: 0.5}, input_size=416)
    assert rule.size(40, 480, 640) == (240, 320)
    assert rule.size(40, 300, 400) == (234, 312)
    assert rule.size(40, 200, 300) == (200, 300)
    assert rule.size(40, 1080, 1920) == (540, 960)


def test_never_less_than_a_block() -> None:
    rule = ScaleRule({0: 0.1})
    assert rule.size(30, 100, 200) == (16, 32)
    assert rule.size(30, 8, 2000) == (8, 2000)
    assert rule.size(30, 1, 1) == (1, 1)


def test_no_rule_is_no_change() -> None:
    assert ScaleRule().size(51, 123, 457) == (123, 457)


def test_mapping_round_trip() -> None:
    rule = ScaleRule({34: 0.75, 40.5: 0.5}, input_size=320, least=0.6)
    assert ScaleRule.from_mapping(rule.as_mapping()) == rule


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factors": {30: 0.05}}, "from 0.1 to 1"),
        ({"factors": {30: 1.5}}, "from 0.1 to 1"),
        ({"factors": {60: 0.5}}, "from 0 to 51"),
        ({"factors": {"low": 0.5}}, "from 0 to 51"),
        ({"input_size": 0}, "input_size"),
        ({"least": float("nan")}, "least"),
    ],
)
def test_wrong_rules_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ScaleRule(**arguments)  # type: ignore[arg-type]


def test_shrinking_is_antialiased_and_enlarging_brings_it_back() -> None:
    """Detail above the smaller grid's limit goes, what is below it stays."""
    places = torch.arange(64.0)
    fine = (0.5 + 0.5 * torch.cos(torch.pi * places)).expand(1, 3, 64, 64)
    coarse = (0.5 + 0.4 * torch.cos(2 * torch.pi * (places + 0.5) / 32)).expand(1, 3, 64, 64)
    assert (shrink(fine, (32, 32)) - 0.5).abs().max() < 0.1
    back = enlarge(shrink(coarse, (32, 32)), (64, 64))
    assert (back - coarse)[..., 8:-8, 8:-8].abs().max() < 0.02
    assert shrink(fine, (64, 64)) is fine
    assert enlarge(fine, (64, 64)) is fine


def test_size_survives_in_a_file(photo: object) -> None:
    metadata = with_size(Metadata(exif=b"II*\0", extensions=((9, b"other"),)), 160, 224)
    file = npp.encode(photo, 40, effort=0, metadata=metadata)  # type: ignore[call-overload]
    info = npp.probe(file)
    assert size_before(info) == (160, 224)
    assert info.metadata.exif == b"II*\0"
    assert (9, b"other") in info.extensions
    again = with_size(metadata, 100, 120)
    assert [tag for tag, _ in again.extensions].count(SIZE_TAG) == 1


def test_size_is_not_taken_along_with_the_metadata_of_another_picture(photo: object) -> None:
    """A part of a picture that was coded smaller is not as large as that picture was."""
    small = npp.encode(photo, 40, effort=0, metadata=with_size(Metadata(exif=b"II*\0"), 160, 224))  # type: ignore[call-overload]
    metadata = npp.probe(small).metadata
    assert metadata == Metadata(exif=b"II*\0")
    file = npp.encode(npp.decode(small)[:, :48, :48], 40, effort=0, metadata=metadata)
    assert size_before(npp.probe(file)) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"12345678901",
        struct.pack(">II", 50, 160),
        struct.pack(">II", 224, 2**31),
        struct.pack(">II", 0, 0),
    ],
)
def test_impossible_sizes_are_not_believed(data: bytes, photo: object) -> None:
    """The picture is 112x80: none of these is what a rule could have made it from."""
    metadata = Metadata(extensions=((SIZE_TAG, data),))
    file = npp.encode(photo, 40, effort=0, metadata=metadata)  # type: ignore[call-overload]
    assert size_before(npp.probe(file)) is None


def test_bits_are_counted_for_each_pixel_of_all_frames_as_they_were_before(photo: np.ndarray) -> None:
    """The pixels: 80 x 112 of a still picture, of each of three frames, and 160 x 224 coded smaller."""
    still = npp.encode(photo, 40, effort=0)
    moving = npp.encode_animation(np.stack([photo, photo[::-1], photo]), 40, effort=0)
    smaller = npp.encode(photo, 40, effort=0, metadata=with_size(None, 160, 224))
    for file, pixels in ((still, 80 * 112), (moving, 3 * 80 * 112), (smaller, 4 * 80 * 112)):
        assert bpp_of(file, npp.probe(file)) == 8 * len(file) / pixels
    assert picture_size(npp.probe(smaller)) == (160, 224) and picture_size(npp.probe(moving)) == (80, 112)
