"""Encoding and decoding: what compress says is what the file holds, for every option."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from smooth_pictures import smooth_picture

import npp
from npp.codec.limits import max_pixels_within
from npp.codec.options import CHROMA_NAMES, COLOR_SPACE_NAMES


@st.composite
def _options(draw: st.DrawFn) -> dict[str, Any]:
    options: dict[str, Any] = {
        "chroma": draw(st.sampled_from(CHROMA_NAMES)),
        "color_space": draw(st.sampled_from(COLOR_SPACE_NAMES)),
        "bit_depth": draw(st.sampled_from((8, 10, 12))),
        "effort": draw(st.integers(0, 9)),
        "limited_range": draw(st.booleans()),
        "premultiplied": draw(st.booleans()),
        "tune": draw(st.sampled_from(("ssim", "machine"))),
        "alpha_qp": draw(st.one_of(st.none(), st.integers(0, 51))),
        "deblock": draw(st.one_of(st.none(), st.integers(-6, 6))),
        "chroma_qp_offset": draw(st.one_of(st.none(), st.integers(-12, 12))),
        "psy_rd": draw(st.one_of(st.just(0), st.floats(0, 5))),
    }
    return options


@settings(max_examples=80, deadline=None)
@given(
    options=_options(),
    lossless=st.booleans(),
    channels=st.sampled_from((1, 3, 4)),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    qp=st.integers(0, 51),
    dtype=st.sampled_from(
        (torch.uint8, torch.uint16, torch.float16, torch.float32, torch.float64, torch.bfloat16)
    ),
    seed=st.integers(0, 1000),
)
def test_decode_equals_x_hat(
    options: dict[str, Any],
    lossless: bool,
    channels: int,
    height: int,
    width: int,
    qp: int,
    dtype: torch.dtype,
    seed: int,
) -> None:
    x = smooth_picture(channels, height, width, seed)
    if dtype in (torch.uint8, torch.uint16):
        x = (x * (255 if dtype == torch.uint8 else 65535)).to(torch.int32)
    out = npp.compress(x.to(dtype)[None], qp, lossless=lossless, **options)
    assert out.x_hat.dtype == dtype and out.x_hat.shape == (1, channels, height, width)
    decoded = npp.decode(out.bitstreams[0], dtype=dtype)
    wanted = out.x_hat[0]
    if decoded.shape[0] == 1 and channels == 3:  # colour written as gray
        assert all(torch.equal(wanted[c : c + 1], decoded) for c in range(3))
    else:
        assert torch.equal(wanted, decoded)
    assert out.bpp.item() == pytest.approx(8 * len(out.bitstreams[0]) / (height * width), rel=1e-6)
    info = npp.probe(out.bitstreams[0])
    assert (info.width, info.height, info.has_alpha) == (width, height, channels == 4)
    assert info.bit_depth == options["bit_depth"]
    assert info.chroma == ("400" if channels == 1 else options["chroma"])


@pytest.mark.parametrize("bit_depth", [8, 10, 12])
@pytest.mark.parametrize(
    "options",
    [
        {"effort": 9, "chroma_qp_offset": 12},
        {"effort": 8, "deblock": -6, "chroma_qp_offset": 12},
        {"effort": 8, "deblock": -3, "chroma_qp_offset": 12, "qp_map": torch.full((1, 8, 8), 3.0)},
    ],
    ids=["effort 9", "deblock -6", "above qp 51"],
)
def test_chroma_is_deblocked_as_the_encoder_did_at_the_coarsest_qps(options: Any, bit_depth: Any) -> None:
    squares = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    x = torch.nn.functional.interpolate(squares, scale_factor=16)
    out = npp.compress(x, 51, bit_depth=bit_depth, **options)
    assert torch.equal(npp.decompress(out.bitstreams), out.x_hat)


@pytest.mark.parametrize("chroma", ["420", "422", "444"])
def test_lossless_blocks_among_blocks_of_other_qps_are_what_the_encoder_made(chroma: Any) -> None:
    """npp writes no such files but when x265 is asked to; libavcodec deblocks their chroma wrongly."""
    for seed in range(12):
        generator = torch.Generator().manual_seed(seed)
        x = (torch.rand(1, 3, 96, 96, generator=generator) > 0.5).float()
        qp_map = 40 * torch.randn(1, 6, 6, generator=generator)
        options: Any = {"effort": 8, "deblock": -6, "psy_rd": 5, "_x265": "cu-lossless=1"}
        out = npp.compress(x, 36, qp_map=qp_map, chroma=chroma, tune="machine", **options)
        assert torch.equal(npp.decompress(out.bitstreams), out.x_hat)


@pytest.mark.parametrize("chroma", CHROMA_NAMES)
@pytest.mark.parametrize("bit_depth", [8, 10, 12])
def test_quality_follows_qp(chroma: Any, bit_depth: Any) -> None:
    x = smooth_picture(3, 80, 96, 3)[None]
    errors, rates = [], []
    for qp in (10, 28, 46):
        out = npp.compress(x, qp, chroma=chroma, bit_depth=bit_depth, effort=2)
        errors.append((out.x_hat.mean(1) - x.mean(1)).square().mean().item())
        rates.append(out.bpp.item())
    assert errors == sorted(errors) and rates == sorted(rates, reverse=True)
    assert errors[0] < (1e-2 if chroma == "400" else 1e-3)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (17, 9), (64, 64), (43, 61)])
def test_lossless_is_exact(channels: int, size: tuple[int, int]) -> None:
    x = (smooth_picture(channels, *size, 1) * 255).to(torch.uint8)
    assert torch.equal(npp.decode(npp.encode(x, lossless=True)), x)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_lossless_in_limited_range_is_exact_from_10_bits_on(channels: int) -> None:
    every_value = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16)
    x = torch.cat([every_value, every_value.flip(1), every_value.mT, every_value.flip(2)])[:channels]
    for bit_depth in (10, 12):
        assert torch.equal(
            npp.decode(npp.encode(x, lossless=True, limited_range=True, bit_depth=bit_depth)), x
        )
    off = (npp.decode(npp.encode(x, lossless=True, limited_range=True)).int() - x.int()).abs()
    assert off.max() == 1  # 219 steps are fewer than 256 values, as the documentation says


def test_bytes_do_not_depend_on_threads_neighbours_or_reuse() -> None:
    batch = [smooth_picture(3, 40 + 13 * i, 90 - 9 * i, i) for i in range(6)]
    alone = [npp.encode(image, 25 + i, effort=3) for i, image in enumerate(batch)]
    for threads in (1, 2, 7):
        for _ in range(2):
            assert npp.encode(batch, [25 + i for i in range(6)], threads=threads, effort=3) == alone
    npp.clear_encoder_cache()
    assert npp.encode(batch, list(range(25, 31)), effort=3) == alone


def test_qp_per_image_and_alpha_qp() -> None:
    x = smooth_picture(4, 64, 64, 2)
    coarse, fine = npp.encode(x, 30, alpha_qp=45), npp.encode(x, 30, alpha_qp=10)
    assert len(coarse) < len(fine)
    assert torch.equal(npp.decode(coarse)[:3], npp.decode(fine)[:3])
    batch = torch.stack([x, x])
    assert npp.encode(batch, torch.tensor([20, 40])) == [npp.encode(x, 20), npp.encode(x, 40)]
    assert npp.encode(batch, np.array([20, 40])) == npp.encode(batch, (20, 40))
    for one in (torch.tensor(20), np.array(20), np.int64(20)):
        assert npp.encode(batch, one) == npp.encode(batch, 20)


def test_alpha_qp_of_zero_is_finer_than_the_default() -> None:
    x = smooth_picture(4, 64, 64, 2)
    finest, usual = (npp.decode(npp.encode(x, 45, alpha_qp=qp), dtype=torch.float32) for qp in (0, None))
    assert (finest[3] - x[3]).abs().max() < 0.01 < (usual[3] - x[3]).abs().max()


def test_lossless_is_rgb_as_long_as_chroma_is_whole() -> None:
    x = smooth_picture(3, 16, 16, 0)
    spaces = {
        chroma: npp.probe(npp.encode(x, lossless=True, chroma=chroma)).color_space
        for chroma in CHROMA_NAMES[1:]
    }
    assert spaces.pop("444") == "rgb" and set(spaces.values()) == {"ycbcr"}


def test_decompress_is_the_inverse() -> None:
    x = torch.stack([smooth_picture(3, 48, 40, i) for i in range(3)])
    out = npp.compress(x, [20, 30, 40])
    for dtype in (torch.float32, torch.float64, torch.uint8, torch.bfloat16):
        wanted = npp.compress(
            x.to(dtype) if dtype != torch.uint8 else (x * 255 + 0.5).to(dtype), [20, 30, 40]
        )
        assert torch.equal(npp.decompress(wanted.bitstreams, dtype=dtype), wanted.x_hat)
    assert torch.equal(npp.decompress(out.bitstreams), out.x_hat)


def test_bytes_like_input_is_read() -> None:
    data = npp.encode(smooth_picture(3, 16, 16, 0))
    for form in (bytearray(data), memoryview(data), io.BytesIO(data).getbuffer()):
        assert torch.equal(npp.decode(form), npp.decode(data))


def test_build_config_says_what_runs() -> None:
    config = npp.build_config()
    assert config["npp_version"] == npp.__version__
    assert 8 in config["x265_bit_depths"] and config["x265_linkage"] in ("static", "shared")
    assert config["libavcodec_linkage"] in ("static", "shared")
    assert config["threads"] >= 1


@pytest.mark.parametrize("qp", [{30, 40}, {30: 1, 40: 2}])
@pytest.mark.parametrize("code", [npp.encode, npp.compress, npp.encode_animation])
def test_qps_without_order_are_refused(code: Any, qp: Any) -> None:
    with pytest.raises(npp.EncodeError, match=f"qp must be one for all .*, not a {type(qp).__name__}$"):
        code(torch.zeros(2, 1, 16, 16), qp)


@pytest.mark.parametrize("size", [(2_000_000, 16), (16, 2_000_000)])
def test_stills_too_large_for_libavcodec_are_decoded(
    size: tuple[int, int], capfd: pytest.CaptureFixture[str]
) -> None:
    height, width = size
    picture = torch.arange(width, dtype=torch.int64).div(4, rounding_mode="floor") % 2 * 255
    picture = picture.to(torch.uint8).expand(1, height, width)
    with max_pixels_within(height * width):
        data = npp.encode(picture, 30, effort=0)
        found = npp.decode(data)
    assert found.shape == (1, height, width)
    assert (found.int() - picture.int()).abs().float().mean() < 12
    assert capfd.readouterr().err == ""
    with pytest.raises(npp.EncodeError, match="larger than libavcodec decodes, which reads animations"):
        npp.encode_animation([picture, picture], 30, effort=0)
