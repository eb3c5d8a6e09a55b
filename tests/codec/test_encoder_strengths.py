"""The options deblock, chroma_qp_offset and psy_rd."""

from __future__ import annotations

import locale
from typing import Any

import pytest
import torch
from smooth_pictures import smooth_picture
from torch import Tensor

import npp
from npp.codec.options import resolve_options


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
        x, both = smooth_picture(channels, 64, 64, 3), {**common, **options}
        assert npp.encode(x, 38, **ours, **both) == npp.encode(x, 38, **theirs, **both)
    frames = torch.stack([smooth_picture(3, 64, 64, 3), smooth_picture(3, 64, 64, 4)])
    assert npp.encode_animation(frames, 38, **ours, **common) == npp.encode_animation(
        frames, 38, **theirs, **common
    )


def test_deblock_and_chroma_qp_offset_each_change_a_picture() -> None:
    x = smooth_picture(3, 64, 64, 3)
    other: list[Any] = [{"deblock": 5}, {"chroma_qp_offset": 7}, {"deblock": 5, "chroma_qp_offset": 7}]
    assert len({npp.encode(x, 38), *(npp.encode(x, 38, **options) for options in other)}) == 4


def test_direct_x265_setting_overrides_an_option() -> None:
    direct: Any = {"_x265": "deblock=2,2:cbqpoffs=1:crqpoffs=1"}
    x = smooth_picture(3, 64, 64, 3)
    both = npp.encode(x, 38, deblock=-6, chroma_qp_offset=9, **direct)
    assert both == npp.encode(x, 38, deblock=2, chroma_qp_offset=1)
    assert resolve_options({"chroma_qp_offset": 9, **direct}).used_chroma_qp_offset == 1


def test_chroma_qp_offset_moves_bits_between_luma_and_colour() -> None:
    x = (smooth_picture(3, 96, 96, 3) * 255).round().to(torch.uint8)
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
    x = (smooth_picture(3, 128, 128, 4) * 255).round().to(torch.uint8)

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
    return ((0.7 * smooth_picture(3, 128, 128, 4) + 0.3 * noise) * 255).round().to(torch.uint8)


def test_psy_rd_of_zero_or_none_changes_nothing_and_other_strengths_do() -> None:
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
