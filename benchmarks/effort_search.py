"""Searches x265's settings for the rate-distortion-time frontier of single intra pictures.

    python benchmarks/effort_search.py psnr    --minutes 40 --out build/search-psnr.jsonl
    python benchmarks/effort_search.py machine --minutes 40 --out build/search-machine.jsonl

Starts from x265's presets, then mutates settings that are on the frontier. Time is CPU time of the
whole round trip on one thread, so that a busy machine disturbs it little; the objective is BD-rate
against the default of effort 8 on the same pictures: PSNR-Y and PSNR of RGB on Kodak and BSDS (chroma
can be sold for luma, so that a setting must be on the frontier of both), or the divergence (KL) of
EfficientNet-Lite0 from its prediction on the original, on ImageNet photos. One JSON line a setting; a
line that is there is not measured again.
"""

from __future__ import annotations

import json
import random
import time
from typing import Any

import numpy as np
import torch
from bjontegaard import bd_rate
from common import center_crop, load_photos, psnr_rgb, psnr_y
from networks import judge
from result_files import report_parser
from torch import Tensor

import npp
from npp.codec.round_trip import start_round_trip

Setting = dict[str, Any]
Curves = list[dict[str, list[float]]]  # per qp: bpp and measures of every picture

KNOBS: dict[str, tuple[Any, ...]] = {
    "rd": (1, 2, 3, 4, 5, 6),
    "ctu": (16, 32, 64),
    "min-cu-size": (8, 16),
    "max-tu-size": (16, 32),
    "tu-intra-depth": (1, 2, 3, 4),
    "rdoq-level": (0, 1, 2),
    "sao": (0, 1),
    "limit-sao": (0, 1),
    "signhide": (0, 1),
    "tskip": (0, 1),
    "tskip-fast": (0, 1),
    "strong-intra-smoothing": (0, 1),
    "rd-refine": (0, 1),
    "deblock": ("0,0", "-2,-2", "-4,-4", "false"),
    "cbqpoffs": (-2, -1, 0, 1, 2),
    "crqpoffs": (-2, -1, 0, 1, 2),
}
DEFAULT: Setting = {
    "rd": 2,
    "ctu": 32,
    "min-cu-size": 8,
    "max-tu-size": 32,
    "tu-intra-depth": 1,
    "rdoq-level": 0,
    "sao": 0,
    "limit-sao": 0,
    "signhide": 1,
    "tskip": 0,
    "tskip-fast": 0,
    "strong-intra-smoothing": 1,
    "rd-refine": 0,
    "deblock": "0,0",
    "cbqpoffs": 0,
    "crqpoffs": 0,
}
_QUANT = {"rdoq-level": 2, "sao": 1}
_PLAIN = {"deblock": "false"}
STARTS: dict[str, list[Setting]] = {
    "psnr": [
        {"min-cu-size": 16, "ctu": 16, "rd": 1, "signhide": 0},
        {"min-cu-size": 16, "ctu": 16, "rd": 1},
        {"min-cu-size": 16, "ctu": 16, "rd": 1, "tu-intra-depth": 2},
        {"min-cu-size": 16, "ctu": 16, "rd": 1, "tu-intra-depth": 3},
        {"min-cu-size": 16, "ctu": 16, "rd": 1, "tu-intra-depth": 3, "rdoq-level": 2},
        {"min-cu-size": 16, "ctu": 16, "signhide": 0},
        {"min-cu-size": 16, "ctu": 16, "tu-intra-depth": 2},
        {"min-cu-size": 16, "ctu": 16, "tu-intra-depth": 3, "rdoq-level": 2},
        {"ctu": 16, "rd": 1},
        {"ctu": 64, "rd": 1, "sao": 1},
        {"ctu": 16, "rd": 1, "rdoq-level": 2},
        {"ctu": 16, "rd": 1, "rdoq-level": 2, "cbqpoffs": -1, "crqpoffs": -1},
        {"ctu": 32, "rd": 1, "rdoq-level": 2},
        {**_QUANT, "ctu": 64, "rd": 1, "deblock": "-1,-1", "strong-intra-smoothing": 0},
        {**_QUANT, "ctu": 64, "rd": 2, "deblock": "-1,-1", "strong-intra-smoothing": 0},
        {**_QUANT, "ctu": 64, "rd": 3, "deblock": "-1,-1", "strong-intra-smoothing": 0},
        {**_QUANT, "ctu": 64, "rd": 6, "tu-intra-depth": 3, "deblock": "-1,-1"},
        {"ctu": 16},
        {"ctu": 64, "sao": 1},
        {**_QUANT, "ctu": 16, "sao": 0},
        {"ctu": 32, "sao": 1, "rd": 1},
        {"ctu": 64, "rd": 1, "rdoq-level": 2},
        {"ctu": 16, "rd": 1, "signhide": 0},
        {"min-cu-size": 16, "signhide": 0},
        {"min-cu-size": 16},
        {"min-cu-size": 16, "ctu": 16},
        {"min-cu-size": 16, "ctu": 16, "rdoq-level": 2},
        {},
        {"ctu": 16, "signhide": 0},
        {**_QUANT, "ctu": 16},
        {**_QUANT, "ctu": 16, "signhide": 0},
        {**_QUANT, "ctu": 16, "rd": 4},
        {**_QUANT, "sao": 0},
        {**_QUANT},
        {**_QUANT, "ctu": 64},
        {**_QUANT, "rd": 3},
        {**_QUANT, "tu-intra-depth": 2},
        {**_QUANT, "ctu": 64, "rd": 4},
        {**_QUANT, "ctu": 64, "rd": 4, "tu-intra-depth": 2},
        {**_QUANT, "ctu": 64, "rd": 6, "tu-intra-depth": 3},
        {**_QUANT, "ctu": 64, "rd": 6, "tu-intra-depth": 4, "tskip": 1},
        {**_QUANT, "ctu": 64, "rd": 6, "tu-intra-depth": 3, "tskip": 1},
        {**_QUANT, "ctu": 64, "rd": 6, "tu-intra-depth": 3, "rd-refine": 1},
        {**_QUANT, "ctu": 64, "rd": 6, "tu-intra-depth": 4},
        {**_QUANT, "ctu": 64, "rd": 6, "tu-intra-depth": 2},
        {**_QUANT, "ctu": 64, "rd": 3},
        {**_QUANT, "ctu": 64, "tu-intra-depth": 2},
        {**_QUANT, "ctu": 64, "tu-intra-depth": 2, "rd": 3},
        {**_QUANT, "ctu": 64, "rd": 3, "deblock": "-1,-1"},
        {**_QUANT, "ctu": 64, "deblock": "-1,-1", "strong-intra-smoothing": 0},
        {**_QUANT, "ctu": 64, "tu-intra-depth": 3},
        {**_QUANT, "ctu": 64, "tu-intra-depth": 3, "rd": 3},
        {"ctu": 16, "sao": 1},
        {"ctu": 16, "rd": 3},
        {"ctu": 16, "rdoq-level": 1},
        {"ctu": 32, "sao": 1},
        {"min-cu-size": 16, "ctu": 32, "sao": 1, "rdoq-level": 1},
        {"min-cu-size": 16, "ctu": 16, "tu-intra-depth": 2, "rdoq-level": 2},
        {"min-cu-size": 16, "ctu": 16, "tu-intra-depth": 3},
        {"ctu": 16, "tu-intra-depth": 2},
        {"min-cu-size": 16, "ctu": 32, "tu-intra-depth": 3},
        {"min-cu-size": 16, "ctu": 32, "tu-intra-depth": 3, **_QUANT},
        {"ctu": 16, "tu-intra-depth": 2, **_QUANT},
        {"ctu": 16, "tu-intra-depth": 2, "rd": 3},
    ],
    "machine": [
        _PLAIN,
        {**_PLAIN, "ctu": 16},
        {**_PLAIN, "min-cu-size": 16},
        {**_PLAIN, "rd": 4, "ctu": 64},
        {**_PLAIN, "signhide": 0},
        {**_PLAIN, "min-cu-size": 16, "rd": 4},
        {**_PLAIN, "rd": 6, "ctu": 64, "tu-intra-depth": 3},
        {**_PLAIN, "ctu": 16, "signhide": 0},
        {**_PLAIN, "strong-intra-smoothing": 0},
        {**_PLAIN, "tskip": 1},
        {**_PLAIN, "min-cu-size": 16, "ctu": 16, "signhide": 0},
        {**_PLAIN, "tu-intra-depth": 2},
        {**_PLAIN, "rd": 3},
        {"deblock": "-4,-4"},
        {**_PLAIN, "sao": 1},
        {**_PLAIN, "ctu": 16, "sao": 1},
        {**_PLAIN, "min-cu-size": 16, "ctu": 16},
        {**_PLAIN, "ctu": 16, "strong-intra-smoothing": 0},
        {**_PLAIN, "ctu": 64, "rd": 4, "sao": 1},
        {**_PLAIN, "sao": 1, "strong-intra-smoothing": 0},
        {**_PLAIN, "min-cu-size": 16, "ctu": 16, "tu-intra-depth": 2},
        {**_PLAIN, "min-cu-size": 16, "ctu": 16, "tu-intra-depth": 3},
        {**_PLAIN, "ctu": 16, "tu-intra-depth": 2},
        {**_PLAIN, "rdoq-level": 1},
        {},
        {"min-cu-size": 16, "signhide": 0},
    ],
}


