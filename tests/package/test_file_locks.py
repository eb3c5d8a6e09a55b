"""A file that one alone writes: the lock is on the file that has the name, and nothing is left of it."""

from __future__ import annotations

import errno
import fcntl
import gc
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from npp.file_locks import FileLock
from npp.files import write_file


def _is_free(path: Path) -> bool:
    try:
        FileLock(path).close()
    except BlockingIOError:
        return False
    return True


def test_a_file_is_locked_until_it_is_closed_or_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with FileLock(path) as lock:
        assert not _is_free(path)
        with pytest.raises(BlockingIOError, match=r"^another run writes .*a$"):
            FileLock(path)
    lock.close()
    assert _is_free(path)
    lock = FileLock(path)
    assert not _is_free(path)
    del lock
    gc.collect()
    assert _is_free(path) and list(tmp_path.iterdir()) == [path]


def test_the_new_file_is_locked_in_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with FileLock(path) as lock:
        with pytest.raises(OSError, match="full"), lock.replacing() as file:
            file.write(b"half")
            raise OSError("full")
        assert path.read_bytes() == b"" and not _is_free(path)
        for data in (b"1", b"2"):
            with lock.replacing() as file:
                file.write(data)
                assert not _is_free(path)
            assert path.read_bytes() == data and not _is_free(path)
    assert _is_free(path) and list(tmp_path.iterdir()) == [path]


def test_the_lock_of_a_process_that_was_killed_is_gone(tmp_path: Path) -> None:
    script = """
        from pathlib import Path
        from npp.file_locks import FileLock
        lock = FileLock(Path("a"))
        print("locked", flush=True)
        input()
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert not _is_free(tmp_path / "a")
        process.kill()
        process.wait()
        assert _is_free(tmp_path / "a")


def test_a_file_that_is_empty_in_the_end_can_be_removed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with FileLock(path, remove_empty=True):
        assert path.exists()
    assert not path.exists()
    with FileLock(path, remove_empty=True):
        path.write_bytes(b"no longer")
    assert path.read_bytes() == b"no longer"
    with FileLock(path, remove_empty=True) as lock, lock.replacing():
        pass
    assert path.read_bytes() == b"", "which is meant"
    link = tmp_path / "link"
    link.symlink_to("b")
    with FileLock(link, remove_empty=True):
        assert link.read_bytes() == b""
    assert link.is_symlink() and not (tmp_path / "b").exists()
    with FileLock(path, remove_empty=True):
        write_file(path, b"of others", force=True)
    assert path.read_bytes() == b"of others"
    with FileLock(path, remove_empty=True):
        path.unlink()
    assert not path.exists()


@pytest.mark.parametrize("replaced", [True, False])
def test_a_file_that_was_opened_before_it_was_replaced_or_removed(
    replaced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is on the new file, and not on one that has no name any more."""
    path, lock_file = tmp_path / "a", fcntl.flock
    path.write_bytes(b"old")
    meanwhile = [lambda: write_file(path, b"new", force=True) if replaced else path.unlink()]

    def late(descriptor: int, operation: int) -> None:
        lock_file(descriptor, operation)
        if meanwhile:
            meanwhile.pop()()

    monkeypatch.setattr(fcntl, "flock", late)
    with FileLock(path):
        assert path.read_bytes() == (b"new" if replaced else b"")
        assert not _is_free(path)
    assert _is_free(path)


def test_a_file_system_without_locks_refuses_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with FileLock(tmp_path / "a"), FileLock(tmp_path / "a") as lock:
        with lock.replacing() as file:
            file.write(b"new")
        assert (tmp_path / "a").read_bytes() == b"new"


def test_a_forked_child_that_ends_leaves_its_parent_s_file(tmp_path: Path) -> None:
    """Also where an empty file would be removed in the end."""
    script = textwrap.dedent(
        """
        import os, sys
        from pathlib import Path
        from npp.file_locks import FileLock

        lock = FileLock(Path(sys.argv[1]), remove_empty=True)
        if not (child := os.fork()):
            sys.exit(0)
        os.waitpid(child, 0)
        assert Path(sys.argv[1]).exists()
        try:
            FileLock(Path(sys.argv[1]))
        except BlockingIOError:
            print("still locked")
        """
    )
    command = [sys.executable, "-c", script, str(tmp_path / "a")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "still locked\n", done.stderr
    assert not (tmp_path / "a").exists()


def test_a_lock_that_was_given_back_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a"
    lock = FileLock(path)
    lock.close()
    path.write_bytes(b"another's")
    with pytest.raises(ValueError, match="a is closed, and may be another run's by now"), lock.replacing():
        pass
    assert path.read_bytes() == b"another's" and _is_free(path)
