"""Which qp gives about what a quality of JPEG gives, and how large the files are.

    python benchmarks/jpeg_qualities.py [--out docs/results/jpeg_qualities.json]

Eight Kodak photos, JPEG as Pillow writes it (4:2:0, optimised tables) and npp's defaults. Each photo's qp of
equal PSNR of luma is interpolated between every fourth qp, and so is the logarithm of its bytes.
"""

from __future__ import annotations

from io import BytesIO
from statistics import median
from typing import Any

import numpy as np
import torch
from common import load_photos, machine, psnr_y
from PIL import Image
from result_files import report_parser, write_report
from torch import Tensor

import npp

_QUALITIES = (30, 50, 75, 85, 90, 95)
_QPS = (12, 16, 20, 24, 28, 32, 36, 40, 44)


def jpeg(photo: Tensor, quality: int) -> tuple[float, int]:
    """PSNR-Y in dB and bytes of a photo (3, H, W) as JPEG."""
    stored = BytesIO()
    Image.fromarray(photo.permute(1, 2, 0).numpy()).save(stored, "JPEG", quality=quality, optimize=True)
    decoded = np.asarray(Image.open(stored)).transpose(2, 0, 1).copy()
    return psnr_y(photo, torch.from_numpy(decoded)), stored.tell()


def bpg(photo: Tensor, qp: int) -> tuple[float, int]:
    """PSNR-Y in dB and bytes of a photo (3, H, W) as BPG."""
    file = npp.encode(photo, qp)
    return psnr_y(photo, npp.decode(file)), len(file)


def equal(photo: Tensor) -> dict[int, tuple[float, float]]:
    """By quality of JPEG: the qp of equal PSNR, and BPG's bytes there, JPEG's being 1."""
    curve = [bpg(photo, qp) for qp in reversed(_QPS)]
    psnrs, sizes = zip(*curve, strict=True)
    found = {}
    for quality in _QUALITIES:
        psnr, size = jpeg(photo, quality)
        if not psnrs[0] <= psnr <= psnrs[-1]:
            raise SystemExit(f"quality {quality} has {psnr:.1f} dB, which none of the qps reaches")
        qp = float(np.interp(psnr, psnrs, _QPS[::-1]))
        found[quality] = qp, float(np.exp(np.interp(psnr, psnrs, np.log(sizes)))) / size
    return found


def main() -> None:
    parser = report_parser(__doc__, "results/jpeg_qualities.json")
    given = parser.parse_args()
    photos = load_photos("kodak")
    by_photo = [equal(photo) for photo in photos]
    rows: list[dict[str, Any]] = [
        {
            "quality": quality,
            "qp": round(median(found[quality][0] for found in by_photo), 1),
            "least_qp": round(min(found[quality][0] for found in by_photo), 1),
            "greatest_qp": round(max(found[quality][0] for found in by_photo), 1),
            "bytes": round(median(found[quality][1] for found in by_photo), 3),
        }
        for quality in _QUALITIES
    ]
    write_report(given.out, {"machine": machine(), "photos": len(photos), "rows": rows})


if __name__ == "__main__":
    main()
