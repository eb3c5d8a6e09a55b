"""What becomes of a table's columns on the way through Ray; needs pyarrow, but no cluster."""

from __future__ import annotations

import datetime
import io
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from npp.batch import FileResult, ManifestRow
from npp.integrations.ray.ray_columns import (
    DEFAULT_PICTURE,
    EARLIER_RESULT,
    INPUT,
    KEY,
    MORE,
    PATH,
    TARGET,
    Columns,
    as_text,
    from_text,
    name_at,
    names_in,
)
from npp.integrations.ray.ray_listings import listings_of
from npp.integrations.ray.ray_owners import register
from npp.integrations.ray.ray_rows import JOURNALS, RowReport, rows_in, rows_table
from npp.integrations.ray.ray_sinks import FileSink, PartSink, Sink, TarSink
from npp.integrations.ray.ray_sources import (
    check_columns,
    check_names,
    find_pictures,
    members_type,
    pictures_table,
    with_input,
    with_target,
)
from npp.integrations.ray.ray_storage import read_anything, storage_of
from npp.integrations.ray.ray_tars import read_samples

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")

_BATCH = "0" * 20
_ROW = {"id": ["a.png", "b.png"], "image": [b"A", b"B"]}
# Names that npp's own columns have or had.
_LABELS = ["target", "there", "key", "more", "path", "cls"]
_RESULTS = ["bpg", "input", "bytes", "bpp", "qp", "checksum", "error"]


def _named(table: Any, format_: str | None = "files", **given: str) -> Any:
    columns = {"key": "id", "picture": "image", "result": "bpg", **given}
    return with_input(table, Columns(format=format_, **columns))


def _take(sink: Sink, table: Any) -> list[ManifestRow]:
    results = [FileResult(b"file", {"bpp": 1.0, "qp": 30})] * (len(table) - 1)
    return sink.take(_BATCH, table, [*results, FileResult.failed("no picture")])


def _part(out: Path) -> Any:
    return parquet.read_table(next(out.glob("part-*.parquet")))


def test_all_other_columns_stay(tmp_path: Path) -> None:
    own = {name: [f"{name} 1", f"{name} 2"] for name in _LABELS}
    _take(PartSink(storage_of(tmp_path), "image", "bpg"), _named(pa.table({**_ROW, **own}), "parquet"))
    found = _part(tmp_path)
    assert found.column_names == ["id", *_LABELS, *_RESULTS]
    assert {name: found[name].to_pylist() for name in _LABELS} == own
    assert found["input"].to_pylist() == found["id"].to_pylist() == ["a.png", "b.png"]
    assert found["error"].to_pylist() == [None, "no picture"] and found["bytes"].to_pylist() == [4, None]


@pytest.mark.parametrize("name", ["target", "there", "input", "key", "more", "path", "error"])
@pytest.mark.parametrize("values", [["cat", "cat"], [0, 1], ["../../esc", "/esc"]])
def test_files_are_named_by_the_key_alone(tmp_path: Path, name: str, values: list[Any]) -> None:
    table = with_target(_named(pa.table({**_ROW, name: values})), ".bpg")
    rows = _take(FileSink(storage_of(tmp_path / "deep" / "out"), "error", f"{JOURNALS}/run"), table)
    assert [(row.input, row.output, row.error) for row in rows] == [
        ("a.png", "a.bpg", None),
        ("b.png", None, "no picture"),
    ]
    assert [path.name for path in tmp_path.rglob("*.bpg")] == ["a.bpg"]


def test_a_target_lies_below_the_results() -> None:
    table = pa.table({"id": ["../../esc.png", "/root/a.b.jpg", "s3://bucket/x.png"]})
    found = with_target(_named(table, picture="bytes"), ".bpg")
    assert names_in(found, TARGET) == ["esc.bpg", "root/a.b.bpg", "bucket/x.bpg"]


