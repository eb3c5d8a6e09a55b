"""Manifests: whole after a kill, one row an input, and what verifying finds."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import npp
from npp.batch import FileResult, ManifestFile, ManifestRow, read_manifest, verify_row, write_manifest
from npp.batch.manifest import name_in_manifest


def _row(name: str, data: bytes = b"data") -> ManifestRow:
    return ManifestRow.of(name, f"{name}.bpg", FileResult(data, {"bpp": 0.5, "qp": 30}))


def test_rows_come_back(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    rows = [_row("a"), ManifestRow.of("b", "b.bpg", FileResult.failed("no picture")), _row("ü\udcff")]
    write_manifest(path, rows)
    assert list(read_manifest(path)) == rows
    assert rows[1].output is None and rows[1].error == "no picture"
    assert rows[0].checksum == "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7"


def test_a_killed_run_leaves_no_half_row(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    write_manifest(path, [_row("a"), _row("b")])
    path.write_bytes(path.read_bytes()[:-5])
    assert [row.input for row in read_manifest(path)] == ["a"]
    manifest = ManifestFile(path)
    manifest.add(_row("c"))
    assert [row.input for row in read_manifest(path)] == ["a", "c"]


def test_a_row_may_be_cut_off_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    first, last = (f"{_row(name).as_json()}\n".encode() for name in "ab")
    for cut in range(len(last)):
        path.write_bytes(first + last[:cut])
        assert [row.input for row in read_manifest(path)] == ["a"]
        ManifestFile(path).add(_row("c"))
        assert [row.input for row in read_manifest(path)] == ["a", "c"]


@pytest.mark.parametrize(
    "foreign",
    [
        b'{"important": 1}',
        b'{"input": 3}',
        b'{"input": "a", "batch": 8}',
        b'{"input":"a","output":null,"error":"x"}',
        b"[1, 2]",
        b"text",
        b"\x89PNG",
    ],
)
@pytest.mark.parametrize("rows", [0, 1])
def test_a_foreign_last_line_is_no_row_that_was_cut_off(foreign: bytes, rows: int, tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    whole = f"{_row('a').as_json()}\n".encode() * rows + foreign
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=rf"m\.jsonl, line {rows + 1}: "):
        list(read_manifest(path))
    with pytest.raises(ValueError, match=rf"m\.jsonl, line {rows + 1}: "):
        ManifestFile(path)
    assert path.read_bytes() == whole


def test_a_row_for_which_there_is_no_space_is_not_there_in_part(tmp_path: Path) -> None:
    script = """
        import resource
        from pathlib import Path
        from npp.batch import FileResult, ManifestFile, ManifestRow
        manifest = ManifestFile(Path("m.jsonl"))
        for limit in (1000, 2000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, 3000))
            for number in range(limit // 100):
                name = f"{limit}-{number}"
                try:
                    manifest.add(ManifestRow.of(name, name, FileResult(b"data")))
                except OSError as error:
                    print(error)
                    break
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "[Errno 27] File too large: 'm.jsonl'\n" * 2, done.stderr
    names = [row.input for row in read_manifest(tmp_path / "m.jsonl")]
    assert names[0] == "1000-0" and "2000-0" in names
    assert len((tmp_path / "m.jsonl").read_bytes().splitlines()) == len(names)


def test_the_last_row_of_an_input_counts(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "m.jsonl"
    with ManifestFile(path) as manifest:
        manifest.add(_row("a", b"1"))
        manifest.add(_row("b", b"2"))
        manifest.add(_row("a", b"3"))
        assert list(read_manifest(path)) == [_row("b", b"2"), _row("a", b"3")]
        assert manifest.get("a") == _row("a", b"3")
    manifest = ManifestFile(path)
    assert manifest.get("a") == _row("a", b"3")
    assert len(path.read_bytes().splitlines()) == 3
    manifest.finish()
    assert len(path.read_bytes().splitlines()) == 2
    assert {row.input: row for row in read_manifest(path)} == {"a": _row("a", b"3"), "b": _row("b", b"2")}


def test_rows_that_an_earlier_run_left_twice_are_one_in_the_end(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    write_manifest(path, [_row("a", b"1"), _row("a", b"2")])
    with ManifestFile(path) as manifest:
        manifest.finish()
    assert path.read_text() == f"{_row('a', b'2').as_json()}\n"


def test_empty_lines_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(f"\n{_row('a').as_json()}\n \t\n\n{_row('b').as_json()}\n\n")
    assert list(read_manifest(path)) == [_row("a"), _row("b")]
    with ManifestFile(path) as manifest:
        manifest.add(_row("c"))
    assert [row.input for row in read_manifest(path)] == ["a", "b", "c"]


def test_a_manifest_is_open_once(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    said = r"another run writes .*m\.jsonl; give each run a manifest of its own"
    with ManifestFile(path) as manifest:
        for data in (b"1", b"2"):
            manifest.add(_row("a", data))
            with pytest.raises(BlockingIOError, match=said):
                ManifestFile(path)
        manifest.finish()  # another file has the name now
        with pytest.raises(BlockingIOError, match=said):
            ManifestFile(path)
        manifest.add(_row("b"))
    with ManifestFile(path) as other:
        other.add(_row("c"))
        other.finish()
    assert list(read_manifest(path)) == [_row("a", b"2"), _row("b"), _row("c")]
    assert list(tmp_path.iterdir()) == [path]


def test_rows_of_other_inputs_can_be_left_out_in_the_end(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    write_manifest(path, [_row("a"), _row("b"), _row("c")])
    with ManifestFile(path) as manifest:
        manifest.finish(["c", "b", "a"])
        assert list(read_manifest(path)) == [_row("a"), _row("b"), _row("c")]
        manifest.finish(["a", "c", "d"])
        assert manifest.get("b") is None
        manifest.add(_row("d"))
        manifest.finish()
    assert list(read_manifest(path)) == [_row("a"), _row("c"), _row("d")]


def test_what_is_no_manifest_stays_free(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text("nonsense\n")
    with pytest.raises(ValueError, match="line 1") as kept:
        ManifestFile(path)
    path.write_text("")
    ManifestFile(path).add(_row("a"))
    assert kept.value.__traceback__ is not None, "which knows the first one until here"


def test_rows_of_a_process_that_was_forked(tmp_path: Path) -> None:
    script = """
        import os
        from pathlib import Path
        from npp.batch import FileResult, ManifestFile, ManifestRow
        manifest = ManifestFile(Path("m.jsonl"))
        child = os.fork()
        name = "parent" if child else "child"
        manifest.add(ManifestRow.of(name, name, FileResult(b"data")))
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        try:
            ManifestFile(Path("m.jsonl"))
        except BlockingIOError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "another run writes m.jsonl; give each run a manifest of its own\n", done.stderr
    assert sorted(row.input for row in read_manifest(tmp_path / "m.jsonl")) == ["child", "parent"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError])
def test_a_manifest_that_is_written_anew_stays_until_the_new_one_is_whole(
    stop: type[BaseException], tmp_path: Path
) -> None:
    def rows(count: int) -> Iterator[ManifestRow]:
        for number in range(count):
            yield _row(f"{number}")
        raise stop

    path = tmp_path / "m.jsonl"
    for count in (1, 10_000):  # less and more than a buffer holds
        with pytest.raises(stop):
            write_manifest(path, rows(count))
        assert list(tmp_path.iterdir()) == []
    write_manifest(path, [_row("a")])
    before = path.read_bytes()
    for count in (1, 10_000):
        with pytest.raises(stop):
            write_manifest(path, rows(count))
        assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == before


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"input": 5}, "needs the field input"),
        ({"output": 5}, "output must be text or null, not 5"),
        ({"output": 5, "error": "x"}, "output must be text or null, not 5"),
        ({"output": None}, "needs output, bytes and checksum, or an error"),
        ({"output": None, "error": ["x"]}, r"error must be text or null, not \['x'\]"),
        ({"error": "x"}, "has output or error, not both: 'a.bpg'"),
        ({"bytes": True}, "bytes must be a whole number or null, not True"),
        ({"bytes": 1.5}, "bytes must be a whole number or null, not 1.5"),
        ({"bytes": None}, "needs output, bytes and checksum, or an error"),
        ({"bpp": "1"}, "bpp must be a number or null, not '1'"),
        ({"qp": False}, "qp must be a whole number or null, not False"),
        ({"qp": 30.5}, "qp must be a whole number or null, not 30.5"),
        ({"checksum": 0}, "checksum must be text or null, not 0"),
        ({"checksum": None}, "needs output, bytes and checksum, or an error"),
    ],
)
def test_fields_of_another_type_are_no_row(fields: dict[str, Any], said: str) -> None:
    whole = json.loads(_row("a").as_json())
    assert ManifestRow.from_json({**whole, "more": 1}) == _row("a")
    assert ManifestRow.from_json({**whole, "bpp": 1, "qp": None}).bpp == 1
    with pytest.raises(ValueError, match=said):
        ManifestRow.from_json({**whole, **fields})


_DEEP = f'{{"input": "a", "more": {"[" * 10**5}'


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        "{}",
        '{"input": 3}',
        '{"input": "a", "output": "a.bpg"}',
        '{"input": "a", "output": 5, "error": "x"}',
        _DEEP,
    ],
    ids=lambda line: line[:40],
)
def test_what_is_no_manifest(line: str, tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(f"{_row('a').as_json()}\n{line}\n")
    with pytest.raises(ValueError, match=r"m\.jsonl, line 2: "):
        list(read_manifest(path))
    with pytest.raises(ValueError, match=r"m\.jsonl, line 2: "):
        ManifestFile(path)


def test_outputs_are_named_relative_to_the_manifest(tmp_path: Path) -> None:
    assert name_in_manifest(tmp_path / "out" / "a.bpg", tmp_path) == "out/a.bpg"
    assert name_in_manifest(tmp_path / "a.bpg", tmp_path / "out") == (tmp_path / "a.bpg").as_posix()
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "deep")
    assert name_in_manifest(tmp_path / "link" / ".." / "a.bpg", tmp_path) == "real/a.bpg"
    assert name_in_manifest(tmp_path / "real" / "a.bpg", tmp_path / "link" / "..") == "a.bpg"
    assert name_in_manifest(tmp_path / "link" / "a.bpg", tmp_path) == "link/a.bpg"


def test_verifying(tmp_path: Path, photo: np.ndarray) -> None:
    file = npp.encode(photo, 40, effort=0)
    row = ManifestRow.of("a", "a.bpg", FileResult(file))
    assert "No such file" in (verify_row(row, tmp_path) or "")
    (tmp_path / "a.bpg").write_bytes(file)
    assert verify_row(row, tmp_path) is None
    (tmp_path / "a.bpg").write_bytes(file[:-1])
    assert verify_row(row, tmp_path) == f"has {len(file) - 1} bytes, not {len(file)}"
    (tmp_path / "a.bpg").write_bytes(file + b"x")
    assert verify_row(row, tmp_path) == f"has {len(file) + 1} bytes, not {len(file)}"
    (tmp_path / "a.bpg").write_bytes(file[:-1] + bytes([file[-1] ^ 1]))
    assert verify_row(row, tmp_path) == "has another checksum"
    for name in ("a\0b", "\ud800"):  # no file is called so
        assert verify_row(ManifestRow(name, name, len(file), checksum=row.checksum), tmp_path) is not None
    damaged = file[:20]
    (tmp_path / "a.bpg").write_bytes(damaged)
    row = ManifestRow.of("a", "a.bpg", FileResult(damaged))
    assert (verify_row(row, tmp_path) or "").startswith("does not decode: ")
    assert verify_row(row, tmp_path, pixels=False) is None
    assert verify_row(ManifestRow("b", None, error="no picture"), tmp_path) is None


def test_a_closed_manifest_is_left_alone(tmp_path: Path) -> None:
    """It may be another run's by now."""
    path = tmp_path / "m.jsonl"
    rows = [ManifestRow(name, None, error="e") for name in "xyz"]
    with ManifestFile(path) as first:
        first.add(rows[0])
        first.add(rows[0])
    with ManifestFile(path) as second:
        second.add(rows[1])
        for change in (lambda: first.add(rows[2]), first.finish):
            with pytest.raises(ValueError, match=r"m\.jsonl is closed"):
                change()
    assert [row.input for row in read_manifest(path)] == ["x", "y"]
