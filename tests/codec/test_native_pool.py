"""What the extension does to its process: threads, memory, exit, libavutil's log, signals, its commit."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import npp
import npp._bpg as _bpg

_COMMIT_SCRIPT = Path(__file__).parents[2] / "cpp" / "bpg_bindings" / "cmake" / "commit.cmake"
_needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")


def _run(script: str, *arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0 and result.stderr == "", (result.returncode, result.stderr[-2000:])
    return result.stdout


_THREADS = """
    import os, sys, torch, npp
    side = int(sys.argv[1])
    image = torch.rand(3, side, side)
    before = len(os.listdir("/proc/self/task"))
    for _ in range(20):
        file = npp.encode(image, 30, effort=0, threads=64)
        npp.decode(file, threads=64)
        npp.compress(image[None], 30, effort=0, threads=64)
    npp.clear_encoder_cache()  # x265 has a thread of its own for each open encoder
    print(len(os.listdir("/proc/self/task")) - before)
"""


@_needs_proc
def test_a_small_picture_needs_no_thread_of_the_pool() -> None:
    assert int(_run(_THREADS, "64")) == 0


@_needs_proc
def test_one_picture_at_a_time_needs_few_threads_however_many_are_allowed() -> None:
    # One, and another where the first has not gone to sleep again when the next picture comes.
    assert 1 <= int(_run(_THREADS, "300")) < 8


@_needs_proc
def test_decoding_gives_the_memory_of_large_pictures_back() -> None:
    script = """
        import gc, torch, npp
        from pathlib import Path

        def resident_mib():
            gc.collect()
            lines = Path("/proc/self/status").read_text().splitlines()
            return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024

        ramp = torch.arange(6000, dtype=torch.int32).remainder(251).to(torch.uint8)
        large = npp.encode(ramp.expand(3, 5000, 6000).contiguous(), 30, effort=0)  # 30 megapixels
        small = npp.encode(torch.rand(3, 64, 64), 30, effort=0)
        npp.decode([small] * 8, threads=2)
        npp.clear_encoder_cache()
        before = resident_mib()
        npp.decode([large])
        npp.clear_encoder_cache()
        print(resident_mib() - before)
        npp.decode([large] * 2, threads=2)
        for _ in range(20):
            npp.decode([small] * 8, threads=2)
        npp.clear_encoder_cache()
        print(resident_mib() - before)
    """
    # The planes take 43 MiB. What libavcodec takes beside them, 24 MiB for each thread, is free but may
    # stay with the C library.
    one, two = map(float, _run(script).split())
    assert one < 40 and two < 80


_AT_EXIT = """
    import atexit, sys
    {first}
    def handler():
        image = torch.rand(3, 300, 300)
        file = npp.encode(image, 30, effort=0)
        print("handler", len(npp.decode([file] * 3, threads=2)), flush=True)
    atexit.register(handler)
    import torch, npp  # torch cannot be imported for the first time while the interpreter ends
    {rest}