@pytest.mark.parametrize(
    ("format_", "refused"),
    [
        ("files", []),
        ("webdataset", ["bpg", "npp.json", "columns.json"]),
        ("parquet", _RESULTS),
        (None, _RESULTS),
    ],
)
def test_a_column_is_not_lost_for_one_of_npps(format_: str | None, refused: list[str]) -> None:
    for name in (*_RESULTS, "npp.json", "columns.json", "label"):
        table = pa.table({**_ROW, name: ["x", "y"]})
        if name not in refused:
            assert names_in(_named(table, format_), INPUT) == ["a.png", "b.png"]
            continue
        with pytest.raises(ValueError, match=rf"the column '{name}' has the name .*rename it.*'my_{name}'"):
            _named(table, format_)
    with pytest.raises(ValueError, match="the column '__npp_target' has the name of one that npp writes"):
        _named(pa.table({**_ROW, TARGET: ["x", "y"]}), format_)
    with pytest.raises(ValueError, match=r"key must be a column of the data set \(id, image\), not 'path'"):
        _named(pa.table(_ROW), format_, key="path")
    # The pictures may be in such a column, as they are by default, and their names in another.
    table = pa.table({"input": ["a"], "bytes": [b"A"]})
    assert names_in(_named(table, format_, key="input", picture="bytes"), INPUT) == ["a"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", None, "c", None], r"key 'id' is null in a row \(after 'a'\); each needs a name"),
        ([None, 2], r"key 'id' is null in a row \(the first of those read together\)"),
        ([[1], [2]], r"key 'id' must be a column of text or numbers, not list<.*>"),
        ([b"\xff", b"b"], r"key 'id' must be a column of text or numbers, not binary"),
    ],
)
def test_a_row_without_a_name_is_refused(names: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _named(pa.table({"id": names}), picture="bytes")
    assert names_in(_named(pa.table({"id": [7, 8]}), picture="bytes"), INPUT) == ["7", "8"]


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("names", [["a", "b", None], [1, None, None], [None, "b"]])
def test_a_file_with_a_row_without_a_name_is_refused(
    tmp_path: Path, names: list[Any], statistics: bool
) -> None:
    """Wherever it stands, and whether or not the file says at its end that there is such a row."""
    columns = Columns("id", "image", "bpg", "parquet")
    path = str(tmp_path / "rows.parquet")

    def write(of: list[Any]) -> None:
        beside = [{"id": "nested"}] * len(of)
        table = pa.table({"box": beside, "image": [b"x"] * len(of), "id": of})
        parquet.write_table(table, path, row_group_size=1, write_statistics=statistics)

    write(names)
    with pytest.raises(ValueError, match=r"^key 'id' is null in a row"):
        check_names(path, None, columns)
    write([name for name in names if name is not None])
    check_names(path, None, columns)
    check_names(path, None, Columns("path", "image", "bpg", "parquet"))  # which other checks refuse


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"key": "name"}, r"key must be a column of the data set \(id, image, box\), not 'name'"),
        ({"key": "box"}, r"key 'box' must be a column of text or numbers, not list<.*>"),
        ({"picture": "imgae"}, r"column must be a column of the data set \(id, image, box\), not 'imgae'"),
    ],
)
def test_wrong_columns_are_refused_before_there_is_a_row(given: dict[str, str], message: str) -> None:
    table = pa.table({**_ROW, "box": [[1], [2]]})
    columns = Columns(**{"key": "id", "picture": "image", "result": "bpg", "format": "files", **given})
    with pytest.raises(ValueError, match=message):
        check_columns(table.schema.names, table.schema.types, columns)
    with pytest.raises(ValueError, match=message):
        with_input(table, columns)
    for picture in ("image", DEFAULT_PICTURE):  # without the latter names are paths
        check_columns(table.schema.names, table.schema.types, Columns("id", picture, "bpg", "files"))
    check_columns(["id"], [object], Columns("id", DEFAULT_PICTURE, "bpg", "files"))  # pandas' type


_LATIN = os.fsdecode(b"photos/caf\xe9.png")  # a name that is no UTF-8, as old archives have them


