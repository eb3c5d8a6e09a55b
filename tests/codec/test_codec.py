"""Encoding and decoding: what compress says is what the file holds, for every option."""

from __future__ import annotations

import io
import locale
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

import npp
from npp.codec.limits import max_pixels_within
from npp.codec.options import CHROMA_NAMES, COLOR_SPACE_NAMES, resolve_options
from npp.codec.pil_pictures import iterate_frames


def _picture(channels: int, height: int, width: int, seed: int) -> Tensor:
    """A smooth picture with an edge and some noise, floats in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.linspace(0, 1, height)[None, :, None]
    x = torch.linspace(0, 1, width)[None, None, :]
    phase = torch.rand(channels, 1, 1, generator=generator)
    image = 0.5 + 0.4 * torch.sin(6 * (x + phase)) * torch.cos(5 * y + phase)
    image = image + 0.03 * torch.randn(channels, height, width, generator=generator) + 0.2 * (x > y)
    return image.clamp(0, 1)


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
    x = _picture(channels, height, width, seed)
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
    x = _picture(3, 80, 96, 3)[None]
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
    x = (_picture(channels, *size, 1) * 255).to(torch.uint8)
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


def test_every_way_to_pass_a_picture_gives_the_same_bytes() -> None:
    chw = (_picture(3, 50, 70, 5) * 255).round().to(torch.uint8)
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


def test_bytes_do_not_depend_on_threads_neighbours_or_reuse() -> None:
    batch = [_picture(3, 40 + 13 * i, 90 - 9 * i, i) for i in range(6)]
    alone = [npp.encode(image, 25 + i, effort=3) for i, image in enumerate(batch)]
    for threads in (1, 2, 7):
        for _ in range(2):
            assert npp.encode(batch, [25 + i for i in range(6)], threads=threads, effort=3) == alone
    npp.clear_encoder_cache()
    assert npp.encode(batch, list(range(25, 31)), effort=3) == alone


def test_qp_per_image_and_alpha_qp() -> None:
    x = _picture(4, 64, 64, 2)
    coarse, fine = npp.encode(x, 30, alpha_qp=45), npp.encode(x, 30, alpha_qp=10)
    assert len(coarse) < len(fine)
    assert torch.equal(npp.decode(coarse)[:3], npp.decode(fine)[:3])
    batch = torch.stack([x, x])
    assert npp.encode(batch, torch.tensor([20, 40])) == [npp.encode(x, 20), npp.encode(x, 40)]
    assert npp.encode(batch, np.array([20, 40])) == npp.encode(batch, (20, 40))
    for one in (torch.tensor(20), np.array(20), np.int64(20)):
        assert npp.encode(batch, one) == npp.encode(batch, 20)


def test_an_alpha_qp_of_0_is_the_best_and_not_none() -> None:
    x = _picture(4, 64, 64, 2)
    finest, usual = (npp.decode(npp.encode(x, 45, alpha_qp=qp), dtype=torch.float32) for qp in (0, None))
    assert (finest[3] - x[3]).abs().max() < 0.01 < (usual[3] - x[3]).abs().max()


def test_alpha_of_an_animation_has_its_own_qp() -> None:
    frames = torch.stack([_picture(4, 64, 64, 2), _picture(4, 64, 64, 3)])
    coarse, fine = (npp.decode(npp.encode_animation(frames, 30, alpha_qp=qp, effort=2)) for qp in (45, 10))
    assert torch.equal(coarse[:, :3], fine[:, :3]) and not torch.equal(coarse[:, 3], fine[:, 3])


def test_animations_are_shown_for_ever_at_25_frames_a_second_unless_told_otherwise() -> None:
    info = npp.probe(npp.encode_animation(torch.zeros(2, 1, 16, 16, dtype=torch.uint8), effort=0))
    assert (info.durations, info.loop_count) == ((Fraction(1, 25),) * 2, 0)


def test_an_opened_animation_stays_at_its_frame() -> None:
    file = io.BytesIO()
    frames = [Image.new("L", (8, 8), 80 * i) for i in range(3)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=[40, 50, 60])
    with Image.open(file) as image:
        image.seek(1)
        found = list(iterate_frames(image))
        assert image.tell() == 1
    assert [milliseconds for _, milliseconds in found] == [40, 50, 60]


def test_lossless_is_rgb_as_long_as_chroma_is_whole() -> None:
    x = _picture(3, 16, 16, 0)
    spaces = {
        chroma: npp.probe(npp.encode(x, lossless=True, chroma=chroma)).color_space
        for chroma in CHROMA_NAMES[1:]
    }
    assert spaces.pop("444") == "rgb" and set(spaces.values()) == {"ycbcr"}


def _in_x265_words(deblock: int | None, chroma_qp_offset: int | None) -> str:
    """Of the filter its two thresholds, of colour its two planes."""
    words = [] if deblock is None else [f"deblock={deblock},{deblock}"]
    if chroma_qp_offset is not None:
        words.append(f"cbqpoffs={chroma_qp_offset}:crqpoffs={chroma_qp_offset}")
    return ":".join(words)


@pytest.mark.parametrize(
    ("effort", "tune"), [(0, "ssim"), (5, "ssim"), (9, "ssim"), (1, "machine"), (4, "machine")]
)
@pytest.mark.parametrize("strengths", [(5, None), (-6, None), (None, 7), (None, -12), (3, 12), (0, 0)])
def test_deblock_and_chroma_qp_offset_are_both_numbers_of_x265(
    effort: int, tune: Any, strengths: tuple[int | None, int | None]
) -> None:
    """The very bytes, in place of what the ladder and the tune choose."""
    ours: Any = dict(zip(("deblock", "chroma_qp_offset"), strengths, strict=True))
    theirs: Any = {"_x265": _in_x265_words(*strengths)}
    common: Any = {"effort": effort, "tune": tune}
    qp_map = torch.linspace(-9, 9, 16).reshape(4, 4)
    for channels, options in (
        (1, {}),
        (3, {}),
        (4, {"alpha_qp": 30}),
        (3, {"chroma": "444", "bit_depth": 10}),
        (3, {"qp_map": qp_map}),
        (3, {"chroma": "422", "psy_rd": 1.5}),
        (3, {"lossless": True}),
    ):
        x, both = _picture(channels, 64, 64, 3), {**common, **options}
        assert npp.encode(x, 38, **ours, **both) == npp.encode(x, 38, **theirs, **both)
    frames = torch.stack([_picture(3, 64, 64, 3), _picture(3, 64, 64, 4)])
    assert npp.encode_animation(frames, 38, **ours, **common) == npp.encode_animation(
        frames, 38, **theirs, **common
    )


def test_deblock_and_chroma_qp_offset_each_change_a_picture() -> None:
    x = _picture(3, 64, 64, 3)
    other: list[Any] = [{"deblock": 5}, {"chroma_qp_offset": 7}, {"deblock": 5, "chroma_qp_offset": 7}]
    assert len({npp.encode(x, 38), *(npp.encode(x, 38, **options) for options in other)}) == 4


def test_what_x265_is_told_directly_counts_before_an_option() -> None:
    direct: Any = {"_x265": "deblock=2,2:cbqpoffs=1:crqpoffs=1"}
    x = _picture(3, 64, 64, 3)
    both = npp.encode(x, 38, deblock=-6, chroma_qp_offset=9, **direct)
    assert both == npp.encode(x, 38, deblock=2, chroma_qp_offset=1)
    assert resolve_options({"chroma_qp_offset": 9, **direct}).used_chroma_qp_offset == 1


def test_metadata_round_trips() -> None:
    metadata = npp.Metadata(
        exif=b"II*\0\x08\0\0\0\0\0",
        icc_profile=bytes(300),
        xmp=b"<x/>",
        extensions=((99, b"hello"), (2**31, b"")),
    )
    x = _picture(3, 16, 16, 0)
    data = npp.encode(x, metadata=metadata)
    assert npp.probe(data).metadata == metadata
    assert torch.equal(npp.decode(data), npp.decode(npp.encode(x)))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("lossless", [False, True])
def test_animations(channels: int, lossless: bool) -> None:
    frames = (
        (torch.stack([_picture(channels, 40, 56, i // 2) for i in range(5)]) * 255).round().to(torch.uint8)
    )
    durations = [Fraction(1, 10), 0.3, Fraction(2, 10), 0.1, 1]
    data = npp.encode_animation(frames, 20, durations=durations, loop_count=4, lossless=lossless, effort=2)
    info = npp.probe(data)
    assert info.animation and info.frames == 5 and info.loop_count == 4
    assert info.durations == tuple(Fraction(n, 10) for n in (1, 3, 2, 1, 10))
    decoded = npp.decode(data)
    assert decoded.shape == frames.shape
    if lossless:
        assert torch.equal(decoded, frames)
    else:
        assert (decoded.float() - frames.float()).square().mean() < 60
    still_bytes = sum(len(file) for file in npp.encode(frames, 20, lossless=lossless, effort=2))
    assert len(data) < still_bytes


def test_chroma_qp_offset_moves_bits_between_luma_and_colour() -> None:
    x = (_picture(3, 96, 96, 3) * 255).round().to(torch.uint8)
    luma = torch.tensor([0.299, 0.587, 0.114])[:, None, None]

    def errors(offset: int) -> tuple[float, float]:
        change = npp.decode(npp.encode(x, 34, chroma_qp_offset=offset)).float() - x.float()
        grey = (luma * change).sum(0)
        return float(grey.square().mean()), float((change - grey).square().mean())

    plain, finer, coarser = errors(0), errors(-8), errors(8)
    assert finer[1] < plain[1] < coarser[1]
    assert finer[0] == pytest.approx(plain[0], rel=0.1)
    # None is what the tune says: 0, and -3 for networks.
    assert npp.encode(x, 34, chroma_qp_offset=0) == npp.encode(x, 34)
    machine = npp.encode(x, 34, tune="machine")
    assert npp.encode(x, 34, tune="machine", chroma_qp_offset=-3) == machine
    assert npp.encode(x, 34, tune="machine", chroma_qp_offset=0) != machine


def test_deblock_smooths_the_edges_of_blocks() -> None:
    x = (_picture(3, 128, 128, 4) * 255).round().to(torch.uint8)

    def edges(strength: int) -> float:
        grey = npp.decode(npp.encode(x, 44, deblock=strength, effort=4)).float().mean(0)
        return float((grey[:, 32::32] - grey[:, 31:-1:32]).abs().mean())

    assert edges(6) < edges(-6)


@pytest.mark.parametrize("options", [{"effort": 5, "tune": "machine"}, {"effort": 1}, {"effort": 8}])
def test_psy_rd_keeps_texture_at_the_price_of_pixels(options: dict[str, Any]) -> None:
    x = _textured()
    plain, textured = (npp.decode(npp.encode(x, 40, psy_rd=p, **options)).float() for p in (0, 4))
    assert (textured - x).square().mean() > (plain - x).square().mean()

    def texture(picture: torch.Tensor) -> float:
        return float((picture[:, 1:] - picture[:, :-1]).abs().mean())

    assert texture(plain) < texture(textured) < texture(x.float())


def _textured() -> Tensor:
    noise = torch.rand(3, 128, 128, generator=torch.Generator().manual_seed(5))
    return ((0.7 * _picture(3, 128, 128, 4) + 0.3 * noise) * 255).round().to(torch.uint8)


def test_psy_rd_is_a_number_and_none_and_zero_are_no_option_at_all() -> None:
    x = _textured()
    plain = npp.encode(x, 34)
    assert npp.encode(x, 34, psy_rd=0) == npp.encode(x, 34, psy_rd=None) == plain
    files = {npp.encode(x, 34, psy_rd=strength) for strength in (0, 1, 2.5, 5)}
    assert len(files) == 4


def test_psy_rd_does_not_depend_on_the_locale() -> None:
    comma = next((n for n in ("de_DE.UTF-8", "fr_FR.UTF-8", "de_DE") if _has_locale(n)), None)
    if comma is None:
        pytest.skip("no locale with a decimal comma is installed")
    x = _textured()
    plain = npp.encode(x, 34, psy_rd=2.5)
    before = locale.setlocale(locale.LC_NUMERIC)
    npp.clear_encoder_cache()
    locale.setlocale(locale.LC_NUMERIC, comma)
    try:
        assert npp.encode(x, 34, psy_rd=2.5) == plain
    finally:
        locale.setlocale(locale.LC_NUMERIC, before)


def _has_locale(name: str) -> bool:
    before = locale.setlocale(locale.LC_NUMERIC)
    try:
        locale.setlocale(locale.LC_NUMERIC, name)
    except locale.Error:
        return False
    locale.setlocale(locale.LC_NUMERIC, before)
    return True


def test_decompress_is_the_inverse() -> None:
    x = torch.stack([_picture(3, 48, 40, i) for i in range(3)])
    out = npp.compress(x, [20, 30, 40])
    for dtype in (torch.float32, torch.float64, torch.uint8, torch.bfloat16):
        wanted = npp.compress(
            x.to(dtype) if dtype != torch.uint8 else (x * 255 + 0.5).to(dtype), [20, 30, 40]
        )
        assert torch.equal(npp.decompress(wanted.bitstreams, dtype=dtype), wanted.x_hat)
    assert torch.equal(npp.decompress(out.bitstreams), out.x_hat)


def test_bytes_like_input_is_read() -> None:
    data = npp.encode(_picture(3, 16, 16, 0))
    for form in (bytearray(data), memoryview(data), io.BytesIO(data).getbuffer()):
        assert torch.equal(npp.decode(form), npp.decode(data))


def test_build_config_says_what_runs() -> None:
    config = npp.build_config()
    assert config["npp_version"] == npp.__version__
    assert 8 in config["x265_bit_depths"] and config["x265_linkage"] in ("static", "shared")
    assert config["libavcodec_linkage"] in ("static", "shared")
    assert config["threads"] >= 1


@pytest.mark.parametrize("dtype", ["u2", "f4", "f8", "f2"])
def test_byte_order_does_not_matter(dtype: str) -> None:
    samples = _picture(3, 20, 24, 0).permute(1, 2, 0).numpy()
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


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 0, -1, "1", None, True, 1e-9, np.float32("nan")]
)
def test_durations_that_are_none_are_refused_by_name(value: Any) -> None:
    frames = torch.zeros(2, 1, 16, 16, dtype=torch.uint8)
    with pytest.raises(npp.EncodeError, match=r"durations\[0\] must be positive, finite seconds"):
        npp.encode_animation(frames, durations=value)
    with pytest.raises(npp.EncodeError, match=r"durations\[1\] must be positive, finite seconds"):
        npp.encode_animation(frames, durations=[1, value])


@pytest.mark.parametrize("durations", [{0.1, 0.2}, frozenset([0.1]), {0.1: 0, 0.2: 0}, {}.keys()])
def test_durations_without_order_are_refused(durations: Any) -> None:
    frames = torch.zeros(2, 1, 16, 16, dtype=torch.uint8)
    kind = type(durations).__name__
    with pytest.raises(npp.EncodeError, match=f"durations must be one for all .*, not a {kind}$"):
        npp.encode_animation(frames, durations=durations)


@pytest.mark.parametrize("qp", [{30, 40}, {30: 1, 40: 2}])
@pytest.mark.parametrize("code", [npp.encode, npp.compress, npp.encode_animation])
def test_qps_without_order_are_refused(code: Any, qp: Any) -> None:
    with pytest.raises(npp.EncodeError, match=f"qp must be one for all .*, not a {type(qp).__name__}$"):
        code(torch.zeros(2, 1, 16, 16), qp)


@pytest.mark.parametrize("kind", [set, dict.fromkeys, lambda frames: Image.new("L", (4, 4)), len])
def test_frames_without_order_are_refused(kind: Any) -> None:
    frames = kind([torch.zeros(1, 16, 16), torch.ones(1, 16, 16)])
    message = rf"frames must be a tensor \(F, C, H, W\) or a list of pictures, not {type(frames).__name__}$"
    with pytest.raises(TypeError, match=message):
        npp.encode_animation(frames)


@pytest.mark.parametrize("loop", [None, "3", 1.5, float("nan"), -1, 2**32, True])
def test_loop_counts_that_are_none_are_refused_by_name(loop: Any) -> None:
    frames = torch.zeros(2, 1, 16, 16, dtype=torch.uint8)
    with pytest.raises(npp.EncodeError, match="loop_count must be an integer from 0"):
        npp.encode_animation(frames, loop_count=loop)


@pytest.mark.parametrize(
    ("durations", "period", "shown"),
    [
        # NTSC's rate has no denominator below 10,000.
        ([Fraction(1001, 30_000)] * 3, (1001, 30_000), [Fraction(1001, 30_000)] * 3),
        ([1 / 30, 1 / 25, 1 / 24], (1, 600), [Fraction(1, 30), Fraction(1, 25), Fraction(1, 24)]),
        # No common period that fits into the file: each to 1/60,000 s.
        ([Fraction(1001, 30_000), Fraction(1001, 24_000), 1], (1, 60_000), [2002, 2502, 60_000]),
        ([0.0333667, 0.0417083, 0.0500501], (1, 60_000), [2002, 2502, 3003]),
        ([1 / 7, 0.0417, 0.0333], (1, 60_000), [8571, 2502, 1998]),
        # Coarser, so that the longest takes no more than 65,535 periods.
        ([9.9999, 1, 1], (1, 6_000), [59_999, 6_000, 6_000]),
        ([100_000] * 3, (50_000, 1), [2] * 3),
        ([70_000, 35_000, 34_999], (64_088, 60_000), [65_535, 32_767, 32_767]),
    ],
)
def test_durations_fit_into_16_bits(
    durations: list[Any], period: tuple[int, int], shown: list[Fraction | int]
) -> None:
    """As the specification has it, and so bpgdec: two numbers of a period, and how many of it."""
    data = npp.encode_animation(torch.rand(3, 1, 16, 16), 40, durations=durations, loop_count=65_535)
    info = npp.probe(data)
    unit = Fraction(*period)
    assert info.durations == tuple(one if isinstance(one, Fraction) else one * unit for one in shown)
    control = next(found for tag, found in info.extensions if tag == 5)
    numbers = [0]
    for byte in control:
        numbers[-1] = numbers[-1] << 7 | byte & 0x7F
        if byte < 0x80:
            numbers.append(0)
    assert numbers[:-1] == [65_535, unit.numerator, unit.denominator]


@pytest.mark.parametrize("size", [(2_000_000, 16), (16, 2_000_000)])
def test_stills_that_libavcodec_does_not_take_are_read(
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


def test_durations_of_numpy_and_torch() -> None:
    frames = torch.zeros(2, 1, 16, 16, dtype=torch.uint8)
    wanted = npp.encode_animation(frames, durations=[0.5, 2], loop_count=3, effort=0)
    for durations in (np.array([0.5, 2]), torch.tensor([0.5, 2]), [np.float32(0.5), np.int64(2)], (0.5, 2.0)):
        assert npp.encode_animation(frames, durations=durations, loop_count=np.int64(3), effort=0) == wanted
    one = npp.encode_animation(frames, durations=0.5, effort=0)
    for duration in (np.float64(0.5), np.array(0.5), torch.tensor(0.5), Fraction(1, 2)):
        assert npp.encode_animation(frames, durations=duration, effort=0) == one


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
def test_extensions_that_are_none_are_named(extensions: Any, message: str) -> None:
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
    old = npp.encode(_picture(1, 8, 8, 0), metadata=npp.Metadata(extensions=((tag, before + TIFF),)))
    old = old.replace(bytes([tag, length]) + before, bytes([1, length]) + before, 1)  # as old bpgenc wrote it
    info = npp.probe(old)
    assert info.extensions == ((1, before + TIFF),)
    assert info.metadata.exif == TIFF
    copy = npp.encode(_picture(1, 8, 8, 0), metadata=info.metadata)
    assert npp.probe(copy).extensions == ((1, TIFF),)
    again = npp.encode(_picture(1, 8, 8, 0), metadata=npp.Metadata(exif=before + TIFF))
    assert npp.probe(again).extensions == ((1, TIFF),)


def test_of_several_extensions_of_one_kind_the_first_counts() -> None:
    found = npp.Metadata.from_extensions(((3, b"one"), (3, b"two"), (77, b"a"), (77, b"b")))
    assert found == npp.Metadata(xmp=b"one", extensions=((77, b"a"), (77, b"b")))


def test_the_size_before_coding_is_no_metadata_for_another_file() -> None:
    found = npp.Metadata.from_extensions(((int.from_bytes(b"npp", "big"), b"\x10\x10"), (77, b"a")))
    assert found == npp.Metadata(extensions=((77, b"a"),))


def test_the_first_tiff_header_is_where_exif_begins() -> None:
    both = b"II*\0MM\0*" + TIFF[4:]
    assert npp.Metadata(exif=both).exif == both


def test_exif_that_is_none_is_kept_as_it_is() -> None:
    for exif in (b"garbage", b"", b"0123456789" + TIFF):
        assert npp.Metadata(exif=exif).exif == exif
