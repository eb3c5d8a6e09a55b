"""Journals and manifests of Ray runs: resuming, runs at the same time, and damaged files."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from npp.batch import FileResult, ManifestFile, ManifestRow, read_manifest
from npp.integrations.ray.ray_columns import INPUT
from npp.integrations.ray.ray_journal import RunRecord
from npp.integrations.ray.ray_rows import JOURNALS
from npp.integrations.ray.ray_run_folders import run_name
from npp.integrations.ray.ray_sinks import (
    Existing,
    FileSink,
)
from npp.integrations.ray.ray_sources import (
    Picture,
)
from npp.integrations.ray.ray_storage import Storage, storage_of


def _made(out: Path, name: str, data: bytes) -> ManifestRow:
    return ManifestRow.of(f"in/{name}.png", f"{name}.bpg", FileResult(data, {"qp": 30, "bpp": 0.5}))


def test_resumed_run_trusts_journals_only_for_files_that_exist(tmp_path: Path) -> None:
    pictures = [Picture(f"/in/{name}.png", f"in/{name}.png", f"{name}.bpg") for name in "abcd"]
    storage = storage_of(tmp_path / "out")
    rows = [_made(tmp_path, name, name.encode()) for name in "abc"]
    lines = "".join(f"{row.as_json()}\n" for row in rows)
    manifest = tmp_path / "m.jsonl"
    storage.write(f"{JOURNALS}/{run_name(manifest)}/0.jsonl", lines.encode(), replace=True)
    storage.write("a.bpg", b"a", replace=False)  # b is not there, c is somebody else's, d has no row
    storage.write("c.bpg", b"other", replace=False)
    storage.write("d.bpg", b"d", replace=False)
    with pytest.raises(FileExistsError, match=r"out/\.npp-ray/.*/0\.jsonl exists: 'skip' goes on"):
        RunRecord(storage, manifest, "error")
    record = RunRecord(storage, manifest, "skip")
    plan = record.plan(pictures)
    assert [one.target for one in plan.pictures] == ["b.bpg", "c.bpg", "d.bpg"] and plan.skipped == 1
    assert plan.unrecorded == {"c.bpg", "d.bpg"}
    record.conclude([])
    assert [row.input for row in read_manifest(manifest)] == ["in/a.png"]
    assert next(iter(read_manifest(manifest))).output == "out/a.bpg"
    assert not (tmp_path / "out" / JOURNALS).exists()


def _journal(storage: Storage, record: RunRecord, name: str) -> None:
    """What a batch of a run leaves."""
    row = ManifestRow.of(f"in/{name}.png", f"{name}.bpg", FileResult(name.encode(), {"qp": 30, "bpp": 0.5}))
    storage.write(f"{record.journals}/{name}.jsonl", f"{row.as_json()}\n".encode(), replace=True)
    storage.write(f"{name}.bpg", name.encode(), replace=True)


@pytest.mark.parametrize("existing", ["error", "skip", "replace"])
@pytest.mark.parametrize("with_manifests", [True, False])
def test_runs_at_the_same_time_keep_their_journals(
    tmp_path: Path, existing: Existing, with_manifests: bool
) -> None:
    """A run that begins and ends while another one writes into the same folder takes nothing from it."""
    storage = storage_of(tmp_path / "out")
    first, second = ((tmp_path / f"{name}.jsonl") if with_manifests else None for name in "ab")
    with RunRecord(storage, first, "error") as long:
        _journal(storage, long, "a")
        with RunRecord(storage, second, existing) as short:
            assert short.resume() == {}
            _journal(storage, short, "b")
            short.conclude([])
        assert storage.hidden(long.journals) == [f"{long.journals}/a.jsonl"]
        long.conclude([])
    assert not (tmp_path / "out" / JOURNALS).exists()
    if first is not None and second is not None:
        for manifest, name in ((first, "a"), (second, "b")):
            assert [row.input for row in read_manifest(manifest)] == [f"in/{name}.png"]


@pytest.mark.parametrize("existing", ["error", "skip", "replace"])
def test_journals_of_stopped_runs_are_taken_over_once(tmp_path: Path, existing: Existing) -> None:
    """Of a run with the same manifest, with another one and with none; each once."""
    storage, manifest = storage_of(tmp_path / "out"), tmp_path / "m.jsonl"
    with ExitStack() as stopped:
        for name, its in (("a", manifest), ("b", tmp_path / "other.jsonl"), ("c", None)):
            _journal(storage, stopped.enter_context(RunRecord(storage, its, "error")), name)
    (tmp_path / "out" / JOURNALS / "1.lock").touch()  # of one that was killed before its first batch
    if existing == "error":
        with pytest.raises(FileExistsError, match="'skip' goes on"):
            RunRecord(storage, manifest, existing)
        assert len(list((tmp_path / "out" / JOURNALS).glob("*/*.jsonl"))) == 3
        return
    with RunRecord(storage, manifest, existing) as record:
        record.resume()
        with RunRecord(storage, None, "skip") as other:
            assert other.resume() == {}
        record.conclude([])
    wanted = [f"in/{name}.png" for name in "abc"] if existing == "skip" else []
    assert [row.input for row in read_manifest(manifest)] == wanted
    assert not (tmp_path / "out" / JOURNALS).exists()


def test_object_store_has_no_locks_so_a_run_resumes_only_its_own_journals(tmp_path: Path) -> None:
    """Without locks a run goes on with its own journals only."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    storage, manifest = storage_of(f"local://{tmp_path}/out"), tmp_path / "m.jsonl"
    with RunRecord(storage, manifest, "skip") as living:
        _journal(storage, living, "a")
        with RunRecord(storage, None, "replace") as other:
            other.conclude([])
        with pytest.raises(BlockingIOError):
            RunRecord(storage, manifest, "skip")
    with pytest.raises(FileExistsError, match="'skip' goes on"):
        RunRecord(storage, manifest, "error")
    with RunRecord(storage, manifest, "skip") as again:
        assert list(again.resume()) == ["in/a.png"]
        storage.delete(f"{again.journals}/there is none")
        again.conclude([])
    assert [row.output for row in read_manifest(manifest)] == [f"{storage.root}/a.bpg"]
    assert storage.hidden(again.journals) == []


