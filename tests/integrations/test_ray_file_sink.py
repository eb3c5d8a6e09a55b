"""A file for each photo: what exists stays, and no two rows share a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ray_pictures import png_bytes

from npp.batch import BatchDecoder, BatchEncoder, FileResult, ManifestRow, read_manifest
from npp.integrations.ray.ray_columns import EARLIER_RESULT, INPUT, TARGET
from npp.integrations.ray.ray_counting import count_rows
from npp.integrations.ray.ray_journal import RunRecord
from npp.integrations.ray.ray_owners import register
from npp.integrations.ray.ray_rows import JOURNALS, rows_table
from npp.integrations.ray.ray_run_types import RaySummary
from npp.integrations.ray.ray_sinks import (
    Existing,
    FileSink,
    batch_name,
)
from npp.integrations.ray.ray_storage import storage_of
from npp.integrations.ray.ray_workers import result_of


def test_file_written_by_another_run_meanwhile_is_kept_with_its_own_row(tmp_path: Path) -> None:
    """It is another run's, and left alone."""
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    table = pa.table({INPUT: ["x"], TARGET: ["x.bpg"]})
    storage = storage_of(tmp_path)
    sink = FileSink(storage, "skip", f"{JOURNALS}/run")
    file = BatchEncoder(40, effort=0).one(png_bytes(np.zeros((8, 8, 3), np.uint8)))
    for data, bpp in ((file.file or b"", file.values["bpp"]), (b"BPG\xfb", None)):
        storage.write("x.bpg", data, replace=True)
        (row,) = sink.take("batch", table, [FileResult(b"other", {"bpp": 1.0, "qp": 30})])
        assert (row.bpp, row.qp, row.output) == (bpp, None, bpp and "x.bpg")
        assert storage.read("x.bpg") == data


