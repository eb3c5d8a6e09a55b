"""One preprocessor for every qp against one for each: what conditioning on the qp costs.

    python benchmarks/adaptive.py --adaptive classification --single 31=runs/q31/preprocessor.safetensors \
      --single 37=... --single 43=... --out docs/results/adaptive.json

At each qp: bits behind a preprocessor as a part of those that the codec without one needs for the same mean
KL of EfficientNet-Lite0, from its own curve over many qps. The difference between the two preprocessors is
paired over photos (bootstrap). Photos of the evaluation's part, which nothing was trained on.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from common import SHARED, machine
from result_files import report_parser, write_report

import npp
from npp.evaluation.choosing import rate_offset
from npp.photos.photo_set import PhotoSet
from npp.tasks import build_task

_CODEC: Any = {"effort": 4, "tune": "machine"}
_CURVE_QPS = (22, 25, 28, 31, 34, 37, 40, 43, 46, 49)
_FRACTIONS = (0.42, 0.08, 0.5)
_BATCH, _SAMPLES = 16, 1000

Points = tuple[Any, Any]  # bpp and KL of each photo


def photos(count: int) -> PhotoSet:
    """Those of configs/evaluate-classification.yaml, which took no part in training."""
    folder, include = str(SHARED / "data"), "imagenet-sample/*"
    return PhotoSet(folder, include, part="test", fractions=_FRACTIONS, limit=count)


class Judge:
    """Codes photos and compares what the network says with what it says of the originals."""

    def __init__(self, photos: PhotoSet) -> None:
        self._photos, self._paths = photos, photos.paths()
        self._task = build_task("classification", model="efficientnet-lite0")

    @torch.no_grad()
    def points(self, qp: int, preprocessor: npp.Preprocessor | None = None) -> Points:
        """Bits a pixel and KL of every photo."""
        bpp, kl = [], []
        for begin in range(0, len(self._paths), _BATCH):
            x = self._photos.load(self._paths[begin : begin + _BATCH])
            coded = npp.compress(x if preprocessor is None else preprocessor(x, qp), qp, **_CODEC)
            bpp.append(coded.bpp)
            kl.append(self._task.loss(coded.x_hat, self._task.targets(x)))
        return torch.cat(bpp).double().numpy(), torch.cat(kl).double().numpy()


def savings(curve: list[Points], point: Points, weights: Any) -> float:
    """Percent of bits at equal KL, for photos counted with these weights."""
    rates, heights = (
        np.array([np.average(one[0], weights=weights) for one in curve]),
        np.array([-np.log(np.average(one[1], weights=weights)) for one in curve]),
    )
    bpp, kl = (float(np.average(values, weights=weights)) for values in point)
    return 100 * (10 ** rate_offset(rates, heights, bpp, -float(np.log(kl))) - 1)


def compare(curve: list[Points], adaptive: list[Points], single: list[Points]) -> dict[str, Any]:
    """Savings at each qp, and the mean difference with its interval."""
    count = len(curve[0][0])
    draws = np.random.default_rng(0)
    weights = [
        np.ones(count),
        *(np.bincount(draws.integers(count, size=count), minlength=count) for _ in range(_SAMPLES)),
    ]

    def all_savings(arm: list[Points], weight: Any) -> list[float]:
        return [savings(curve, point, weight) for point in arm]

    ours, theirs = all_savings(adaptive, weights[0]), all_savings(single, weights[0])
    differences = [
        float(np.mean(np.subtract(all_savings(adaptive, w), all_savings(single, w)))) for w in weights
    ]
    low, high = np.quantile([value for value in differences[1:] if np.isfinite(value)], [0.025, 0.975])
    return {
        "adaptive": [round(value, 2) for value in ours],
        "single": [round(value, 2) for value in theirs],
        "adaptive_minus_single": [round(value, 2) for value in (differences[0], float(low), float(high))],
    }


def main() -> None:
    """Measures, prints and writes."""
    parser = report_parser(__doc__, "results/adaptive.json")
    parser.add_argument("--adaptive", default="classification", help="name or file of weights")
    parser.add_argument("--single", action="append", required=True, metavar="QP=FILE")
    parser.add_argument("--photos", type=int, default=300)
    arguments = parser.parse_args()
    files = {int(qp): path for qp, path in (one.split("=", 1) for one in arguments.single)}
    judge = Judge(photos(arguments.photos))
    one_for_all = npp.Preprocessor.load(arguments.adaptive)
    curve = [judge.points(qp) for qp in _CURVE_QPS]
    adaptive = [judge.points(qp, one_for_all) for qp in files]
    single = [judge.points(qp, npp.Preprocessor.load(path)) for qp, path in files.items()]
    report = {
        "machine": machine(),
        "photos": len(curve[0][0]),
        "codec": _CODEC,
        "qps": list(files),
        **compare(curve, adaptive, single),
    }
    print(json.dumps(report, indent=1))
    write_report(arguments.out, report)


if __name__ == "__main__":
    main()