"""


@pytest.mark.parametrize("first", ["import torch, npp", ""])
@pytest.mark.parametrize("rest", ["handler()", ""])
def test_an_exit_handler_may_encode(first: str, rest: str) -> None:
    lines = _run(_AT_EXIT.format(first=first, rest=rest)).splitlines()
    assert lines == ["handler 3"] * (2 if rest else 1)


def test_an_exit_handler_may_wait_for_a_daemon_thread_that_encodes() -> None:
    script = """
        import atexit, queue, threading
        wanted, done = queue.Queue(), queue.Queue()

        def serve():
            while True:
                done.put(npp.encode(wanted.get(), 30, effort=0))

        def handler():
            import torch
            for _ in range(3):
                wanted.put(torch.rand(3, 64, 64))
            print([len(done.get()) > 0 for _ in range(3)], flush=True)

        atexit.register(handler)
        import npp
        npp.encode  # torch cannot be imported for the first time while the interpreter ends
        threading.Thread(target=serve, daemon=True).start()
    """
    assert _run(script).strip() == "[True, True, True]"


def test_libavutil_keeps_its_log_level_and_damaged_files_print_nothing() -> None:
    script = """
        import ctypes, random, torch, npp
        paths = [line.split()[-1] for line in open("/proc/self/maps") if "libavutil" in line]
        level, put = (lambda: None), (lambda _: None)
        if paths:  # a shared library
            library = ctypes.CDLL(paths[0])
            level, put = library.av_log_get_level, library.av_log_set_level
        before = level()
        file = npp.encode(torch.rand(3, 128, 128), 25, effort=0)
        npp.decode(file)
        assert level() == before
        put(56)  # AV_LOG_TRACE
        draw = random.Random(0)
        refused = 0
        for i in range(400):
            damaged = bytearray(file)
            for _ in range(draw.randint(1, 4)):
                damaged[draw.randrange(len(file) if i % 2 else 60)] = draw.randrange(256)
            refused += isinstance(npp.decode(bytes(damaged), errors="return"), npp.BPGError)
        print(refused)
    """
    assert int(_run(script)) > 100


@_needs_proc
def test_threads_of_the_codec_take_no_signals() -> None:
    """A signal that the program's own threads block must not end the process in one of the codec's."""
    script = """
        import os, signal, torch, npp
        image = torch.rand(3, 300, 300)
        before = set(os.listdir("/proc/self/task"))
        npp.encode([image] * 4, 30, effort=0, threads=2)
        npp.encode(image[:, :64, :64], 30, effort=0)  # in this thread; x265's own starts here
        started = set(os.listdir("/proc/self/task")) - before
        assert len(started) >= 3
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        os.kill(os.getpid(), signal.SIGUSR1)
        assert signal.sigwait([signal.SIGUSR1]) == signal.SIGUSR1
        for task in started:
            lines = open(f"/proc/self/task/{task}/status").read().splitlines()
            blocked = int(next(line for line in lines if line.startswith("SigBlk")).split()[1], 16)
            assert blocked >> signal.SIGINT - 1 & 1 and blocked >> signal.SIGTERM - 1 & 1
    """
    _run(script)


def test_results_are_taken_once() -> None:
    file = npp.encode(torch.rand(3, 64, 64), 30, effort=0)
    handle = _bpg.start_decode([file] * 4, np.dtype(np.uint8), None, 1 << 20, 2)

    def take(_: int) -> str:
        try:
            return str(len(handle.result()))
        except RuntimeError as error:
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(take, range(4)))
    assert sorted(found) == ["4", *["the results of this call were taken before"] * 3]


def test_the_build_says_its_commit() -> None:
    assert re.fullmatch(r"([0-9a-f]{40}(-dirty)?)?", _bpg.build_config()["npp_commit"])


class _Tree:
    """A folder with sources that git may know, and what the build would compile in for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.header = folder.parent / "npp_commit.hpp"

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(self.folder), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self) -> str:
        definitions = [f"-DSOURCE={self.folder}", f"-DOUTPUT={self.header}"]
        subprocess.run(["cmake", *definitions, "-P", str(_COMMIT_SCRIPT)], check=True, capture_output=True)
        found = re.search(r'NPP_COMMIT "(.*)"', self.header.read_text())
        assert found is not None
        return found[1]


@pytest.mark.skipif(not (shutil.which("cmake") and shutil.which("git")), reason="needs CMake and git")
def test_the_commit_is_that_of_the_sources_own_repository(tmp_path: Path) -> None:
    tree = _Tree(tmp_path / "npp")
    tree.folder.mkdir()
    assert tree.commit() == ""
    tree.git("init", "-q")
    assert tree.commit() == ""  # nothing is committed
    (tree.folder / "file").write_text("a")
    tree.git("add", "file")
    tree.git("commit", "-q", "-m", "one")
    head = tree.git("rev-parse", "HEAD")
    assert tree.commit() == head
    time = tree.header.stat().st_mtime_ns
    (tree.folder / "untracked").write_text("b")
    assert tree.commit() == head and tree.header.stat().st_mtime_ns == time
    (tree.folder / "file").write_text("c")
    assert tree.commit() == head + "-dirty"
    unpacked = _Tree(tree.folder / "unpacked")  # within somebody else's repository
    unpacked.folder.mkdir()
    assert unpacked.commit() == ""
