"""What a map of quantiser offsets costs: bytes of maps of zeros and of uniform ones, time; a recipe's speed.

    python benchmarks/qp_maps.py [--out docs/results/qp_maps.json]

Bytes: the eight Kodak photos, a map against the constant QP that it stands for. Time: process CPU seconds of
encodes with and without a map, in turn, medians. Recipe: CPU seconds of the recipe "detection" against
npp.encode at the same effort on photos of 640x480, in turn, both from memory, so that files do not count.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from common import load_photos, machine
from result_files import report_parser, write_report
from torch import Tensor

import npp
from npp.codec.qp_maps import map_size

_EFFORTS = (1, 5, 8)
_QPS = (25, 34)
_SHIFTS = (-6, -3, 3, 6)


def uniform(photos: Sequence[Tensor], offset: float) -> list[Tensor]:
    """A map with one offset everywhere for each photo."""
    return [torch.full(map_size(*photo.shape[-2:]), float(offset)) for photo in photos]


def total_bytes(photos: Sequence[Tensor], qp: int, effort: int, offset: float | None) -> int:
    """Of all files."""
    maps = None if offset is None else uniform(photos, offset)
    return sum(map(len, npp.encode(list(photos), qp, qp_map=maps, effort=effort)))


def bytes_against_constant_qp(photos: Sequence[Tensor]) -> list[dict[str, Any]]:
    """Percent of bytes that a uniform map costs beside the qp that is meant."""
    rows = []
    for effort in _EFFORTS:
        for qp in _QPS:
            row: dict[str, Any] = {"effort": effort, "qp": qp}
            for offset in (0, *_SHIFTS):
                mapped = total_bytes(photos, qp, effort, offset)
                row[f"{offset:+d}"] = 100 * (mapped / total_bytes(photos, qp + offset, effort, None) - 1)
            rows.append(row)
    return rows


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of the process, all of its threads."""
    start = time.process_time()
    work()
    return time.process_time() - start


def in_turn(first: Callable[[], object], second: Callable[[], object], rounds: int) -> dict[str, float]:
    """Medians of two pieces of work that take turns, and the median of their ratios."""
    pairs = [(seconds(first), seconds(second)) for _ in range(rounds)]
    return {
        "first_s": statistics.median(a for a, _ in pairs),
        "second_s": statistics.median(b for _, b in pairs),
        "second_over_first": statistics.median(b / a for a, b in pairs),
    }


def time_of_maps(photos: Sequence[Tensor], rounds: int) -> list[dict[str, Any]]:
    """Encodes of four photos without and with a map of small random offsets."""
    some = list(photos[:4])
    torch.manual_seed(0)
    maps = [torch.randn(map_size(*photo.shape[-2:])) * 2 for photo in some]
    rows = []
    for effort in _EFFORTS:
        timed = in_turn(
            lambda effort=effort: npp.encode(some, 34, effort=effort, threads=1),  # type: ignore[misc]
            lambda effort=effort: npp.encode(  # type: ignore[misc]
                some, 34, qp_map=[one - one.mean() for one in maps], effort=effort, threads=1
            ),
            rounds,
        )
        rows.append({"effort": effort, **timed})
    return rows


def time_of_a_recipe(count: int, rounds: int) -> dict[str, Any]:
    """`detection` against the plain codec at its effort."""
    photos = [
        torch.nn.functional.interpolate(photo[None].float(), (480, 640), mode="bicubic")[0]
        .clamp(0, 255)
        .to(torch.uint8)
        for photo in load_photos("coco-train128", count)
    ]
    recipe = npp.Recipe.load("detection")
    effort = recipe.options["effort"]
    timed = in_turn(
        lambda: npp.encode(photos, recipe.qp, effort=effort, threads=1),
        lambda: recipe.encode(photos, recipe.qp, threads=1),
        rounds,
    )
    return {"photos": count, "effort": effort, "speed": 1 / timed["second_over_first"], **timed}


def main() -> None:
    parser = report_parser(__doc__, "results/qp_maps.json")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--photos", type=int, default=100)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    photos = load_photos("kodak")
    report = {
        "machine": machine(),
        "bytes": bytes_against_constant_qp(photos),
        "time": time_of_maps(photos, arguments.rounds),
        "recipe": time_of_a_recipe(arguments.photos, max(1, arguments.rounds // 2)),
    }
    print(json.dumps(report, indent=1))
    write_report(arguments.out, report)


if __name__ == "__main__":
    main()