def test_repeated_batch_finds_the_files_it_has_written(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.table(
        {INPUT: ["x", "y"], TARGET: ["x.bpg", "y.bpg"], EARLIER_RESULT: pa.nulls(2, pa.string())}
    )
    storage = storage_of(tmp_path)
    sink = FileSink(storage, "error", f"{JOURNALS}/run")
    results = [FileResult(b"1"), FileResult.failed("no picture")]
    rows = sink.take("batch", table, results)
    assert [row.output for row in rows] == ["x.bpg", None]
    assert set(sink.earlier("batch", table)) == {"x"}
    assert sink.earlier("other", table) == {}
    storage.write("x.bpg", b"22", replace=True)
    assert sink.earlier("batch", table) == {}
    (again, _) = sink.take("batch", table, results)
    assert again.output is None and again.error == "x.bpg exists"


@pytest.mark.parametrize("existing", ["error", "replace", "skip"])
@pytest.mark.parametrize("batch", [1, 2, 4])
def test_two_rows_do_not_share_a_file(tmp_path: Path, existing: Existing, batch: int) -> None:
    """Neither in one batch nor in two, and a batch that is done again has what it had."""
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    inputs = ["cat.jpg", "cat.png", "dog.jpg", "cat.jpg"]
    table = pa.table({INPUT: inputs, TARGET: ["cat.bpg", "cat.bpg", "dog.bpg", "cat.bpg"]})
    results = [
        BatchEncoder(qp, effort=0).one(png_bytes(np.zeros((8, 8, 3), np.uint8))) for qp in (10, 20, 30, 40)
    ]
    manifest = tmp_path / "m.jsonl"
    with RunRecord(storage_of(tmp_path), manifest, existing) as record:
        sink = FileSink(
            storage_of(tmp_path), existing, record.journals, register()(record.owners(record.resume()))
        )
        for _attempt in range(2):
            rows = []
            for start in range(0, len(inputs), batch):
                some = table.slice(start, batch)
                name = batch_name(inputs[start : start + batch])
                known = {**sink.earlier(name, some), **sink.left_alone(name, some)}
                left = [at for at, one in enumerate(some[INPUT].to_pylist()) if one not in known]
                made = left and sink.take(name, some.take(left), [results[start + at] for at in left])
                rows += [*known.values(), *made]
            assert {row.output for row in rows if row.input != "cat.png"} >= {"cat.bpg", "dog.bpg"}
            (refused,) = (row for row in rows if row.input == "cat.png")
            assert refused.error == "cat.bpg is what cat.jpg becomes, too: give rows other names"
        record.conclude([])
    assert (tmp_path / "cat.bpg").read_bytes() == results[0].file
    assert [(row.input, row.output, row.checksum) for row in read_manifest(manifest)] == [
        ("cat.jpg", "cat.bpg", results[0].checksum),
        ("cat.png", None, None),
        ("dog.jpg", "dog.bpg", results[2].checksum),
    ]


def test_file_of_an_earlier_run_belongs_to_the_input_in_the_manifest(tmp_path: Path) -> None:
    """The manifest says whose it is, whichever row comes first this time."""
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    storage, manifest = storage_of(tmp_path / "out"), tmp_path / "m.jsonl"
    table = pa.table({INPUT: ["cat.png", "cat.jpg"], TARGET: ["cat.bpg", "cat.bpg"]})
    storage.write("cat.bpg", b"jpg", replace=False)
    row = ManifestRow.of("cat.jpg", "out/cat.bpg", FileResult(b"jpg", {"bpp": 1.0}))
    elsewhere = ManifestRow.of("x", "/elsewhere/x.bpg", FileResult(b"x"))
    manifest.write_text(f"{row.as_json()}\n{elsewhere.as_json()}\n")
    with RunRecord(storage, manifest, "skip") as record:
        assert record.owners({}) == {"cat.bpg": "cat.jpg"}
        sink = FileSink(storage, "skip", record.journals, register()(record.owners(record.resume())))
        assert set(sink.left_alone("0" * 20, table)) == {"cat.jpg"}


_NO_BPG = "not a BPG file: it does not start with the bytes 42 50 47 FB"


@pytest.mark.parametrize("known", [True, False])
def test_skipped_files_get_rows_and_count_as_skipped(tmp_path: Path, known: bool) -> None:
    """Their rows are fuller where the manifest has some already."""
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    storage, manifest = storage_of(tmp_path), tmp_path / "m.jsonl"
    file = BatchEncoder(40, effort=0).one(png_bytes(np.zeros((8, 8, 3), np.uint8)))
    assert file.file is not None
    inputs = ["a", "b", "bad", "new", "a"]
    table = pa.table({INPUT: inputs, TARGET: [f"{name}.bpg" for name in inputs]})
    for name, data in (("a", file.file), ("b", b"png"), ("bad", file.file[:-1])):
        storage.write(f"{name}.bpg", data, replace=False)
    before = ManifestRow.of("a", "a.bpg", file)
    if known:
        failed = ManifestRow("bad", None, error="what was wrong the last time")
        manifest.write_text(f"{before.as_json()}\n{failed.as_json()}\n")
    with RunRecord(storage, manifest, "skip") as record:
        sink = FileSink(storage, "skip", record.journals, register()(record.owners(record.resume())))
        for _attempt in range(2):  # a batch that is done again says the same
            left_alone = sink.left_alone("0" * 20, table)
            assert list(left_alone) == ["a", "b", "bad"] and sink.earlier("0" * 20, table) == {}
        written = sink.take("0" * 20, table.slice(3, 1), [file])
        summary = RaySummary()
        rows = [left_alone[name] for name in inputs if name in left_alone]
        count_rows([rows_table(written, rows)], summary, None)
        record.conclude([])
    assert (summary.written, summary.skipped, summary.failed) == (1, 1, 3)
    rows = list(read_manifest(manifest))
    assert [row.input for row in rows] == ["a", "b", "bad", "new"]
    assert rows[0] == (before if known else replace(before, qp=None))
    assert (rows[1].output, rows[1].error) == (None, f"b.bpg was there before, and: {_NO_BPG}")
    assert rows[2].error is not None and rows[2].error.startswith("bad.bpg was there before, and: truncated")
    assert (tmp_path / "b.bpg").read_bytes() == b"png", "it stays what it is"


def test_existing_decoded_picture_is_a_result_without_an_error(photo: np.ndarray) -> None:
    """It is no BPG file, of which more is known."""
    data = png_bytes(photo)
    assert result_of(BatchDecoder(), data, earlier_result="out/a.png", qp=None) == FileResult(data)


@pytest.mark.parametrize("data", [b"", b"no picture"])
def test_existing_file_that_is_no_bpg_fails_as_a_result(data: bytes) -> None:
    wanted = FileResult.failed(f"out/a.bpg was there before, and: {_NO_BPG}")
    assert result_of(BatchEncoder(40), data, earlier_result="out/a.bpg", qp=None) == wanted
