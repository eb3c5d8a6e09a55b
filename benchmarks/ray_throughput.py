"""Ray against ``npp encode`` on the same photos: throughput, bytes, memory, and what is left after kills.

    python benchmarks/ray_throughput.py [--photos 3000] [--address ADDRESS] [--out docs/results/ray.json]

The report is written after every run, so that a stopped benchmark leaves what it has measured.

Tiles of real photos, and one file that is none, are encoded by both in turns, each in a process of its own.
Throughput is that between the first and the last file, so that the start of neither counts; processor time
counts besides, because other work on the machine does not change it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import SHARED, machine
from PIL import Image
from result_files import report_parser, write_report

from npp.batch import read_manifest

if TYPE_CHECKING:
    import psutil

_QP = 32


def make_tiles(folder: Path, count: int, side: int) -> None:
    """Tiles of photos as JPEG files, several of each photo, in folders of 500; and a file that is none."""
    paths = sorted((SHARED / "data" / "imagenet-sample").glob("*.webp"))
    if not paths:
        raise SystemExit(f"no photos in {SHARED}/data; set NPP_SHARED")
    made = 0
    while made < count:
        turn = made // len(paths)
        with Image.open(paths[made % len(paths)]) as photo:
            photo = photo.convert("RGB")
            left = turn * 53 % max(1, photo.width - side)
            top = turn * 31 % max(1, photo.height - side)
            out = folder / f"{made // 500:03d}"
            out.mkdir(exist_ok=True)
            photo.crop((left, top, left + side, top + side)).save(out / f"{made:06d}.jpg", quality=95)
        made += 1
    (folder / "bad.jpg").write_bytes(b"no photo")


class Watch(threading.Thread):
    """Follows processes: their processor time, and the most memory that they have at the same time.

    Args:
        root: a process with its children.
        ray: processes of Ray too, whoever began them.
    """

    def __init__(self, root: int, ray: bool) -> None:
        super().__init__(daemon=True)
        self._root, self._ray = root, ray
        self._before: dict[int, float] = {}
        self._cpu: dict[int, float] = {}
        self.most_memory = self.most_store = 0
        self.workers: set[int] = set()
        self._ended = threading.Event()

    def _processes(self) -> list[psutil.Process]:
        import psutil  # Ray brings it, and is in no environment but that of `make test-frameworks`

        found = []
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or [""]
            if self._ray and (words[0].startswith("ray::") or "/ray/core/src/ray/" in words[0]):
                found.append(process)
        try:
            root = psutil.Process(self._root)
            found += [root, *root.children(recursive=True)]
        except psutil.Error:
            pass
        return list({process.pid: process for process in found}.values())

    def look(self, first: bool = False) -> None:
        """Once."""
        import psutil

        memory = store = 0
        for process in self._processes():
            try:
                times, sizes = process.cpu_times(), process.memory_info()
                name = " ".join(process.cmdline()[:1])
            except (psutil.Error, IndexError):
                continue
            self._cpu[process.pid] = times.user + times.system
            if first:
                self._before[process.pid] = times.user + times.system
            memory += sizes.rss - sizes.shared
            store = max(store, sizes.shared)
            if name.startswith("ray::MapWorker"):
                self.workers.add(process.pid)
        self.most_memory, self.most_store = max(self.most_memory, memory), max(self.most_store, store)

    def run(self) -> None:
        """Until :meth:`end`."""
        self.look(first=True)
        while not self._ended.wait(2):
            self.look()

    def end(self) -> float:
        """Seconds of processor time since the beginning."""
        self.look()
        self._ended.set()
        self.join()
        return self.seconds(self._cpu)

    def seconds(self, pids: Iterable[int]) -> float:
        """Processor time of some processes."""
        return sum(self._cpu[pid] - self._before.get(pid, 0.0) for pid in pids if pid in self._cpu)


def files_in(out: Path) -> list[Path]:
    """The results."""
    return sorted(out.rglob("*.bpg"))


def throughput(out: Path) -> float:
    """Files a second between the first and the last."""
    times = sorted(path.stat().st_mtime for path in files_in(out))
    return (len(times) - 1) / (times[-1] - times[0])


def encode(
    photos: Path,
    out: Path,
    *more: str,
    during: Callable[[subprocess.Popen[bytes], Watch], None] | None = None,
) -> dict[str, Any]:
    """One run of ``npp encode`` in a session of its own."""
    command = [sys.executable, "-m", "npp", "encode", str(photos), "-r", "-o", f"{out}/", "--qp", str(_QP)]
    command += ["--manifest", str(out / "manifest.jsonl"), "--threads", "2", "--quiet", *more]
    start = time.perf_counter()
    run = subprocess.Popen(command, start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    watch = Watch(run.pid, "ray" in more)
    watch.start()
    if during is not None:
        during(run, watch)
    code = run.wait()
    cpu = watch.end()
    found = files_in(out)
    return {
        "exit_code": code,
        "seconds": round(time.perf_counter() - start, 2),
        "files": len(found),
        "photos_per_second": round(throughput(out), 2) if len(found) > 1 else None,
        "cpu_seconds": round(cpu, 1),
        "codec_cpu_seconds": round(watch.seconds(watch.workers or [run.pid]), 1),
        "most_memory_mb": round(watch.most_memory / 1e6),
        "most_shared_mb": round(watch.most_store / 1e6),
    }


def same(one: Path, other: Path) -> bool:
    """Whether two folders have the same files and nothing else."""

    def all_of(folder: Path) -> dict[str, bytes]:
        found = (path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.jsonl")
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}

    return all_of(one) == all_of(other)


def rows_of(out: Path) -> dict[str, Any]:
    """The manifest's rows, and how many of them are errors."""
    rows = list(read_manifest(out / "manifest.jsonl"))
    return {
        "rows": len(rows),
        "inputs": len({row.input for row in rows}),
        "errors": sum(bool(r.error) for r in rows),
    }


