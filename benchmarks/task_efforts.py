"""The tasks' ladder: what each effort and tune gives a network for its time; docs/performance.md.

    python benchmarks/task_efforts.py [--out docs/results/task_efforts.json] [--judges lite0,lite2,fastestdet]

For every rung the CPU time of the encoder and the BD-rate on -log of the mean divergence of a judge's output
from that on the original, against effort 8 with tune "ssim", with 95 % bootstrap intervals over pictures. A
rung counts for a judge where no other rung takes less time at a lower BD-rate: recipes choose among those.
Rungs that were measured are kept in the output file, so that a stopped run goes on.
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import torch
from common import center_crop, load_photos, machine
from networks import judge
from result_files import report_parser, write_report
from torch import Tensor

from npp.codec.round_trip import start_round_trip
from npp.evaluation import bootstrap_bd_rate

QPS = (27, 32, 37, 42)
RUNGS = [("ssim", effort) for effort in range(9)] + [("machine", effort) for effort in range(6)]
ANCHOR = "ssim 8"


def curve(photos: Tensor, tune: str, effort: int, judges: dict[str, Any]) -> dict[str, Any]:
    """CPU milliseconds a megapixel; bpp and every judge's divergence, (qps, pictures)."""
    seconds, bpps = 0.0, []
    divergences: dict[str, list[list[float]]] = {name: [] for name in judges}
    for qp in QPS:
        start = time.process_time()
        x_hat, bpp, _ = start_round_trip(photos, qp, {"effort": effort, "tune": tune}, 1).result()
        seconds += time.process_time() - start
        bpps.append(bpp.tolist())
        for name, (network, clean) in judges.items():
            divergences[name].append(network.divergence(x_hat, clean).tolist())
    megapixels = len(QPS) * photos[:, 0].numel() / 1e6
    return {"ms_per_mp": seconds * 1e3 / megapixels, "bpp": bpps, "divergence": divergences}


def rows(curves: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """A judge's table: time, BD-rate with its interval, and whether no other rung is faster and better."""
    anchor = curves[ANCHOR]
    found = []
    for rung, one in curves.items():
        interval = bootstrap_bd_rate(
            np.array(anchor["bpp"]), np.array(anchor["divergence"][name]),
            np.array(one["bpp"]), np.array(one["divergence"][name]),
            summarise=lambda mean: -np.log(mean),
        )  # fmt: skip
        found.append(
            {
                "rung": rung,
                "time": one["ms_per_mp"] / anchor["ms_per_mp"],
                "bd_rate": [round(interval.value, 2), round(interval.low, 2), round(interval.high, 2)],
            }
        )
    best = np.inf
    for row in sorted(found, key=lambda row: row["time"]):
        row["counts"] = bool(row["bd_rate"][0] < best)
        best = min(best, row["bd_rate"][0])
    return found


def main() -> None:
    parser = report_parser(__doc__, "results/task_efforts.json")
    parser.add_argument("--judges", default="lite0,lite2,fastestdet")
    parser.add_argument("--photos", type=int, default=60)
    parser.add_argument("--set", default="imagenet-sample", help="folder of ../shared/data")
    args = parser.parse_args()
    torch.set_num_threads(1)
    photos = torch.stack([center_crop(photo, 224, 224) for photo in load_photos(args.set, args.photos)])
    judges = {name: judge(name) for name in args.judges.split(",")}
    seen = {name: (network, network.predict(photos)) for name, network in judges.items()}
    result: dict[str, Any] = json.loads(args.out.read_text()) if args.out.exists() else {}
    given = {"photos": len(photos), "set": args.set, "judges": args.judges, "qps": list(QPS)}
    if result.get("given") != given:
        result = {"machine": machine(), "given": given, "curves": {}}
    for tune, effort in RUNGS:
        rung = f"{tune} {effort}"
        if rung not in result["curves"]:
            result["curves"][rung] = curve(photos, tune, effort, seen)
            write_report(args.out, result, indent=None)
            print(rung, f"{result['curves'][rung]['ms_per_mp']:.0f} ms/MP", flush=True)
    result["tables"] = {name: rows(result["curves"], name) for name in judges}
    write_report(args.out, result, indent=None)
    print(json.dumps(result["tables"], indent=1))


if __name__ == "__main__":
    main()
