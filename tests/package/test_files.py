"""Atomic writing: whole files or none, and nobody else's file is lost."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from npp.files import atomic_write, check_target, write_file, write_together


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_a_new_file(tmp_path: Path) -> None:
    write_file(tmp_path / "a.bpg", b"hello")
    assert (tmp_path / "a.bpg").read_bytes() == b"hello"
    assert _names(tmp_path) == ["a.bpg"]


def test_nothing_is_visible_before_the_end(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.bpg") as file:
        file.write(b"half")
        file.flush()
        assert not (tmp_path / "a.bpg").exists()
        file.write(b" and half")
    assert (tmp_path / "a.bpg").read_bytes() == b"half and half"


def test_a_word_is_no_leave_to_replace(tmp_path: Path) -> None:
    path = tmp_path / "a.bpg"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="force must be True or False, not 'no'"):
        write_file(path, b"new", force="no")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"


def test_existing_file_is_kept_without_force(tmp_path: Path) -> None:
    path = tmp_path / "a.bpg"
    path.write_bytes(b"old")
    with pytest.raises(FileExistsError, match=r"a\.bpg exists"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    write_file(path, b"new", force=True)
    assert path.read_bytes() == b"new"
    assert _names(tmp_path) == ["a.bpg"]


@pytest.mark.parametrize("links", [True, False])
def test_file_that_appears_meanwhile_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", _no_links)
    path = tmp_path / "a.bpg"
    with pytest.raises(FileExistsError, match=r"a\.bpg exists"), atomic_write(path) as file:
        file.write(b"mine")
        path.write_bytes(b"theirs")
    assert path.read_bytes() == b"theirs"
    assert _names(tmp_path) == ["a.bpg"]


def _no_links(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, "no hard links here")


def test_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", _no_links)
    write_file(tmp_path / "a.bpg", b"hello")
    assert (tmp_path / "a.bpg").read_bytes() == b"hello"
    assert _names(tmp_path) == ["a.bpg"]


def test_failed_rename_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "broken disk")

    monkeypatch.setattr(os, "link", _no_links)
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="broken disk"):
        write_file(tmp_path / "a.bpg", b"hello")
    assert _names(tmp_path) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("force", [False, True])
def test_failure_leaves_nothing(tmp_path: Path, error: type[BaseException], force: bool) -> None:
    with pytest.raises(error), atomic_write(tmp_path / "a.bpg", force=force) as file:
        file.write(b"half")
        raise error
    assert _names(tmp_path) == []


def test_failed_sync_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "disk full")

    path = tmp_path / "a.bpg"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        write_file(path, b"new", force=True)
    assert path.read_bytes() == b"old"
    assert _names(tmp_path) == ["a.bpg"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_file(tmp_path / "a.bpg", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a.bpg").stat().st_mode & 0o777 == 0o640


def test_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.bpg").write_bytes(b"old")
    (tmp_path / "link.bpg").symlink_to("real.bpg")
    write_file(tmp_path / "link.bpg", b"new", force=True)
    assert (tmp_path / "link.bpg").is_symlink()
    assert (tmp_path / "real.bpg").read_bytes() == b"new"


def test_folders_and_devices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="is a folder"):
        check_target(tmp_path, force=True)
    with pytest.raises(OSError, match="not an ordinary file"):
        check_target(os.devnull, force=True)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not an ordinary file"):
        write_file(tmp_path / "pipe", b"x", force=True)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_file(tmp_path / "none" / "a.bpg", b"x")


def test_only_one_of_many_writers_wins(tmp_path: Path) -> None:
    path = tmp_path / "a.bpg"
    lost: list[int] = []

    def write(number: int) -> None:
        try:
            write_file(path, bytes([number]) * 1000)
        except FileExistsError:
            lost.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = set(range(16)) - set(lost)
    assert path.read_bytes() == bytes([winner]) * 1000
    assert _names(tmp_path) == ["a.bpg"]


def test_interrupt_of_a_process_leaves_nothing(tmp_path: Path) -> None:
    script = f"""
        import signal, time
        from npp.files import atomic_write
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background shells
        with atomic_write({str(tmp_path / "a.bpg")!r}) as file:
            file.write(b"half")
            file.flush()
            print("writing", flush=True)
            time.sleep(60)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        assert "a.bpg" not in _names(tmp_path)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
    assert _names(tmp_path) == []


def test_a_new_file_never_has_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two names a killed process would leave the first one behind."""
    linked: list[str] = []
    link = os.link

    def recording(source: object, target: object, **options: object) -> None:
        linked.append(str(target))
        link(source, target, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", recording)
    write_file(tmp_path / "new.bpg", b"data")
    if linked:  # this file system has unnamed files
        assert linked == [str(tmp_path / "new.bpg")]
    assert os.listdir(tmp_path) == ["new.bpg"]  # noqa: PTH208 (hidden names too)
    with pytest.raises(FileExistsError, match=r"new\.bpg exists"):
        write_file(tmp_path / "new.bpg", b"other")
    assert (tmp_path / "new.bpg").read_bytes() == b"data"


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files as Linux shows them")
@pytest.mark.parametrize("force", [False, True])
def test_of_many_files_at_most_64_are_open_at_once(tmp_path: Path, force: bool) -> None:
    """A process may have about a thousand, and who writes many files may have others open, too."""
    wanted = {f"{i:03}.bpg": bytes([i]) * (i + 1) for i in range(70)}
    opened: list[int] = []

    def files() -> Iterator[tuple[Path, bytes]]:
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        for name, data in wanted.items():
            opened.append(len(os.listdir("/proc/self/fd")) - before)  # noqa: PTH208
            assert not [path for path in tmp_path.iterdir() if path.suffix == ".bpg"]
            yield tmp_path / name, data

    write_together(files(), force=force)
    assert opened == [min(i, 64) for i in range(70)]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == wanted
