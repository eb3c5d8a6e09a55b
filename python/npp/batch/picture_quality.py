"""How much of a picture a file has kept."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from npp.codec.decoding import decode
from npp.codec.image_inputs import CodecImage, SingleImage
from npp.recipes.picture_floats import decoded_for_task

Floats = npt.NDArray[np.float64]


def _largest(samples: npt.NDArray[Any]) -> int:
    """What stands for 1."""
    return 1 if np.issubdtype(samples.dtype, np.floating) else np.iinfo(samples.dtype).max


def _unit(samples: npt.NDArray[Any]) -> Floats:
    """Samples on the scale from 0 to 1."""
    return samples.astype(np.float64) / _largest(samples)


def _squared_errors(source: Floats, decoded: Floats) -> tuple[Floats, Floats | None]:
    """Squared errors of colour and of alpha of one picture; gray stands for equal R, G and B."""
    color = (source[:3] if source.shape[0] > 1 else source) - decoded[:3]
    alpha = (source[3] - decoded[3]) ** 2 if source.shape[0] == decoded.shape[0] == 4 else None
    return color**2, alpha


def _psnr(errors: list[Floats]) -> float | None:
    mse = float(np.mean([error.mean() for error in errors]))
    return -10 * math.log10(mse) if mse > 0 else None


def measure(frames: list[SingleImage], file: bytes, *, bit_depth: int) -> dict[str, float | None]:
    """PSNR in dB over all frames, with a peak of 1; ``None`` where there is no error.

    Args:
        frames: the source pictures.
        file: what they were encoded to.
        bit_depth: of the file; above 8 the decoder's 16-bit output is compared, else its 8-bit output.

    Returns:
        ``psnr`` of the colour (of all pixels, transparent ones too) and, with alpha, ``alpha_psnr``.
    """
    decoded = decoded_for_task(
        decode(file, dtype=torch.uint16 if bit_depth > 8 else torch.uint8, threads=1), file
    )
    pictures = decoded if decoded.ndim == 4 else decoded[None]
    pairs = [
        _squared_errors(_unit(CodecImage(frame, "frame").samples), _unit(picture.numpy()))
        for frame, picture in zip(frames, pictures, strict=True)
    ]
    result = {"psnr": _psnr([color for color, _ in pairs])}
    alphas = [alpha for _, alpha in pairs if alpha is not None]
    return {**result, "alpha_psnr": _psnr(alphas)} if alphas else result