def x265_options(setting: Setting) -> str:
    """The setting in x265's own words."""
    return ":".join(f"{name}={value}" for name, value in {**DEFAULT, **setting}.items())


class Objective:
    """Rate and quality of a setting on fixed pictures; subclasses say what quality is."""

    qps: tuple[int, ...]
    groups: list[Tensor]  # pictures of one size each, uint8 (N, 3, H, W)

    def quality(self, group: int, x_hat: Tensor) -> dict[str, list[float]]:
        """By the name of the measure, of every picture."""
        raise NotImplementedError

    def bd(self, anchor: Curves, tried: Curves) -> dict[str, float]:
        """``bd_rate`` and, where there is a second measure, its own beside it."""
        raise NotImplementedError

    def curves(self, options: dict[str, Any]) -> tuple[float, Curves]:
        """CPU milliseconds a megapixel, and per qp the bpp and quality of every picture."""
        curves = []
        seconds, pixels = 0.0, 0
        for qp in self.qps:
            point: dict[str, list[float]] = {}
            for index, group in enumerate(self.groups):
                start = time.process_time()
                x_hat, bpp, _ = start_round_trip(group, qp, options, 1).result()
                seconds += time.process_time() - start
                pixels += group.shape[0] * group.shape[2] * group.shape[3]
                for name, values in {"bpp": bpp.tolist(), **self.quality(index, x_hat)}.items():
                    point.setdefault(name, []).extend(values)
            curves.append(point)
        npp.clear_encoder_cache()
        return seconds / pixels * 1e9, curves


