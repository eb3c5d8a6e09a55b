"""Whichever way pictures go through the codec, it takes as many threads as were asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Children of one process that has no thread of the codec yet: torch takes long to load.
_SCRIPT = """
import json, os, sys, torch, npp

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # by default there is one thread then
x = torch.rand(24, 3, 128, 128)
files = npp.compress(x, 30, effort=0, threads=1).bitstreams
ways = {
    "compress": lambda threads: npp.compress(x, 30, effort=0, threads=threads),
    "BPG": lambda threads: npp.BPG(30, effort=0, threads=threads)(x),
    "compress_in_parts": lambda threads: list(npp.compress_in_parts(x, 30, effort=0, threads=threads)),
    "vmap": lambda threads: torch.vmap(
        lambda one: npp.compress(one[None], 30, effort=0, threads=threads).bpp
    )(x),
    "decompress": lambda threads: npp.decompress(files, threads=threads),
    "refine": lambda threads: npp.refine(
        x, 30, lambda decoded: decoded.mean((1, 2, 3)), steps=0, effort=0, threads=threads
    ),
}

def started(way, threads):
    before = len(os.listdir("/proc/self/task"))
    way(threads)
    npp.clear_encoder_cache()  # x265 has a thread of its own for each open encoder
    return len(os.listdir("/proc/self/task")) - before

for name, way in ways.items():
    child = os.fork()
    if child == 0:
        print(json.dumps([name, started(way, None), started(way, 6)]), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_every_way_to_the_codec_takes_the_threads_that_were_asked_for() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found = {name: counts for name, *counts in map(json.loads, done.stdout.splitlines())}
    assert list(found) == ["compress", "BPG", "compress_in_parts", "vmap", "decompress", "refine"]
    for name, (by_default, with_six) in found.items():
        assert by_default <= 2, f"{name} on one core"
        assert 4 <= by_default + with_six <= 6, name
