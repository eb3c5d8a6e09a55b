"""Animations: frames, durations and loop counts."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from smooth_pictures import smooth_picture

import npp
from npp.codec.pil_pictures import iterate_frames


def test_alpha_of_an_animation_has_its_own_qp() -> None:
    frames = torch.stack([smooth_picture(4, 64, 64, 2), smooth_picture(4, 64, 64, 3)])
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


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("lossless", [False, True])
def test_animations(channels: int, lossless: bool) -> None:
    frames = (
        (torch.stack([smooth_picture(channels, 40, 56, i // 2) for i in range(5)]) * 255)
        .round()
        .to(torch.uint8)
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


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 0, -1, "1", None, True, 1e-9, np.float32("nan")]
)
def test_invalid_durations_are_refused_by_name(value: Any) -> None:
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


@pytest.mark.parametrize("kind", [set, dict.fromkeys, lambda frames: Image.new("L", (4, 4)), len])
def test_frames_without_order_are_refused(kind: Any) -> None:
    frames = kind([torch.zeros(1, 16, 16), torch.ones(1, 16, 16)])
    message = rf"frames must be a tensor \(F, C, H, W\) or a list of pictures, not {type(frames).__name__}$"
    with pytest.raises(TypeError, match=message):
        npp.encode_animation(frames)


@pytest.mark.parametrize("loop", [None, "3", 1.5, float("nan"), -1, 2**32, True])
def test_invalid_loop_counts_are_refused_by_name(loop: Any) -> None:
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


def test_durations_of_numpy_and_torch() -> None:
    frames = torch.zeros(2, 1, 16, 16, dtype=torch.uint8)
    wanted = npp.encode_animation(frames, durations=[0.5, 2], loop_count=3, effort=0)
    for durations in (np.array([0.5, 2]), torch.tensor([0.5, 2]), [np.float32(0.5), np.int64(2)], (0.5, 2.0)):
        assert npp.encode_animation(frames, durations=durations, loop_count=np.int64(3), effort=0) == wanted
    one = npp.encode_animation(frames, durations=0.5, effort=0)
    for duration in (np.float64(0.5), np.array(0.5), torch.tensor(0.5), Fraction(1, 2)):
        assert npp.encode_animation(frames, durations=duration, effort=0) == one
