"""Full disks, read-only folders, kill -9, two runs at once: nothing half, nothing of the user's lost."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT, SIGKILL

import numpy as np
import pytest
import torch
from isolated import run_mounted
from PIL import Image

import npp
from npp.batch import read_manifest
from npp.files import write_file, write_together

_PICTURES = 12
_ENCODE = [sys.executable, "-m", "npp", "encode", "photos", "-o", "out", "--effort", "0", "--qp", "20"]


@pytest.fixture
def photos(tmp_path: Path, photo: np.ndarray) -> Path:
    """A folder with ``photos/``, all different."""
    (tmp_path / "photos").mkdir()
    for i in range(_PICTURES):
        Image.fromarray(np.roll(photo, 5 * i, 1)).save(tmp_path / "photos" / f"{i}.png")
    return tmp_path


def _files(folder: Path) -> dict[str, bytes]:
    """Names, hidden ones too, and contents."""
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


@pytest.fixture(scope="module")
def wanted(photo: np.ndarray) -> dict[str, bytes]:
    """What a whole run writes."""
    pictures = [torch.from_numpy(np.roll(photo, 5 * i, 1)).permute(2, 0, 1) for i in range(_PICTURES)]
    return {f"{i}.bpg": file for i, file in enumerate(npp.encode(pictures, 20, effort=0))}


def test_folder_is_synced_after_the_file_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    sync, replace = os.fsync, Path.replace

    def recorded_sync(descriptor: int) -> None:
        is_folder = Path(f"/proc/self/fd/{descriptor}").readlink() == tmp_path
        events.append("sync folder" if is_folder else "sync file")
        sync(descriptor)

    def recorded_replace(path: Path, target: Path) -> Path:
        events.append("name")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", recorded_sync)
    monkeypatch.setattr(Path, "replace", recorded_replace)
    write_file(tmp_path / "a.bpg", b"hello", force=True)
    assert events == ["sync file", "name", "sync folder"]


@pytest.mark.parametrize("unnamed", [True, False])
def test_full_disk_keeps_the_old_file(tmp_path: Path, unnamed: bool) -> None:
    (tmp_path / "small").mkdir()
    script = f"""
        import os
        if not {unnamed}:
            del os.O_TMPFILE
        from npp.files import write_file
        write_file("small/a.bpg", b"old" * 1000)
        try:
            write_file("small/a.bpg", bytes(1 << 20), force=True)
        except OSError as error:
            print(error)
        assert open("small/a.bpg", "rb").read() == b"old" * 1000
        print(os.listdir("small"))
    """
    done = run_mounted("mount -t tmpfs -o size=64k none small", script, tmp_path)
    assert done.stdout == "[Errno 28] No space left on device: 'small/a.bpg'\n['a.bpg']\n", done.stderr


def test_limit_on_file_sizes_keeps_the_old_file(tmp_path: Path) -> None:
    script = """
        import os, resource
        from npp.files import write_file
        write_file("a.bpg", b"old")
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            write_file("a.bpg", bytes(5000), force=True)
        except OSError as error:
            print(error)
        print(os.listdir("."), open("a.bpg").read())
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "[Errno 27] File too large: 'a.bpg'\n['a.bpg'] old\n"


@pytest.mark.parametrize("leave", [False, True])
def test_files_of_a_set_and_one_that_appears_meanwhile(tmp_path: Path, leave: bool) -> None:
    def parts() -> Iterator[tuple[Path, bytes]]:
        for number in range(100):
            yield tmp_path / f"{number}.png", b"new"
        (tmp_path / "70.png").write_bytes(b"theirs")

    if leave:
        write_together(parts(), leave_existing=True)
        assert _files(tmp_path) == {f"{i}.png": b"theirs" if i == 70 else b"new" for i in range(100)}
    else:
        with pytest.raises(FileExistsError, match=r"70\.png exists"):
            write_together(parts())
        assert _files(tmp_path) == {"70.png": b"theirs"}


def test_encode_onto_a_full_disk_then_onto_one_with_room(photos: Path, wanted: dict[str, bytes]) -> None:
    (photos / "out").mkdir()
    (photos / "kept").mkdir()
    script = f"""
        import shutil, subprocess
        done = subprocess.run({[*_ENCODE, "--threads", "1"]!r}, capture_output=True, text=True)
        print(done.returncode)
        print(done.stderr)
        shutil.copytree("out", "kept", dirs_exist_ok=True)
    """
    size = sum(map(len, wanted.values())) // 2 // 4096 * 4096 + 4096 * 6
    done = run_mounted(f"mount -t tmpfs -o size={size} none out", script, photos)
    assert done.stdout.startswith("1\n"), done.stderr
    assert "No space left on device: out/" in done.stdout
    written = _files(photos / "kept")
    assert 1 <= len(written) < _PICTURES
    assert written.items() <= wanted.items()
    # The mount is gone with the process; what was written goes back and the run goes on.
    for name, data in written.items():
        (photos / "out" / name).write_bytes(data)
    subprocess.run([*_ENCODE, "--skip-existing"], cwd=photos, check=True, capture_output=True)
    assert _files(photos / "out") == wanted


