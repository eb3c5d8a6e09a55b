"""What the scripts of the gallery share: a photo, panels of pictures, and their command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import skimage.data
import torch
from PIL import Image, ImageDraw
from torch import Tensor

_CAPTION = 22


def photo(name: str, size: int) -> Tensor:
    """A photo of scikit-image, its middle of size x size pixels, as floats (3, size, size) in [0, 1]."""
    pixels = torch.from_numpy(getattr(skimage.data, name)()).permute(2, 0, 1) / 255
    side = min(pixels.shape[1:])
    top, left = (pixels.shape[1] - side) // 2, (pixels.shape[2] - side) // 2
    square = pixels[None, :, top : top + side, left : left + side]
    scaled = torch.nn.functional.interpolate(square, size=size, mode="bicubic", antialias=True)
    return scaled[0].clamp(0, 1)


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures in [0, 1]."""
    return (-10 * torch.log10((a - b).square().mean())).item()


def panel(pictures: Sequence[Tensor], captions: Sequence[str], path: Path) -> None:
    """Pictures (3, H, W) beside each other with a caption below each, as a PNG."""
    height, width = pictures[0].shape[1:]
    sheet = Image.new("RGB", (len(pictures) * (width + 4) - 4, height + _CAPTION), "white")
    for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        pixels = (picture.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        left = number * (width + 4)
        sheet.paste(Image.fromarray(pixels), (left, 0))
        ImageDraw.Draw(sheet).text((left + 4, height + 5), caption, fill="black")
    sheet.save(path)


def arguments(description: str) -> tuple[Path, int]:
    """The folder for results, made if it is absent, and the side of the photos, from the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, default=Path("build/gallery"), help="folder for the results")
    parser.add_argument("--size", type=int, default=224, help="side of the photos in pixels")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    return options.out, options.size