@pytest.mark.parametrize("name", [_LATIN, r"a\xe9", r"a\x5cxe9", r"a\x41", "caf\xe9", "\\", _LATIN + r"\x5c"])
def test_names_of_all_bytes_are_text_and_found_again(name: str) -> None:
    assert from_text(as_text(name)) == name
    as_text(name).encode()
    row = ManifestRow(name, name, 4, 0.5, 30, "0" * 64)
    told = [RowReport(name, row, False), RowReport(name, row, True), RowReport(name, None, True)]
    assert list(rows_in(rows_table([row], [row], [name]))) == told
    assert list(rows_in(rows_table([]))) == list(rows_in(pa.table({}))) == []


def test_a_name_that_is_no_utf_8_is_one_of_many(tmp_path: Path) -> None:
    """It does not end the run, and a file, a part or a tar is written for it as for others."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in (b"caf\xe9.png", b"ok.png"):
        (photos / os.fsdecode(name)).write_bytes(name)
    pictures = find_pictures(listings_of([str(photos)], recursive=True), {".png"}, ".bpg")
    table = pictures_table(pictures, {"ok.bpg"}, storage_of(tmp_path))
    assert [name_at(table, EARLIER_RESULT, place) for place in (0, 1)] == [None, f"{tmp_path}/ok.bpg"]
    assert [read_anything(name) for name in names_in(table, PATH)] == [b"caf\xe9.png", b"ok.png"]
    inputs = [one.input for one in pictures]
    results = [FileResult(b"1"), FileResult.failed(f"{inputs[0]} is no picture")]

    rows = FileSink(storage_of(tmp_path / "files"), "error", f"{JOURNALS}/run").take(_BATCH, table, results)
    assert (tmp_path / "files" / os.fsdecode(b"caf\xe9.bpg")).read_bytes() == b"1"
    assert list(rows_in(rows_table(rows))) == [RowReport(row.input, row, False) for row in rows]
    assert [row.input for row in rows] == inputs
    for kind in (PartSink, TarSink):
        sink = kind(storage_of(tmp_path / "parts"), "", "bpg")
        assert [row.input for row in sink.take(_BATCH, table, results)] == inputs
        assert set(sink.earlier(_BATCH, table)) == set(inputs)
    found = _part(tmp_path / "parts").to_pylist()
    assert found[0]["input"] == as_text(inputs[0]) == rf"{photos}/caf\xe9.png"
    assert found[1]["error"] == rf"{photos}/caf\xe9.png is no picture"
    assert next(iter(_members(next((tmp_path / "parts").glob("*.tar"))))) == os.fsdecode(b"caf\xe9.bpg")


def test_npps_own_tables_are_read_again(tmp_path: Path) -> None:
    """The results of the first time make room for those of the second; labels stay."""
    encoded, decoded = tmp_path / "encoded", tmp_path / "decoded"
    table = pa.table({**_ROW, "label": [3, 4]})
    _take(PartSink(storage_of(encoded), "image", "bpg"), _named(table, "parquet"))
    for key in ("id", "path"):  # the default is not among the columns
        own = _named(_part(encoded), "parquet", key=key, picture="bpg", result="png")
        assert names_in(own, INPUT) == ["a.png", "b.png"]
        _take(PartSink(storage_of(decoded), "bpg", "png"), own)
        assert _part(decoded).column_names == ["id", "label", "png", *_RESULTS[1:]]


def _members(tar_file: Path) -> dict[str, bytes]:
    with tarfile.open(tar_file) as tar:
        return {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]


def test_other_columns_are_members_of_tars(tmp_path: Path) -> None:
    columns = {
        "cls": [5, None],
        "caption.txt": ["caf\xe9", "b"],
        "flag": [True, False],
        "weight": [0.25, 1e300],
        "mask.png": [b"\0mask", b""],
        "key": ["k", "l"],
        "box": [[1, 2], None],
        "seen": [datetime.date(2020, 1, 2), None],
        "deep/er": ["x", None],
        "bits": [{"raw": b"\xff", "n": 1}, None],
    }
    table = _named(pa.table({**_ROW, **columns}), "webdataset")
    _take(TarSink(storage_of(tmp_path), "image", "bpg"), table)
    found = _members(next(tmp_path.glob("part-*.tar")))
    assert json.loads(found.pop("a.columns.json")) == {
        "box": [1, 2],
        "seen": "2020-01-02",
        "deep/er": "x",
        "bits": {"raw": "/w==", "n": 1},
    }
    facts = [json.loads(found.pop(f"{name}.npp.json")) for name in "ab"]
    assert [row["input"] for row in facts] == ["a.png", "b.png"]
    assert found == {
        "a.id": b"a.png",
        "a.cls": b"5",
        "a.caption.txt": "caf\xe9".encode(),
        "a.flag": b"true",
        "a.weight": b"0.25",
        "a.mask.png": b"\0mask",
        "a.key": b"k",
        "a.bpg": b"file",
        "b.id": b"b.png",
        "b.caption.txt": b"b",
        "b.flag": b"false",
        "b.weight": b"1e+300",
        "b.mask.png": b"",
        "b.key": b"l",
    }


def test_samples_of_tars_stay_what_they_are_in_tables(tmp_path: Path) -> None:
    others = [[{"name": "cls", "data": b"0"}], []]
    samples = pa.table(
        {INPUT: ["/a.tar/d/1.png", "/a.tar/d/2.png"], KEY: ["d/1", "d/2"], "bytes": [b"A", b"B"]}
    ).append_column(MORE, pa.array(others, members_type()))
    _take(PartSink(storage_of(tmp_path), "bytes", "bpg"), samples)
    found = _part(tmp_path)
    assert found.column_names == ["key", "more", *_RESULTS] and found["more"].to_pylist() == others
    again = _named(found, "webdataset", key="path", picture="bpg", result="png")
    assert names_in(again, INPUT) == ["/a.tar/d/1.png", "/a.tar/d/2.png"]
    _take(TarSink(storage_of(tmp_path), "bpg", "png"), again)
    assert list(_members(next(tmp_path.glob("part-*.tar")))) == [
        "d/1.png",
        "d/1.cls",
        "d/1.npp.json",
        "d/2.npp.json",
    ]


def test_names_of_npps_own_tables_are_read_as_they_were() -> None:
    text = pa.table({**{name: ["x"] for name in _RESULTS}, "input": [as_text(_LATIN)], "bpg": [b""]})
    own = with_input(text, Columns("path", "bpg", "png", "parquet"))
    assert names_in(own, INPUT) == [_LATIN]


def test_a_result_stands_before_columns_that_end_like_it(tmp_path: Path) -> None:
    """And before the results of an earlier run; what a tar says about itself is under one name only."""
    columns = {"x.bpg": [b"mine"], "meta.npp.json": ["{"]}
    table = pa.table({INPUT: ["a.png"], "bytes": [b""], **columns, MORE: [[{"name": "bpg", "data": b"old"}]]})
    sink = TarSink(storage_of(tmp_path), "bytes", "bpg")
    cases = ((FileResult(b"new"), b"new"), (FileResult.failed("no"), b"mine"))
    for place, (result, read) in enumerate(cases):
        rows = sink.take(str(place) * 20, table, [result])
        part = tmp_path / f"part-{str(place) * 20}.tar"
        assert sink.rows_in(part.name) == [replace(rows[0], output=rows[0].output and part.name)]
        assert [one.data for one in read_samples(io.BytesIO(part.read_bytes()), {".bpg"})] == [read]


@pytest.mark.parametrize("name", ["n" * 300, "a\0b"])
@pytest.mark.parametrize("existing", ["skip", "error"])
def test_a_name_that_no_file_can_have_is_a_row(tmp_path: Path, name: str, existing: Any) -> None:
    storage = storage_of(tmp_path)
    assert storage.size(name) is None
    table = pa.table({INPUT: [name, "b"], TARGET: [f"{name}.bpg", "b.bpg"]})
    sink = FileSink(storage, existing, f"{JOURNALS}/run", register()({}))
    assert sink.left_alone("0" * 20, table) == {}
    rows = sink.take("0" * 20, table, [FileResult(b"1"), FileResult(b"2")])
    assert [row.output for row in rows] == [None, "b.bpg"] and rows[0].error