def test_read_only_folder(photos: Path, wanted: dict[str, bytes]) -> None:
    (photos / "out").mkdir()
    (photos / "out" / "3.bpg").write_bytes(b"precious")
    before = _files(photos / "photos")
    script = f"""
        import subprocess, sys
        done = subprocess.run({[*_ENCODE, "--force"]!r}, capture_output=True, text=True)
        print(done.returncode)
        print(done.stderr)
    """
    done = run_mounted("mount --bind out out && mount -o remount,bind,ro out", script, photos)
    assert done.stdout.startswith("1\n"), done.stderr
    for name in wanted:
        assert f"Read-only file system: out/{name}" in done.stdout
    assert ".npp-" not in done.stdout and "Traceback" not in done.stdout
    assert _files(photos / "out") == {"3.bpg": b"precious"}
    assert _files(photos / "photos") == before


def test_killed_runs_go_on_to_the_same_files(photos: Path, wanted: dict[str, bytes]) -> None:
    random_wait = random.Random(0)
    for _ in range(3):
        with subprocess.Popen(
            [*_ENCODE, "--skip-existing", "--threads", "2"],
            cwd=photos,
            stderr=subprocess.PIPE,
        ) as process:
            # From the first line on it writes; before, a kill would find it importing.
            assert process.stderr is not None
            process.stderr.readline()
            time.sleep(random_wait.uniform(0, 0.01))
            process.kill()
        assert _files(photos / "out").items() <= wanted.items()
    subprocess.run([*_ENCODE, "--skip-existing"], cwd=photos, check=True, capture_output=True)
    assert _files(photos / "out") == wanted


