"""PSNR of files against the pictures that they were encoded from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from npp.codec.decoding import decode
from npp.codec.image_inputs import CodecImage, SingleImage
from npp.recipes.picture_floats import decoded_for_task

Samples = npt.NDArray[Any]

_BAND = (
    1 << 18
)  # samples that are compared at once: as floats large photos would need many times their own memory


def _largest(samples: Samples) -> int:
    """The sample value that stands for 1."""
    return 1 if np.issubdtype(samples.dtype, np.floating) else np.iinfo(samples.dtype).max


def _unit(samples: Samples) -> npt.NDArray[np.float64]:
    """Samples on the scale from 0 to 1."""
    return samples.astype(np.float64) / _largest(samples)


def _mean_squared_error(source: Samples, decoded: Samples) -> float:
    """Mean squared error of planes (C, H, W) on the scale from 0 to 1; a single plane is broadcast."""
    channels, height, width = map(int, np.broadcast_shapes(source.shape, decoded.shape))
    rows = max(1, _BAND // (channels * width))
    total = 0.0
    for top in range(0, height, rows):
        band = slice(top, top + rows)
        total += float(np.square(_unit(source[:, band]) - _unit(decoded[:, band])).sum())
    return total / (channels * height * width)


def _psnr(errors: list[float]) -> float | None:
    mse = float(np.mean(errors))
    return -10 * math.log10(mse) if mse > 0 else None


def measure_psnr(frames: list[SingleImage], file: bytes, *, bit_depth: int) -> dict[str, float | None]:
    """PSNR in dB over all frames, with a peak of 1; ``None`` for identical pictures.

    JSON reports have no infinity, so an exact file has no PSNR there. Evaluations, which average and plot
    PSNR, count exact pictures as 100 dB instead (:mod:`npp.evaluation.measuring`).

    Args:
        frames: the source pictures.
        file: what they were encoded to.
        bit_depth: bit depth of the file; above 8 the 16-bit output of the decoder is compared, else 8-bit.

    Returns:
        ``psnr`` of the colour, transparent pixels included, and with alpha also ``alpha_psnr``.
    """
    decoded = decoded_for_task(
        decode(file, dtype=torch.uint16 if bit_depth > 8 else torch.uint8, threads=1), file
    )
    pictures = decoded if decoded.ndim == 4 else decoded[None]
    colors, alphas = [], []
    for frame, picture in zip(frames, pictures, strict=True):
        source, result = CodecImage(frame, "frame").samples, picture.numpy()
        colors.append(_mean_squared_error(source[:3] if len(source) > 1 else source, result[:3]))
        if len(source) == len(result) == 4:
            alphas.append(_mean_squared_error(source[3:], result[3:]))
    values = {"psnr": _psnr(colors)}
    return {**values, "alpha_psnr": _psnr(alphas)} if alphas else values
