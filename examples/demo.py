"""Round trips of real photos: bits per pixel and PSNR over several qps, .bpg files, a contact sheet.

    python examples/demo.py --out build/demo

The photos are public-domain or CC0 pictures inside scikit-image's package; nothing is downloaded.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import skimage.data
import torch
from PIL import Image, ImageDraw
from torch import Tensor

import npp
from npp.files import write_file

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
QPS = (22, 28, 34, 40, 46)
CELL = 256
CAPTION = 28


@dataclass(frozen=True)
class Row:
    """One photo at one qp."""

    photo: str
    qp: int
    bpp: float
    psnr: float
    path: Path
    decoded: Tensor


def load(name: str) -> Tensor:
    """A photo as floats (3, H, W) in [0, 1]."""
    pixels = torch.from_numpy(getattr(skimage.data, name)())
    return pixels.permute(2, 0, 1).contiguous() / 255


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures in [0, 1]."""
    return float(-10 * torch.log10((a - b).square().mean()))


def round_trips(name: str, photo: Tensor, out: Path) -> list[Row]:
    """One photo through the codec at all qps in one batch; the files are written to ``out``."""
    batch = photo.expand(len(QPS), *photo.shape)
    result = npp.compress(batch, QPS)
    rows = []
    for i, qp in enumerate(QPS):
        path = out / f"{name}_qp{qp}.bpg"
        write_file(path, result.bitstreams[i], force=True)
        x_hat = result.x_hat[i]
        rows.append(Row(name, qp, result.bpp[i].item(), psnr(x_hat, photo), path, x_hat))
    return rows


def cell(picture: Tensor, caption: str) -> Image.Image:
    """A picture's middle at its real size, with a caption below."""
    top, left = ((size - CELL) // 2 for size in picture.shape[1:])
    middle = picture[:, top : top + CELL, left : left + CELL]
    pixels = (middle * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    image = Image.new("RGB", (CELL, CELL + CAPTION), "white")
    image.paste(Image.fromarray(pixels), (0, 0))
    ImageDraw.Draw(image).text((6, CELL + 8), caption, fill="black")
    return image


def contact_sheet(photos: dict[str, Tensor], rows: list[Row]) -> Image.Image:
    """One line a photo: the original, then what is left of it at each qp."""
    lines = []
    for name, photo in photos.items():
        own = [row for row in rows if row.photo == name]
        captions = [f"qp {row.qp}   {row.bpp:.2f} bpp   {row.psnr:.1f} dB" for row in own]
        decoded = [cell(row.decoded, text) for row, text in zip(own, captions, strict=True)]
        lines.append([cell(photo, f"{name}, original"), *decoded])
    gap = 8
    width = len(lines[0]) * (CELL + gap) + gap
    height = len(lines) * (CELL + CAPTION + gap) + gap
    sheet = Image.new("RGB", (width, height), "white")
    for y, line in enumerate(lines):
        for x, image in enumerate(line):
            sheet.paste(image, (gap + x * (CELL + gap), gap + y * (CELL + CAPTION + gap)))
    return sheet


def print_table(rows: list[Row]) -> None:
    """bpp and PSNR of every photo and qp."""
    print(f"{'photo':<12}{'qp':>4}{'bpp':>9}{'PSNR/dB':>10}   file")
    for row in rows:
        print(f"{row.photo:<12}{row.qp:>4}{row.bpp:>9.3f}{row.psnr:>10.2f}   {row.path}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Round trips of real photos through BPG.")
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="folder for the results")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    photos = {name: load(name) for name in PHOTOS}
    rows = [row for name, photo in photos.items() for row in round_trips(name, photo, out)]
    print_table(rows)
    sheet = out / "contact_sheet.png"
    contact_sheet(photos, rows).save(sheet)
    print(f"\n{len(rows)} .bpg files are in {out}\nThe contact sheet is {sheet}")


if __name__ == "__main__":
    main()
