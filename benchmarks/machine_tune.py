"""What does tune="machine" save for networks of several kinds, alone and with weak deblocking?

    python benchmarks/machine_tune.py [--photos 100] [--out docs/results/machine_tune.json]

BD-rate of every arm against effort 8, tune "ssim" (bpgenc's default), on -log of the mean divergence of
a network's output from that on the original, with 95 % bootstrap intervals over pictures, and the CPU
time of the round trips beside it.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import center_crop, load_photos, machine
from networks import judge
from torch import Tensor

from npp.codec.options import CodecOptions
from npp.codec.round_trip import start_round_trip
from npp.evaluation import bootstrap_bd_rate, overlap

_QPS = (28, 32, 36, 40, 44)
_HED_CROPS = 10  # a VGG16 at full resolution: a second a picture
_ANCHOR: CodecOptions = {"effort": 8, "tune": "ssim"}


def pictures(network: Any, source: str, count: int) -> Tensor:
    """Crops of the size that the network takes; several of each Kodak photo, one of the others."""
    height, width = network.size
    if source != "kodak":
        skip = 0 if source == "bsds500" else 160  # the first ImageNet photos were searched on
        return torch.stack([center_crop(p, height, width) for p in load_photos(source, count, skip)])
    crops = []
    for photo in load_photos("kodak"):
        for top in range(0, photo.shape[1] - height + 1, height):
            crops += [
                photo[:, top : top + height, x : x + width]
                for x in range(0, photo.shape[2] - width + 1, width)
            ]
    return torch.stack(crops[:: max(1, len(crops) // count)][:count])


def curves(network: Any, x: Tensor, clean: Tensor, options: CodecOptions) -> dict[str, Any]:
    """CPU milliseconds a megapixel; bpp and divergence as (points, pictures)."""
    seconds = 0.0
    bpps, divergences = [], []
    for qp in _QPS:
        start = time.process_time()
        x_hat, bpp, _ = start_round_trip(x, qp, options, 1).result()
        seconds += time.process_time() - start
        bpps.append(bpp.tolist())
        divergences.append(network.divergence(x_hat, clean).tolist())
    pixels = x.shape[0] * x.shape[2] * x.shape[3] * len(_QPS)
    return {"ms_per_mp": seconds / pixels * 1e9, "bpp": bpps, "divergence": divergences}


def compare(name: str, source: str, count: int, efforts: list[int]) -> list[dict[str, Any]]:
    """One network on one set of pictures."""
    network = judge(name)
    x = pictures(network, source, count)
    clean = network.predict(x)
    anchor = curves(network, x, clean, _ANCHOR)
    arms: list[tuple[str, CodecOptions]] = [("ssim effort 5", {"effort": 5})]
    for effort in efforts:
        options: CodecOptions = {"effort": effort, "tune": "machine"}
        arms += [
            (f"machine effort {effort}", options),
            (f"machine effort {effort}, deblock -6", {**options, "deblock": -6}),
        ]
    rows = []
    for label, options in arms:
        arm = curves(network, x, clean, options)
        interval = bootstrap_bd_rate(
            anchor["bpp"],
            anchor["divergence"],
            arm["bpp"],
            arm["divergence"],
            summarise=lambda kl: -np.log(kl),
        )
        shared_part = overlap(*(-np.log(np.mean(a["divergence"], axis=1)) for a in (anchor, arm)))
        row = {
            "network": network.name,
            "pictures": f"{len(x)} of {source}",
            "arm": label,
            "bd_rate": interval.value,
            "low": interval.low,
            "high": interval.high,
            "overlap": shared_part,
            "time_ratio": arm["ms_per_mp"] / anchor["ms_per_mp"],
        }
        rows.append(row)
        print(
            f"{network.name:20} {row['pictures']:22} {label:18} {interval}  time {row['time_ratio']:.2f}",
            flush=True,
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=100)
    parser.add_argument("--efforts", type=int, nargs="+", default=[1, 5])
    parser.add_argument(
        "--networks", nargs="+", default=["lite0", "lite2", "fastestdet", "hed", "lite2:kodak"]
    )
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sources = {
        "lite0": "imagenet-sample",
        "lite2": "imagenet-sample",
        "fastestdet": "bsds500",
        "hed": "kodak",
    }
    report: dict[str, Any] = {"machine": machine(), "qps": _QPS, "anchor": _ANCHOR, "results": []}
    for entry in arguments.networks:
        name, _, source = entry.partition(":")
        count = min(arguments.photos, _HED_CROPS) if name == "hed" else arguments.photos
        report["results"] += compare(name, source or sources[name], count, arguments.efforts)
        if arguments.out:
            arguments.out.parent.mkdir(parents=True, exist_ok=True)
            arguments.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
