"""What x265 saves where it loads the decisions of an earlier encode; docs/performance.md.

    python benchmarks/analysis_reuse.py [--out docs/results/analysis_reuse.json] [--photos 6]

x265's own program (Debian's package x265) with the settings of effort 8: a Kodak photo is encoded at qp 32,
its analysis saved (reuse level 10), and loaded for the same photo, for the photo with noise of at most one
level, and for the photo at qps nearby. CPU time and bytes against encodes that load nothing; medians over
photos.
"""

from __future__ import annotations

import json
import resource
import subprocess
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import torch
from common import load_photos, machine
from PIL import Image
from result_files import report_parser, write_report
from temp_files import as_y4m
from torch import Tensor

_QP = 32
_NEARBY = (33, 36)
_SETTINGS = [
    *("--preset", "veryslow", "--tune", "ssim", "--keyint", "1", "--rd", "6", "--rdoq-level", "2"),
    *("--ctu", "64", "--no-wpp", "--pools", "none", "--frame-threads", "1", "--lookahead-slices", "0"),
    *("--log-level", "error", "--no-info"),
]
_TIMEOUT = 60  # a program of another x265 may wait for ever for levels it cannot load


def _encoded(source: Path, qp: int, *more: str) -> tuple[float, int]:
    """CPU seconds and bytes."""
    out = source.with_suffix(".hevc")
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    command = ["x265", "--input", str(source), "--y4m", "--qp", str(qp), "-o", str(out), *_SETTINGS, *more]
    subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before, out.stat().st_size


def _write(photo: Tensor, path: Path) -> None:
    path.write_bytes(as_y4m(Image.fromarray(photo.permute(1, 2, 0).contiguous().numpy())))


def _of_photo(photo: Tensor, folder: Path) -> dict[str, tuple[float, float]]:
    """By what is encoded again: time as a part of an encode that loads nothing, and its bytes less 1."""
    plain, noisy, analysis = folder / "plain.y4m", folder / "noisy.y4m", str(folder / "analysis")
    noise = torch.randint(-1, 2, photo.shape, generator=torch.Generator().manual_seed(0))
    _write(photo, plain)
    _write((photo.int() + noise).clamp(0, 255).to(torch.uint8), noisy)
    _encoded(plain, _QP, "--analysis-save", analysis, "--analysis-save-reuse-level", "10")
    found = {}
    again = {"the same photo": (plain, _QP), "with noise of one level": (noisy, _QP)}
    for name, (source, qp) in {**again, **{f"at qp {qp}": (plain, qp) for qp in _NEARBY}}.items():
        seconds, size = _encoded(source, qp)
        loading = _encoded(source, qp, "--analysis-load", analysis, "--analysis-load-reuse-level", "10")
        found[name] = (loading[0] / seconds, 100 * (loading[1] / size - 1))
    return found


def main() -> None:
    parser = report_parser(__doc__, "results/analysis_reuse.json")
    parser.add_argument("--photos", type=int, default=6)
    arguments = parser.parse_args()
    photos = []
    for photo in load_photos("kodak")[: arguments.photos]:
        with tempfile.TemporaryDirectory() as folder:
            photos.append(_of_photo(photo, Path(folder)))
    rows: list[dict[str, Any]] = [
        {
            "again": name,
            "time_ratio": round(median(one[name][0] for one in photos), 3),
            "more_bytes_percent": round(median(one[name][1] for one in photos), 2),
        }
        for name in photos[0]
    ]
    write_report(arguments.out, {"machine": machine(), "qp": _QP, "rows": rows})
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