class Psnr(Objective):
    """Means over the pictures of each one's BD-rates on PSNR-Y and on PSNR of RGB."""

    qps = (22, 27, 32, 37, 42)

    def __init__(self) -> None:
        kodak = [center_crop(image, 384, 512) for image in load_photos("kodak")]
        bsds = [center_crop(image, 320, 320) for image in load_photos("bsds500", 12)]
        self.groups = [torch.stack(kodak), torch.stack(bsds)]

    def quality(self, group: int, x_hat: Tensor) -> dict[str, list[float]]:
        pairs = list(zip(self.groups[group], x_hat, strict=True))
        return {"y": [psnr_y(a, b) for a, b in pairs], "rgb": [psnr_rgb(a, b) for a, b in pairs]}

    def bd(self, anchor: Curves, tried: Curves) -> dict[str, float]:
        return {"bd_rate": self._mean(anchor, tried, "y"), "bd_rate_rgb": self._mean(anchor, tried, "rgb")}

    def _mean(self, anchor: Curves, tried: Curves, measure: str) -> float:
        count = len(anchor[0]["bpp"])
        rates = [
            bd_rate(
                [p["bpp"][i] for p in anchor], [p[measure][i] for p in anchor],
                [p["bpp"][i] for p in tried], [p[measure][i] for p in tried], method="pchip",
            )
            for i in range(count)
        ]  # fmt: skip
        return float(np.mean(rates))