@pytest.mark.parametrize("existing", ["error", "skip", "replace"])
def test_a_manifest_belongs_to_one_run_at_a_time(tmp_path: Path, existing: Existing) -> None:
    storage, manifest = storage_of(tmp_path / "out"), tmp_path / "deep" / "m.jsonl"
    said = r"another run writes .*m\.jsonl; give each run a manifest of its own"
    with RunRecord(storage, manifest, existing):
        for other in ("skip", "replace"):
            with pytest.raises(BlockingIOError, match=said):
                RunRecord(storage_of(tmp_path / "other"), manifest, other)  # type: ignore[arg-type]
        with pytest.raises(BlockingIOError, match=said):
            ManifestFile(manifest)
    assert not manifest.exists(), "a run that was not concluded leaves no manifest"
    manifest.touch()  # and one that was killed an empty one
    with RunRecord(storage, manifest, existing) as record:
        _journal(storage, record, "a")
        record.conclude([])
    with ManifestFile(manifest) as made:
        assert made.get("in/a.png") is not None
        with pytest.raises(BlockingIOError, match=said):
            RunRecord(storage, manifest, "skip")


@pytest.mark.parametrize("existing", ["skip", "replace"])
def test_a_file_that_is_no_manifest_is_not_replaced_by_one(tmp_path: Path, existing: Existing) -> None:
    foreign = tmp_path / "conf.json"
    foreign.write_text('{"important": 1}')
    storage = storage_of(tmp_path / "out")
    storage.write(f"{JOURNALS}/0/0.jsonl", b"", replace=True)
    with pytest.raises(ValueError, match=r"conf\.json, line 1"):
        RunRecord(storage, foreign, existing)
    assert foreign.read_text() == '{"important": 1}'
    assert storage.hidden(f"{JOURNALS}/0") != []


@pytest.mark.parametrize("existing", ["skip", "error"])
def test_a_damaged_journal_is_named(tmp_path: Path, existing: Existing) -> None:
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    storage, journal = storage_of(tmp_path), f"{JOURNALS}/{run_name(None)}/{'0' * 20}.jsonl"
    message = rf"^{re.escape(f'{tmp_path}/{journal}')} is damaged \(.*\): delete it, and 'skip' finds"
    for damaged in (b'{"input": "a', b"\xff\n", b'{"input": 1}\n'):
        storage.write(journal, damaged, replace=True)
        if existing == "skip":
            with RunRecord(storage, None, existing) as record, pytest.raises(ValueError, match=message):
                record.resume()
        sink = FileSink(storage, existing, journal.rpartition("/")[0])
        with pytest.raises(ValueError, match=message):
            sink.earlier("0" * 20, pa.table({INPUT: ["a"]}))


def test_row_with_another_size_does_not_record_the_file(tmp_path: Path) -> None:
    """The size tells, as in ``npp encode``: a run without a manifest has replaced the file."""
    storage, manifest = storage_of(tmp_path), tmp_path / "m.jsonl"
    pictures = [Picture(f"/{name}.png", f"{name}.png", f"{name}.bpg") for name in ("same", "other", ".a")]
    rows = [ManifestRow.of(one.input, one.target, FileResult(b"file")) for one in pictures]
    manifest.write_text("".join(f"{row.as_json()}\n" for row in rows))
    for picture, data in zip(pictures, (b"file", b"another", b"file"), strict=True):
        storage.write(picture.target, data, replace=False)
    with RunRecord(storage, manifest, "skip") as record:
        plan = record.plan(pictures)
    assert (plan.unrecorded, plan.skipped) == ({"other.bpg"}, 2), "a hidden one is there, too"
    assert [one.input for one in plan.pictures] == ["other.png"]
    with RunRecord(storage, None, "error") as record:
        assert {row.error for row in record.plan(pictures).refused} == {
            f"{one.target} exists" for one in pictures
        }