@pytest.mark.parametrize("policy", ["--skip-existing", "--force", None])
def test_two_runs_at_once(photos: Path, wanted: dict[str, bytes], policy: str | None) -> None:
    command = [*_ENCODE, policy] if policy else _ENCODE
    pair = [
        subprocess.Popen(command, cwd=photos, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for _ in range(2)
    ]
    said = [process.communicate()[1] for process in pair]
    assert _files(photos / "out") == wanted
    assert "Traceback" not in "".join(said)
    if policy:
        assert [process.returncode for process in pair] == [0, 0], said
        return
    failed = [line for text in said for line in text.splitlines() if line.startswith("npp: ")]
    written = [line for text in said for line in text.splitlines() if " -> out/" in line]
    assert len(written) == _PICTURES  # each by one of the two
    assert len(failed) == _PICTURES
    assert all("exists; --force replaces it, --skip-existing leaves it" in line for line in failed)


@contextmanager
def _half_way(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A run that has done the photos and waits for one more, which is a pipe."""
    os.mkfifo(folder / "late.png")
    with subprocess.Popen([*_ENCODE, "late.png", *arguments], cwd=folder, text=True) as process:
        while len(list((folder / "out").glob("*.bpg"))) < _PICTURES:
            assert process.poll() is None
            time.sleep(0.02)
        try:
            yield process
        finally:
            process.kill()
    (folder / "late.png").unlink()


def _rows(folder: Path) -> list[str]:
    return sorted(row.input for row in read_manifest(folder / "m.jsonl"))


@pytest.mark.parametrize("policy", ["--skip-existing", "--force"])
def test_two_runs_with_one_manifest(photos: Path, policy: str) -> None:
    """The second one is refused as long as the first one runs, and then goes on with its rows."""
    inputs = sorted(f"photos/{i}.png" for i in range(_PICTURES))
    second = [*_ENCODE[:4], "photos/0.png", "-o", "other/", policy, "--manifest", "m.jsonl"]
    with _half_way(photos, "--manifest", "m.jsonl") as first:
        done = subprocess.run(second, cwd=photos, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr == (
            "npp: --manifest: another run writes m.jsonl; give each run a manifest of its own\n"
        )
        assert _rows(photos) == inputs and not (photos / "other").exists()
        (photos / "late.png").write_bytes((photos / "photos" / "0.png").read_bytes())
        assert first.wait() == 0
    assert _rows(photos) == ["late.png", *inputs]
    assert subprocess.run(second, cwd=photos, capture_output=True, check=False).returncode == 0
    assert _rows(photos) == (["late.png", *inputs] if policy == "--skip-existing" else ["photos/0.png"])


def test_the_manifest_of_a_killed_run_is_free(photos: Path) -> None:
    with _half_way(photos, "--manifest", "m.jsonl") as first:
        first.kill()
        first.wait()
        command = [*_ENCODE, "--skip-existing", "--manifest", "m.jsonl"]
        subprocess.run(command, cwd=photos, check=True, capture_output=True)
    assert _rows(photos) == sorted(f"photos/{i}.png" for i in range(_PICTURES))
    assert sorted(path.name for path in photos.iterdir()) == ["m.jsonl", "out", "photos"]


@pytest.mark.parametrize("signal", [SIGKILL, SIGINT])
def test_a_stopped_run_that_begins_anew_leaves_no_file_without_a_row(photos: Path, signal: int) -> None:
    """Rows of the earlier run are in the manifest until they are replaced or the new one is whole."""
    encode = [*_ENCODE[:4], "-o", "out", "--effort", "0", "--manifest", "m.jsonl"]
    subprocess.run([*encode, "photos"], cwd=photos, check=True, capture_output=True)
    earlier = {row.input: row for row in read_manifest(photos / "m.jsonl")}
    os.mkfifo(photos / "late.png")
    again = [*encode, "photos/0.png", "photos/1.png", "late.png", "--qp", "40", "--force"]
    with subprocess.Popen(again, cwd=photos, text=True, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        try:
            said = [process.stderr.readline() for _ in range(2)]
            assert all(" -> out/" in line for line in said)
            with (photos / "late.png").open("wb"):  # as soon as it is being read
                process.send_signal(signal)
                if signal == SIGINT:
                    assert "are finished" in process.stderr.readline()
            process.wait()
        finally:
            process.kill()  # or it would wait for ever
    rows = {row.input: row for row in read_manifest(photos / "m.jsonl")}
    made = {name for name, row in rows.items() if row != earlier.get(name)}
    assert made == {"photos/0.png", "photos/1.png"} and rows.keys() == earlier.keys()
    assert {row.output for row in rows.values()} == {f"out/{name}" for name in _files(photos / "out")}
    verify = [*_ENCODE[:3], "verify", "m.jsonl"]
    subprocess.run(verify, cwd=photos, check=True, capture_output=True)
    (photos / "out" / "7.bpg").unlink()
    assert subprocess.run(verify, cwd=photos, capture_output=True, check=False).returncode == 1
    (photos / "late.png").unlink()
    (photos / "late.png").write_bytes((photos / "photos" / "0.png").read_bytes())
    subprocess.run(again, cwd=photos, check=True, capture_output=True)
    assert _rows(photos) == ["late.png", "photos/0.png", "photos/1.png"]


def test_frames_onto_a_full_disk(tmp_path: Path, photo: np.ndarray) -> None:
    """The frames that are there stay, all of them; nothing is left of the new ones."""
    rng = np.random.default_rng(0)
    noise = [torch.from_numpy(rng.integers(0, 256, (3, 64, 64), dtype=np.uint8)) for _ in range(80)]
    (tmp_path / "a.bpg").write_bytes(npp.encode_animation(noise, 0, effort=0, chroma="444"))
    (tmp_path / "small").mkdir()
    script = """
        import os, subprocess, sys
        for number in range(1, 41):
            with open(f"small/f-{number:02}.png", "wb") as file:
                file.write(b"old")
        decode = [sys.executable, "-m", "npp", "decode", "a.bpg", "-o", "small/f-%02d.png", "--force"]
        done = subprocess.run(decode, capture_output=True, text=True)
        print(done.returncode, done.stderr)
        print(len(os.listdir("small")), {open(f"small/{name}").read() for name in os.listdir("small")})
        subprocess.run(["mount", "-o", "remount,size=8m", "small"], check=True)
        print(subprocess.run(decode, capture_output=True, text=True).returncode)
        print(len(os.listdir("small")), {open(f"small/{name}", "rb").read(4) for name in os.listdir("small")})
    """
    done = run_mounted("mount -t tmpfs -o size=1000k none small", script, tmp_path)
    assert done.stdout.startswith("1 npp: a.bpg: No space left on device: small/f-"), done.stderr
    assert done.stdout.endswith("40 {'old'}\n0\n80 {b'\\x89PNG'}\n"), done.stdout