class Machine(Objective):
    """BD-rate of the mean bpp on -log of the mean KL."""

    qps = (28, 33, 38, 43)

    def __init__(self, count: int) -> None:
        crops = [center_crop(image, 224, 224) for image in load_photos("imagenet-sample", count)]
        self.groups = [torch.stack(crops)]
        self.network = judge("lite0")
        self.clean = self.network.predict(self.groups[0])

    def quality(self, group: int, x_hat: Tensor) -> dict[str, list[float]]:
        return {"kl": self.network.divergence(x_hat, self.clean).tolist()}

    def bd(self, anchor: Curves, tried: Curves) -> dict[str, float]:
        def curve(points: Curves) -> tuple[list[float], list[float]]:
            return [float(np.mean(p["bpp"])) for p in points], [
                -float(np.log(np.mean(p["kl"]))) for p in points
            ]

        return {"bd_rate": float(bd_rate(*curve(anchor), *curve(tried), method="pchip"))}


def frontier(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tried settings than which no other is both faster and better, by any of their measures."""
    best: dict[str, float] = {}
    front: list[dict[str, Any]] = []
    for line in sorted(lines, key=lambda entry: entry["time_ratio"]):
        measured = {name: value for name, value in line.items() if name.startswith("bd_rate")}
        if all(value < best.get(name, np.inf) for name, value in measured.items()):
            front.append(line)
        best |= {name: min(value, best.get(name, np.inf)) for name, value in measured.items()}
    return front


def mutate(setting: Setting, rng: random.Random) -> Setting:
    """Changes one or two settings at random."""
    changed = {**DEFAULT, **setting}
    for name in rng.sample(sorted(KNOBS), rng.choice((1, 1, 2))):
        changed[name] = rng.choice([value for value in KNOBS[name] if value != changed[name]])
    return changed


def main() -> None:
    parser = report_parser(__doc__)
    parser.add_argument("objective", choices=("psnr", "machine"))
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--photos", type=int, default=160, help="pictures of the machine objective")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    objective: Objective = Psnr() if arguments.objective == "psnr" else Machine(arguments.photos)
    lines = (
        [json.loads(text) for text in arguments.out.read_text().splitlines()]
        if arguments.out.exists()
        else []
    )
    rng = random.Random(arguments.seed)
    end = time.monotonic() + 60 * arguments.minutes
    anchor_ms, anchor = objective.curves({"effort": 8})
    print(f"anchor (effort 8): {anchor_ms:.0f} ms/MP CPU", flush=True)
    seen = {line["x265"] for line in lines}
    queue = list(STARTS[arguments.objective])
    while time.monotonic() < end:
        setting = queue.pop(0) if queue else mutate(rng.choice(frontier(lines))["setting"], rng)
        options = x265_options(setting)
        if options in seen:
            continue
        seen.add(options)
        ms, curves = objective.curves({"effort": 5, "_x265": options})
        line = {"setting": setting, "x265": options, "ms_per_mp": ms, **objective.bd(anchor, curves)}
        line["time_ratio"] = ms / anchor_ms
        lines.append(line)
        with arguments.out.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        mark = "*" if line in frontier(lines) else " "
        rates = "  ".join(f"{line[name]:+6.2f} %" for name in line if name.startswith("bd_rate"))
        print(f"{mark} {ms:6.0f} ms/MP  {rates}  {setting}", flush=True)
    for line in frontier(lines):
        cost = f"{line['ms_per_mp']:6.0f} ms/MP ({line['time_ratio']:.2f})"
        print(f"{cost}  {line['bd_rate']:+6.2f} %  {line['x265']}")


if __name__ == "__main__":
    main()
