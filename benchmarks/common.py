"""What the benchmarks share: photos, metrics, networks, and a description of the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from result_files import ROOT
from torch import Tensor

import npp
from npp.evaluation.computer import cpu_name

SHARED = Path(os.environ.get("NPP_SHARED", ROOT.parent / "shared"))


def load_photos(name: str, count: int | None = None) -> list[Tensor]:
    """Photos of a folder in ../shared/data as uint8 (3, H, W), evenly spread over the folder."""
    paths = sorted(
        p
        for p in (SHARED / "data" / name).rglob("*")
        if p.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp")
    )
    if not paths:
        raise SystemExit(f"no photos in {SHARED / 'data' / name}; set NPP_SHARED")
    if count is not None:
        paths = paths[:: max(1, len(paths) // count)][:count]
    return [read_photo(path) for path in paths]


def read_photo(path: Path) -> Tensor:
    """A photo as uint8 (3, H, W)."""
    return torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).transpose(2, 0, 1).copy())


def center_crop(image: Tensor, height: int, width: int) -> Tensor:
    """The middle of a picture; a portrait picture is turned when it does not fit otherwise."""
    if image.shape[1] < height or image.shape[2] < width:
        image = image.transpose(1, 2)
    top, left = (image.shape[1] - height) // 2, (image.shape[2] - width) // 2
    crop = image[:, top : top + height, left : left + width]
    if crop.shape[1:] != (height, width):
        raise ValueError(f"a picture of {tuple(image.shape)} has no crop of {height}x{width}")
    return crop.contiguous()


def psnr_y(a: Tensor, b: Tensor) -> float:
    """PSNR of BT.601 luma in dB between two uint8 (3, H, W) pictures."""
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    difference = torch.einsum("c,chw->hw", weights, a.double() - b.double())
    return float(10 * torch.log10(255**2 / difference.square().mean()))


def psnr_rgb(a: Tensor, b: Tensor) -> float:
    """PSNR in dB over all three channels."""
    return float(10 * torch.log10(255**2 / (a.double() - b.double()).square().mean()))


def machine() -> dict[str, Any]:
    """Where and with what a benchmark ran."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "commit": commit.stdout.strip() or "unknown",
        "python": platform.python_version(),
        "torch": torch.__version__,
        **npp.build_config(),
    }
