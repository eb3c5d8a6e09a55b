"""PSNR of files against what they were made from, computed by hand."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch

import npp
from npp.batch.picture_quality import measure_psnr
from npp.codec.image_inputs import SingleImage


def _psnr(error: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean(error**2)))


def _shown(file: bytes, dtype: torch.dtype = torch.uint8) -> np.ndarray:
    """(F, C, H, W) from 0 to 1."""
    decoded = npp.decode(file, dtype=dtype).numpy()
    found = decoded if decoded.ndim == 4 else decoded[None]
    return found.astype(np.float64) / np.iinfo(found.dtype).max


def _source(picture: np.ndarray) -> np.ndarray:
    return picture.transpose(2, 0, 1) / np.iinfo(picture.dtype).max


def test_an_animation_is_measured_over_all_its_frames(photo: np.ndarray) -> None:
    """By its mean squared error, not by the mean of its frames' decibels."""
    frames: list[SingleImage] = [photo, np.full_like(photo, 90), photo[::-1].copy()]
    file = npp.encode_animation(frames, 45, effort=0)
    errors = _shown(file) - np.stack([_source(np.asarray(one)) for one in frames])
    assert measure_psnr(frames, file, bit_depth=8) == {"psnr": pytest.approx(_psnr(errors))}
    assert len({round(_psnr(one + 1e-9), 1) for one in errors}) > 1


@pytest.mark.parametrize("bit_depth", [8, 10, 12])
def test_files_of_more_than_eight_bits_are_compared_in_sixteen(
    deep_photo: np.ndarray, bit_depth: int
) -> None:
    file = npp.encode(deep_photo, 0, effort=0, bit_depth=bit_depth)
    expected = [_psnr(_shown(file, dtype)[0] - _source(deep_photo)) for dtype in (torch.uint8, torch.uint16)]
    assert abs(expected[0] - expected[1]) > 0.01
    found = measure_psnr([deep_photo], file, bit_depth=bit_depth)["psnr"]
    assert found == pytest.approx(expected[bit_depth > 8])


def test_alpha_is_measured_apart_and_no_error_has_no_decibels(photo: np.ndarray) -> None:
    alpha = np.tile(np.arange(photo.shape[1], dtype=np.uint8), (photo.shape[0], 1))
    picture = np.dstack([photo, alpha])
    file = npp.encode(picture, 40, effort=0)
    errors = _shown(file)[0] - _source(picture)
    found = measure_psnr([picture], file, bit_depth=8)
    assert found["psnr"] == pytest.approx(_psnr(errors[:3]))
    assert found["alpha_psnr"] == pytest.approx(_psnr(errors[3]))
    exact = npp.encode(picture, lossless=True)
    assert measure_psnr([picture], exact, bit_depth=8) == {"psnr": None, "alpha_psnr": None}


def test_gray_is_compared_with_equal_colours(photo: np.ndarray) -> None:
    gray = photo[..., 1]
    file = npp.encode(gray, 40, effort=0)
    found = measure_psnr([gray], file, bit_depth=8)
    assert found == {"psnr": pytest.approx(_psnr(_shown(file)[0] - gray / 255))}


def test_a_large_picture_is_compared_in_little_memory(photo: np.ndarray) -> None:
    """In floats at once it would need 24 bytes a pixel and array."""
    large = np.tile(photo, (12, 12, 1))
    file = npp.encode(large, 40, effort=0)
    tracemalloc.start()
    try:
        values = measure_psnr([large], file, bit_depth=8)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert values == {"psnr": pytest.approx(_psnr(_shown(file) - _source(large)))}
    assert peak < 8 * large.shape[0] * large.shape[1]