def kill_a_worker(at: int, out: Path) -> Callable[[subprocess.Popen[bytes], Watch], None]:
    """Kills one of the run's workers when so many files are there."""
    import psutil

    def during(run: subprocess.Popen[bytes], watch: Watch) -> None:
        while run.poll() is None and (len(files_in(out)) < at or not watch.workers):
            time.sleep(0.5)
        os.kill(next(pid for pid in watch.workers if psutil.pid_exists(pid)), signal.SIGKILL)

    return during


def kill_the_driver(at: int, out: Path) -> Callable[[subprocess.Popen[bytes], Watch], None]:
    """Kills the command itself when so many files are there."""

    def during(run: subprocess.Popen[bytes], watch: Watch) -> None:
        while run.poll() is None and len(files_in(out)) < at:
            time.sleep(0.2)
        run.kill()

    return during


def save(report: dict[str, Any], out: Path) -> None:
    """Writes what is known, with Ray's share of the threads' throughput where both have had their turns."""
    if report["ray"] and len(report["ray"]) == len(report["threads"]):
        rates = [sum(one["photos_per_second"] for one in report[kind]) for kind in ("ray", "threads")]
        report["ratio"] = round(rates[0] / rates[1], 3)
    write_report(out, report)
    print(json.dumps(report), file=sys.stderr, flush=True)


def main() -> None:
    """Measures and prints."""
    parser = report_parser(__doc__, "results/ray.json")
    parser.add_argument("--photos", type=int, default=3000)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--address", help="a Ray cluster that runs already; by default one for each run")
    parser.add_argument("--turns", type=int, default=2)
    given = parser.parse_args()
    ray = ["--engine", "ray", *(["--address", given.address] if given.address else [])]
    with tempfile.TemporaryDirectory(prefix="npp-ray-") as name:
        folder = Path(name)
        photos = folder / "photos"
        photos.mkdir()
        make_tiles(photos, given.photos, given.side)
        report: dict[str, Any] = {"machine": machine(), "photos": given.photos, "side": given.side, "qp": _QP}
        report |= {"threads": [], "ray": []}
        for turn in range(given.turns):
            # In turns and in turned order: what else the machine does changes slowly.
            for kind, more in (("threads", []), ("ray", ray))[:: 1 if turn % 2 == 0 else -1]:
                report[kind].append(encode(photos, folder / f"{kind}{turn}", *more))
                save(report, given.out)
        report["same_bytes"] = all(
            same(folder / "threads0", folder / f"ray{turn}") for turn in range(given.turns)
        )
        report["manifest"] = rows_of(folder / "ray0")
        half = given.photos // 2
        out = folder / "worker_killed"
        report["worker_killed"] = encode(photos, out, *ray, during=kill_a_worker(half, out))
        report["worker_killed"] |= {"same_bytes": same(folder / "threads0", out), "manifest": rows_of(out)}
        save(report, given.out)
        out = folder / "driver_killed"
        report["driver_killed"] = encode(photos, out, *ray, during=kill_the_driver(half, out))
        kept = {path: path.stat().st_mtime_ns for path in files_in(out)}
        report["driver_resumed"] = encode(photos, out, *ray, "--skip-existing")
        report["driver_resumed"] |= {
            "done_before": len(kept),
            "done_again": sum(path.stat().st_mtime_ns != before for path, before in kept.items()),
            "same_bytes": same(folder / "threads0", out),
            "manifest": rows_of(out),
        }
        save(report, given.out)


if __name__ == "__main__":
    main()
