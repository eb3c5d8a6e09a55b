"""Where the time of a training step goes: preprocessor, codec, surrogate, task (docs/training.md).

    python benchmarks/training_step.py --out docs/results/training_step.json

A batch of eight photos of 224x224 at qps spread over the trained range, ``gains``, EfficientNet-Lite0,
the real codec at effort 1, as many threads as there are cores. Each part is timed by itself, then the
whole step and in it the time that is spent waiting for the codec: it works on its own threads while the
surrogate's forward runs.
benchmarks/report.py makes the table.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from common import load_photos, machine
from result_files import report_parser, write_report
from torch import Tensor

import npp
from npp.codec.options import resolve_options
from npp.codec.round_trip import RoundTrip
from npp.gradient.surrogates import Gated
from npp.tasks import build_task

_SIDE, _BATCH = 224, 8
_QPS = [25, 28, 31, 34, 37, 40, 43, 46]
_CODEC: Any = {"effort": 1, "tune": "machine"}
_SURROGATE = Gated(floor=0.35)


def median_ms(work: Callable[[], Any], repeats: int) -> float:
    """Wall milliseconds; the first run does not count."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return round(1000 * median(times[1:]), 1)


def both_ways(forward: Callable[[], Tensor], repeats: int) -> dict[str, float]:
    """Forward alone, and with backward; memory is freed in other places, so that they do not subtract."""
    return {
        "forward": median_ms(forward, repeats),
        "with_backward": median_ms(lambda: forward().backward(), repeats),
    }


class Waiting:
    """Adds up the time in which calls wait for the codec."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._result = RoundTrip.result

    def __enter__(self) -> Waiting:
        def result(round_trip: RoundTrip) -> Any:
            start = time.perf_counter()
            found = self._result(round_trip)
            self.seconds += time.perf_counter() - start
            return found

        RoundTrip.result = result  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        RoundTrip.result = self._result  # type: ignore[method-assign]


def measure(x: Tensor, repeats: int) -> dict[str, Any]:
    """All parts and the whole."""
    model = npp.Preprocessor().train()
    task = build_task("classification", model="efficientnet-lite0")
    targets = task.targets(x)
    qp, options = torch.tensor(_QPS, dtype=torch.float32), resolve_options(_CODEC)

    def surrogate() -> Tensor:
        estimate = _SURROGATE(x.clone().requires_grad_(), qp, None, options)
        return estimate.x_hat.sum() + estimate.bpp.sum()

    def step() -> None:
        model.zero_grad()
        coded = npp.compress(model(x, _QPS), _QPS, surrogate=_SURROGATE, **_CODEC)
        (coded.bpp + task.loss(coded.x_hat, targets)).mean().backward()

    decoded = npp.compress(x, _QPS, **_CODEC).x_hat
    parts: dict[str, Any] = {
        "preprocessor": both_ways(lambda: model(x, _QPS).sum(), repeats),
        "codec": {"forward": median_ms(lambda: npp.compress(x, _QPS, **_CODEC), repeats)},
        "surrogate": both_ways(surrogate, repeats),
        "task": both_ways(lambda: task.loss(decoded.clone().requires_grad_(), targets).sum(), repeats),
    }
    step()
    with Waiting() as waiting:
        whole = median_ms(step, repeats)
    waited = round(1000 * waiting.seconds / (repeats + 1), 1)
    return {"parts": parts, "step_ms": whole, "waited_for_codec_ms": waited}


def main() -> None:
    """Measures, prints and writes."""
    parser = report_parser(__doc__, "results/training_step.json")
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    photos = [photo[:, :_SIDE, :_SIDE] for photo in load_photos("imagenet-sample", _BATCH)]
    report = {
        "machine": machine(),
        "batch": _BATCH,
        "picture": [_SIDE, _SIDE],
        "codec": _CODEC,
        "torch_threads": torch.get_num_threads(),
        "repeats": arguments.repeats,
        **measure(torch.stack(photos).float() / 255, arguments.repeats),
    }
    print(json.dumps(report, indent=1))
    write_report(arguments.out, report)


if __name__ == "__main__":
    main()
