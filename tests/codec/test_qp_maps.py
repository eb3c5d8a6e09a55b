"""Quantiser maps from Python: their forms, what they do to a file, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import npp
from npp.codec.qp_maps import map_size
from npp.codec.round_trip import start_round_trip


@pytest.fixture(scope="module")
def pictures(photo: np.ndarray) -> torch.Tensor:
    """(2, 3, 80, 112): five rows and seven columns of blocks."""
    one = torch.from_numpy(photo).permute(2, 0, 1)
    return torch.stack([one, one.flip(2)])


@pytest.fixture(scope="module")
def maps() -> torch.Tensor:
    return (torch.arange(70) % 9 - 4.0).reshape(2, 5, 7)


FORMS: dict[str, Any] = {
    "float64": lambda maps: maps.double(),
    "float16": lambda maps: maps.half(),
    "bfloat16": lambda maps: maps.bfloat16(),
    "array": lambda maps: maps.numpy(),
    "big-endian array": lambda maps: maps.numpy().astype(">f8"),
    "list": list,
    "tuple of arrays": lambda maps: tuple(maps.double().numpy()),
    "other strides": lambda maps: maps.transpose(1, 2).contiguous().transpose(1, 2),
    "needs a gradient": lambda maps: maps.clone().requires_grad_(),
    "less than half a QP away": lambda maps: maps + 0.4,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_every_form_gives_the_same_files(form: Any, pictures: torch.Tensor, maps: torch.Tensor) -> None:
    expected = npp.encode(pictures, 34, qp_map=maps, effort=1)
    assert npp.encode(pictures, 34, qp_map=form(maps), effort=1) == expected


def test_single_pictures_batches_and_round_trips_agree(pictures: torch.Tensor, maps: torch.Tensor) -> None:
    files = npp.encode(pictures, [30, 38], qp_map=maps, effort=1)
    assert npp.encode(pictures[0], 30, qp_map=maps[0], effort=1) == files[0]
    x = pictures.float() / 255
    x_hat, _, trip = start_round_trip(x, [30, 38], {"effort": 1}, qp_map=maps).result()
    assert trip == files
    assert torch.equal(npp.decompress(files), x_hat)


def test_none_in_a_list_is_constant_qp(pictures: torch.Tensor, maps: torch.Tensor) -> None:
    plain = npp.encode(pictures, 34, effort=1)
    mixed = npp.encode(pictures, 34, qp_map=[None, maps[1]], effort=1)
    assert mixed[0] == plain[0]
    assert mixed[1] != plain[1]
    assert [npp.probe(file).block_qps for file in mixed] == [False, True]
    assert npp.encode(pictures, 34, qp_map=[None, None], effort=1) == plain


@pytest.mark.parametrize("options", [{"effort": 0}, {"effort": 1}, {"tune": "machine", "effort": 2}])
def test_the_map_can_be_read_back(
    options: dict[str, Any], pictures: torch.Tensor, maps: torch.Tensor
) -> None:
    """Every block of this photo has coefficients at qp 20, so each tells the QP it was coded with.

    Higher efforts also have larger coding blocks, which get the mean of the map over them.
    """
    plain = int(npp.decode_qp_map(npp.encode(pictures[0], 20, **options))[0, 0])
    found = npp.decode_qp_map(npp.encode(pictures[0], 20, qp_map=maps[0], **options))
    assert found.dtype == torch.int32
    assert torch.equal(found, plain + maps[0].int())


def test_resulting_qps_are_clipped(pictures: torch.Tensor) -> None:
    low = npp.encode(pictures[0], 30, qp_map=torch.full((5, 7), -100.0), effort=1)
    high = npp.encode(pictures[0], 30, qp_map=torch.full((5, 7), 100.0), effort=1)
    assert npp.decode_qp_map(low).unique().tolist() == [0]
    assert npp.decode_qp_map(high).unique().tolist() == [51]
    assert len(high) < len(low)


def test_bits_follow_the_map(pictures: torch.Tensor) -> None:
    """Fewer bits on the left cost quality on the left only."""
    offsets = torch.zeros(5, 7)
    offsets[:, :3] = 12
    x = pictures[:1].float() / 255
    before, bpp_before, _ = start_round_trip(x, 30, {"effort": 1}, qp_map=torch.zeros(1, 5, 7)).result()
    after, bpp_after, _ = start_round_trip(x, 30, {"effort": 1}, qp_map=offsets[None]).result()
    assert bpp_after < 0.9 * bpp_before

    def error(x_hat: torch.Tensor, columns: slice) -> float:
        return float((x_hat - x)[..., columns].square().mean())

    assert error(after, slice(0, 44)) > 2 * error(before, slice(0, 44))
    assert error(after, slice(56, 112)) == pytest.approx(error(before, slice(56, 112)), rel=0.15)


def test_frames_of_an_animation_have_maps(pictures: torch.Tensor, maps: torch.Tensor) -> None:
    plain = npp.encode_animation(pictures, 34, effort=1)
    mapped = npp.encode_animation(pictures, 34, qp_map=maps, effort=1)
    assert mapped != plain
    assert npp.decode(mapped).shape == (2, 3, 80, 112)
    with pytest.raises(npp.EncodeError, match=r"1 map\(s\) for 2 frame\(s\)"):
        npp.encode_animation(pictures, 34, qp_map=maps[:1])
    with pytest.raises(npp.UnsupportedError, match="animation"):
        npp.decode_qp_map(mapped)


def test_alpha_keeps_its_qp(pictures: torch.Tensor, maps: torch.Tensor) -> None:
    alpha = torch.linspace(0, 255, 112).to(torch.uint8).expand(1, 80, 112)
    picture = torch.cat([pictures[0], alpha])
    plain, mapped = (npp.decode(npp.encode(picture, 34, qp_map=m, effort=1)) for m in (None, maps[0] * 3))
    assert torch.equal(plain[3], mapped[3])
    assert not torch.equal(plain[:3], mapped[:3])


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(1, 1, (1, 1)), (16, 16, (1, 1)), (17, 33, (2, 3)), (480, 640, (30, 40))],
)
def test_size_of_a_map(height: int, width: int, expected: tuple[int, int]) -> None:
    assert map_size(height, width) == expected
    picture = torch.zeros(3, height, width, dtype=torch.uint8)
    assert npp.encode(picture, 40, qp_map=torch.zeros(expected), effort=0)
    with pytest.raises(npp.EncodeError, match=f"{expected[0]} rows and {expected[1]} columns"):
        npp.encode(picture, 40, qp_map=torch.zeros(expected[0], expected[1] + 1), effort=0)


@pytest.mark.parametrize(
    ("qp_map", "error", "message"),
    [
        (torch.zeros(5, 7), npp.EncodeError, r"\(N, h, w\)"),
        (torch.zeros(1, 5, 7), npp.EncodeError, r"1 map\(s\) for 2 picture\(s\)"),
        (torch.zeros(2, 5, 8), npp.EncodeError, r"qp_map\[0\] has shape \(5, 8\)"),
        ([torch.zeros(5, 7), torch.zeros(7, 5)], npp.EncodeError, r"qp_map\[1\] has shape"),
        (torch.full((2, 5, 7), float("nan")), npp.EncodeError, "must be finite"),
        (torch.full((2, 5, 7), float("inf")), npp.EncodeError, "must be finite"),
        (torch.full((2, 5, 7), -1e300, dtype=torch.float64), npp.EncodeError, r"qp_map\[0\] .* in float32$"),
        (np.full((2, 5, 7), -1e300), npp.EncodeError, r"qp_map\[0\] .* in float32$"),
        (np.full((2, 5, 7), 1e300, ">f8"), npp.EncodeError, r"qp_map\[0\] .* in float32$"),
        (torch.zeros(2, 5, 7, dtype=torch.int32), TypeError, "offsets are floats"),
        (np.zeros((2, 5, 7), np.int64), TypeError, "offsets are floats"),
        (3.0, TypeError, "not float"),
        ("map", TypeError, "not str"),
    ],
)
def test_wrong_maps_are_named(
    qp_map: Any, error: type[Exception], message: str, pictures: torch.Tensor
) -> None:
    with pytest.raises(error, match=message):
        npp.encode(pictures, 34, qp_map=qp_map, effort=0)


def test_not_with_lossless(pictures: torch.Tensor) -> None:
    with pytest.raises(npp.EncodeError, match="lossless"):
        npp.encode(pictures[0], qp_map=torch.zeros(5, 7), lossless=True)


def test_reading_a_map_refuses_other_things(pictures: torch.Tensor) -> None:
    file = npp.encode(pictures[0], 34, effort=0)
    for block, shape in ((8, (10, 14)), (16, (5, 7)), (32, (3, 4)), (64, (2, 2))):
        assert npp.decode_qp_map(file, block=block).shape == shape
    for wrong in (4, 16.0, True, "16"):
        with pytest.raises(ValueError, match=f"block must be 8, 16, 32 or 64, not {wrong!r}"):
            npp.decode_qp_map(file, block=wrong)
    with pytest.raises(TypeError, match="data must be bytes"):
        npp.decode_qp_map(5)  # type: ignore[arg-type]
    with pytest.raises(OSError, match=r"nowhere\.bpg"):
        npp.decode_qp_map("nowhere.bpg")
    with pytest.raises(npp.DecodeError):
        npp.decode_qp_map(file[: len(file) // 2])
    with pytest.raises(npp.DecodeError):
        npp.decode_qp_map(b"nothing")
