"""A training step whose network is on a GPU and whose codec is on the cores beside it (docs/performance.md).

    python benchmarks/gpu_step.py --out docs/results/gpu_step.json

A batch of 32 pictures with qps spread over the trained range goes through ``gains``, the real codec at effort
1 and a network with random weights, forward and backward, and the filter's optimiser takes a step: with
EfficientNet-B0 at 224x224, and with FCOS on a ResNet-50 at 640x480. Each is measured

- alone: the codec on all cores, and all that the GPU does with the codec's result already there;
- together, with the batch in 1, 2, 4, ... parts (:func:`npp.compress_in_parts`).

The goal is a step of at most 1.1 times the longer of the two. Medians of several steps; PyTorch's profiler
counts what a step waits for and how much pinned memory is asked from the system anew.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from common import machine
from result_files import report_parser, write_report
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import npp
from npp.codec.round_trip import start_round_trip
from npp.gradient.surrogates import Gated

BATCH, PARTS = 32, (1, 2, 4, 8)
CODEC: Any = {"effort": 1, "tune": "machine"}
SURROGATE = Gated(floor=0.35)
Loss = Callable[[Tensor], Tensor]


def efficientnet(device: torch.device) -> Loss:
    """Mean entropy of EfficientNet-B0's classes."""
    from torchvision.models import efficientnet_b0

    network = efficientnet_b0().to(device).eval().requires_grad_(False)
    return lambda x: nn.functional.softplus(network(x)).mean()


def fcos(device: torch.device) -> Loss:
    """Mean score of FCOS's cells: backbone and head as in training, without the search for boxes."""
    from torchvision.models.detection import fcos_resnet50_fpn

    network = fcos_resnet50_fpn(weights=None, weights_backbone=None).to(device).eval().requires_grad_(False)

    def loss(x: Tensor) -> Tensor:
        features = list(network.backbone((x - 0.45) / 0.225).values())
        return network.head(features)["cls_logits"].sigmoid().mean()

    return loss


def pictures(height: int, width: int) -> Tensor:
    """Smooth patches with noise on them: about as many bits as photos have."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(BATCH, 3, height // 16, width // 16, generator=generator)
    smooth = nn.functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)
    noise = torch.rand(BATCH, 3, height, width, generator=generator)
    return (0.9 * smooth + 0.1 * noise).clamp(0, 1)


class Step:
    """One training step of the filter, in as many parts as wanted."""

    def __init__(self, loss: Loss, size: tuple[int, int], device: torch.device) -> None:
        self.device = device
        self._loss = loss
        self._x = pictures(*size).to(device)
        self._qps = torch.linspace(25, 46, BATCH).round().int().tolist()
        self._filter = npp.Preprocessor().to(device).train()
        self._optimiser = torch.optim.AdamW(self._filter.parameters(), lr=1e-5)
        self._surrogate = SURROGATE
        self._host = self._x.cpu()
        self._there = npp.compress(self._x, self._qps, **CODEC)

    def wait(self) -> None:
        """Until the GPU has done everything."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def codec(self) -> None:
        """The codec alone, from pictures in the host's memory to pictures there."""
        start_round_trip(self._host, self._qps, CODEC).result()

    def network(self) -> None:
        """What the GPU does alone: filter, surrogate, network, backward, with x_hat there already."""

        def parts(x: Tensor) -> Any:
            estimate = self._surrogate(x, torch.tensor(self._qps, device=x.device), None, _options())
            yield self._there.x_hat + estimate.x_hat - estimate.x_hat.detach(), estimate.bpp

        self._descend(parts)

    def whole(self, parts: int) -> None:
        """Everything."""

        def coded(x: Tensor) -> Any:
            found = npp.compress_in_parts(x, self._qps, parts=parts, surrogate=self._surrogate, **CODEC)
            for one in found:
                yield one.x_hat, one.bpp

        self._descend(coded)

    def _descend(self, parts: Callable[[Tensor], Any]) -> None:
        # The filter's graph is cut off, so that each part can go backward by itself while the codec works.
        x_pre = self._filter(self._x, self._qps)
        leaf = x_pre.detach().requires_grad_()
        for x_hat, bpp in parts(leaf):
            (self._loss(x_hat) * len(x_hat) / BATCH + 0.1 * bpp.sum() / BATCH).backward()
        self._optimiser.zero_grad()
        x_pre.backward(leaf.grad)
        self._optimiser.step()


def _options() -> Any:
    from npp.codec.options import resolve_options

    return resolve_options(CODEC)


def median_ms(work: Callable[[], None], wait: Callable[[], None], repeats: int) -> float:
    """Wall milliseconds until the device has done it; the first two runs do not count."""
    times = []
    for _ in range(repeats + 2):
        wait()
        start = time.perf_counter()
        work()
        wait()
        times.append(time.perf_counter() - start)
    return round(1000 * median(times[2:]), 2)


def waits(step: Step, parts: int) -> dict[str, int]:
    """How often a step calls what waits for the GPU, or asks the system for pinned memory."""
    step.whole(parts)
    step.wait()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        step.whole(parts)
    names = Counter(event.name for event in profiled.events())
    wanted = (
        "cudaStreamSynchronize",
        "cudaDeviceSynchronize",
        "cudaEventSynchronize",
        "cudaHostAlloc",
        "cudaMalloc",
    )
    return {name: names[name] for name in wanted} | {"aten::item": names["aten::item"]}


def measure(loss: Loss, size: tuple[int, int], device: torch.device, repeats: int) -> dict[str, Any]:
    """All figures of one network."""
    step = Step(loss, size, device)
    found: dict[str, Any] = {
        "codec_ms": median_ms(step.codec, step.wait, repeats),
        "network_ms": median_ms(step.network, step.wait, repeats),
        "step_ms": {n: median_ms(lambda n=n: step.whole(n), step.wait, repeats) for n in PARTS},  # type: ignore[misc]
    }
    longer = max(found["codec_ms"], found["network_ms"])
    found["step_to_longer"] = {n: round(ms / longer, 3) for n, ms in found["step_ms"].items()}
    if device.type == "cuda":
        found["waits"] = {n: waits(step, n) for n in (1, 4)}
    return found


def main() -> None:
    """Writes the figures."""
    parser = report_parser(__doc__, "results/gpu_step.json")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    device = torch.device(given.device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    networks = {"efficientnet-b0 224x224": (efficientnet, (224, 224)), "fcos 640x480": (fcos, (480, 640))}
    results: dict[str, Any] = {
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "cores": len(os.sched_getaffinity(0)),
        "torch": torch.__version__,
        "batch": BATCH,
        "commit": machine()["commit"],
        "note": f"medians of {given.repeats} steps",
    }
    for name, (build, size) in networks.items():
        results[name] = measure(build(device), size, device, given.repeats)
        print(name, json.dumps(results[name]), flush=True)
    write_report(given.out, results)


if __name__ == "__main__":
    main()
