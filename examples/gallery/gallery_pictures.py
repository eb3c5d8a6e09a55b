"""What the gallery's scripts share: photos, panels of pictures, a network in place of yours, arguments."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import skimage.data
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

_CAPTION = 24
_LETTERS = 13
Box = Sequence[float]


def photo(name: str, size: int) -> Tensor:
    """A photo of scikit-image, its middle of size x size pixels, as floats (3, size, size) in [0, 1]."""
    pixels = torch.from_numpy(getattr(skimage.data, name)()).permute(2, 0, 1) / 255
    side = min(pixels.shape[1:])
    top, left = (pixels.shape[1] - side) // 2, (pixels.shape[2] - side) // 2
    square = pixels[None, :, top : top + side, left : left + side]
    scaled = torch.nn.functional.interpolate(square, size=size, mode="bicubic", antialias=True)
    return scaled[0].clamp(0, 1)


def classifier() -> nn.Module:
    """Stands for yours: ten classes, untrained, and as sure of its answers as if it were trained."""
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 32, 3, 2, 1), nn.ReLU()]
    head = nn.Linear(32, 10)
    with torch.no_grad():
        head.weight.mul_(100)
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures in [0, 1]."""
    return (-10 * torch.log10((a - b).square().mean())).item()


def panel(
    pictures: Sequence[Tensor],
    captions: Sequence[str],
    path: Path,
    boxes: Sequence[Sequence[Box]] | None = None,
) -> Image.Image:
    """Pictures (3, H, W) beside each other with a caption below each, written as a PNG.

    ``boxes`` has those of each picture, x1, y1, x2, y2 in pixels.
    """
    height, width = pictures[0].shape[1:]
    sheet = Image.new("RGB", (len(pictures) * (width + 4) - 4, height + _CAPTION), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_LETTERS)
    for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left = number * (width + 4)
        sheet.paste(as_image(picture), (left, 0))
        draw.text((left + 3, height + 4), caption, fill="black", font=font)
        for x1, y1, x2, y2 in boxes[number] if boxes else ():
            draw.rectangle((left + x1, y1, left + x2, y2), outline="yellow", width=2)
    sheet.save(path)
    return sheet


def as_image(picture: Tensor) -> Image.Image:
    """A picture (3, H, W) in [0, 1] for Pillow."""
    return Image.fromarray((picture.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def arguments(description: str) -> tuple[Path, int]:
    """The folder for results, made if it is absent, and the side of the photos, from the command line.

    In a notebook the command line is the kernel's own, so that the defaults hold there.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, default=Path("build/gallery"), help="folder for the results")
    parser.add_argument("--size", type=int, default=224, help="side of the photos in pixels")
    options = parser.parse_args([] if "ipykernel" in sys.modules else None)
    options.out.mkdir(parents=True, exist_ok=True)
    return options.out, options.size
