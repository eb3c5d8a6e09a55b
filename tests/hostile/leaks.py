"""Thousands of mixed calls, good and bad ones; prints by how many KiB resident memory grew.

PYTHONPATH=tests python -m hostile.leaks 10000
PYTHONPATH=tests python -m hostile.leaks 300 leak     keeps something on purpose
"""

from __future__ import annotations

import gc
import io
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from hostile import bases, generate
from PIL import Image

import npp
import npp.pillow

_GOOD = bases.load()
_HOSTILE = [data for _, data in sorted(generate.files().items())]
_X = torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(0))
_BAD = torch.stack([_X[0], torch.full_like(_X[1], float("nan"))])
_kept: list[object] = []


def _refused(call: Callable[[], object]) -> None:
    try:
        call()
    except (npp.BPGError, OSError, TypeError):
        return
    raise AssertionError("not refused")


def _load(data: bytes) -> None:
    with Image.open(io.BytesIO(data)) as image:
        image.load()


def _backward(leak: bool) -> None:
    leaf = _X[:1].clone().requires_grad_()
    out = npp.compress(leaf, 35, effort=0)
    (out.x_hat.mean() + out.bpp.mean()).backward()  # type: ignore[no-untyped-call]
    if leak:
        _kept.append(out.x_hat.repeat(1, 1, 8, 8))


def _calls(leak: bool) -> list[Callable[[int], object]]:
    """What is called in turn; the argument makes the bad files differ."""

    def hostile(i: int) -> bytes:
        return _HOSTILE[i % len(_HOSTILE)]

    wrong = {"efort": 1}
    return [
        lambda i: npp.encode(_X, 30, effort=0),
        lambda i: npp.decode(_GOOD["alpha"], dtype=torch.float32),
        lambda i: npp.decode(list(_GOOD.values()), errors="return"),
        lambda i: npp.decode(hostile(i), errors="return"),
        lambda i: npp.decode([_GOOD["gray"], hostile(i), _GOOD["small"]], errors="return"),
        lambda i: _refused(lambda: npp.decode([_GOOD["gray"], _GOOD["still"][: 20 + i % 300]])),
        lambda i: npp.probe(_GOOD["animation"]),
        lambda i: _refused(lambda: npp.probe(_GOOD["still"][: i % 20])),
        lambda i: npp.encode([_X[0], _BAD[1], _X[0, :2]], effort=0, errors="return"),
        lambda i: _refused(lambda: npp.compress(_BAD, 30, effort=0)),
        lambda i: _backward(leak),
        lambda i: _refused(lambda: npp.encode(_X, 30, effort=11)),
        lambda i: _refused(lambda: npp.encode(_X, 30, **wrong)),  # type: ignore[call-overload]
        lambda i: _load(_GOOD["deep422"]),
        lambda i: _refused(lambda: _load(_GOOD["still"][: 30 + i % 300])),
    ]


def _rss_kib() -> int:
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def main() -> None:
    rounds, leak = int(sys.argv[1]), "leak" in sys.argv[2:]
    torch.set_num_threads(1)
    calls = _calls(leak)
    warm_up = max(300, rounds // 5)
    before = 0
    for i in range(warm_up + rounds):
        if i == warm_up:
            before = _rss_kib()
        calls[i % len(calls)](i // len(calls))
    print(_rss_kib() - before)


if __name__ == "__main__":
    main()
