"""What dies in a Ray run: workers, the driver, a node; the files are those of a run where nothing does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from npp.batch import BatchEncoder, read_manifest, verify_row

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")
psutil = pytest.importorskip("psutil")

from npp.integrations.ray import Cluster, encode  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(1800)]
_COUNT = 120
_SIDE = 160
_QP = 30


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, photo: np.ndarray) -> Path:
    """Many small photos, and a file that is none."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(_COUNT):
        picture = np.roll(np.tile(photo, (2, 2, 1)), number * 7, axis=(0, 1))[:_SIDE, :_SIDE]
        Image.fromarray(picture).save(folder / f"{number:04d}.png")
    (folder / "bad.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def wanted(photos: Path) -> dict[str, bytes]:
    """The files of a run where nothing dies."""
    paths = [path for path in sorted(photos.iterdir()) if path.name != "bad.png"]
    results = BatchEncoder(_QP)(paths)
    return {
        f"{path.stem}.bpg": result.file for path, result in zip(paths, results, strict=True) if result.file
    }


@pytest.fixture
def _ray() -> Iterator[None]:
    # A cluster that somebody else runs on this machine is left alone.
    own = {"address": "local", "num_cpus": 2, "object_store_memory": 200 << 20, "include_dashboard": False}
    ray.init(log_to_driver=False, **({} if "RAY_ADDRESS" in os.environ else own))
    yield
    ray.shutdown()


def _check(out: Path, wanted: dict[str, bytes]) -> None:
    """Nothing is lost, doubled or half written, and the bad photo is a row."""
    found = {path.name: path.read_bytes() for path in out.iterdir() if path.name != "m.jsonl"}
    assert found == wanted
    rows = list(read_manifest(out / "m.jsonl"))
    assert len(rows) == len({row.input for row in rows}) == _COUNT + 1
    assert [Path(row.input).name for row in rows if row.error] == ["bad.png"]
    assert all(verify_row(row, out, pixels=False) is None for row in rows)


def _workers() -> list[Any]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [""])[0].startswith("ray::MapWorker")
    ]


def _when(out: Path, count: int, then: Callable[[], None]) -> threading.Thread:
    """Does something when so many files are there."""

    def wait() -> None:
        while len(list(out.glob("*.bpg"))) < count:
            time.sleep(0.02)
        then()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.mark.usefixtures("_ray")
def test_a_killed_worker(photos: Path, wanted: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    killed = []

    def kill() -> None:
        victim = _workers()[0]
        killed.append(victim.pid)
        victim.kill()

    thread = _when(out, _COUNT // 4, kill)
    summary = encode(str(photos), out, qp=_QP, manifest=out / "m.jsonl", cluster=Cluster(workers=2))
    thread.join(timeout=10)
    assert killed and (summary.written, summary.failed) == (_COUNT, 1)
    _check(out, wanted)


def test_a_killed_driver(photos: Path, wanted: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "npp", "encode", str(photos), "-o", f"{out}/", "--qp", str(_QP)]
    command += ["--engine", "ray", "--threads", "2", "--manifest", str(out / "m.jsonl")]
    alone = {"RAY_ADDRESS": "local", **os.environ}
    run = subprocess.Popen(command, start_new_session=True, env=alone)
    while run.poll() is None and len(list(out.glob("*.bpg"))) < _COUNT // 4:
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.wait()
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.bpg")}
    assert _COUNT // 4 <= len(before) < _COUNT, "the test is about a run that was stopped in the middle"
    assert subprocess.run([*command, "--skip-existing"], env=alone).returncode == 1
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in before.items())
    _check(out, wanted)
    assert all(row.qp == _QP for row in read_manifest(out / "m.jsonl") if row.output)


def test_a_slow_and_a_dying_node(photos: Path, wanted: dict[str, bytes], tmp_path: Path) -> None:
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    out = tmp_path / "out"
    node = {"num_cpus": 1, "object_store_memory": 100 << 20}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=node)
    slow, dying = cluster.add_node(**node), cluster.add_node(**node)
    ray.init(address=cluster.address, log_to_driver=False)
    ended = threading.Event()

    def hold_up() -> None:
        """The workers of one node stand still four fifths of the time."""
        while not ended.is_set():
            for sign, seconds in ((signal.SIGSTOP, 0.8), (signal.SIGCONT, 0.2)):
                for process in _workers():
                    if process.ppid() == slow.all_processes["raylet"][0].process.pid:
                        process.send_signal(sign)
                time.sleep(seconds)

    threading.Thread(target=hold_up, daemon=True).start()
    died = []

    def die() -> None:
        cluster.remove_node(dying, allow_graceful=False)
        died.append(True)

    thread = _when(out, _COUNT // 4, die)
    try:
        summary = encode(str(photos), out, qp=_QP, manifest=out / "m.jsonl", cluster=Cluster(workers=3))
        thread.join(timeout=60)
    finally:
        ended.set()
        time.sleep(1.1)  # nothing is left standing still
        ray.shutdown()
        cluster.shutdown()
    assert died and (summary.written, summary.failed) == (_COUNT, 1)
    _check(out, wanted)
