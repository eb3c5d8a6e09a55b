"""Parts of many rows as Parquet or WebDataset: names, repeated inputs and damaged parts."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from npp.batch import FileResult
from npp.integrations.ray.ray_columns import INPUT, KEY
from npp.integrations.ray.ray_sinks import (
    PartSink,
    TarSink,
    batch_name,
    inputs_in_parts,
    parts_in,
)
from npp.integrations.ray.ray_storage import storage_of
from npp.integrations.ray.ray_tars import read_samples


def test_part_files_of_other_programs_are_not_taken_for_npps(tmp_path: Path) -> None:
    """Spark calls its parts nearly the same; what npp replaces, it deletes."""
    own = f"part-{batch_name(['a'])}.parquet"
    for name in (own, "part-00000-abc.snappy.parquet", "part-0.parquet", f"{own}.bak"):
        (tmp_path / name).write_bytes(b"x")
    assert parts_in(storage_of(tmp_path), ".parquet") == [own]


def test_parts_tell_failed_inputs_from_encoded_ones(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    sink = PartSink(storage_of(tmp_path), "bytes", "bpg")
    table = pa.table({INPUT: ["a", "b"], "bytes": [b"1", b"2"]})
    sink.take("0" * 20, table, [FileResult(b"file", {"bpp": 1.0}), FileResult.failed("no picture")])
    inputs, failed = inputs_in_parts(storage_of(tmp_path), ".parquet")
    assert inputs == {"a", "b"} and [row.input for row in failed] == ["b"]


def _names_in(part: Path) -> list[str]:
    """The inputs of a part's rows that have a file."""
    if part.suffix == ".tar":
        return [sample.path for sample in read_samples(io.BytesIO(part.read_bytes()), {".bpg"})]
    return [
        f"{row['input']}.bpg" for row in pytest.importorskip("pyarrow.parquet").read_table(part).to_pylist()
    ]


@pytest.mark.parametrize("kind", [PartSink, TarSink])
def test_repeated_inputs_are_dropped_from_parts_and_all_others_kept(
    tmp_path: Path, kind: type[PartSink]
) -> None:
    """Of rows about one input the first stays, and a part that repeats another by half keeps the rest."""
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    storage = storage_of(tmp_path)
    sink = kind(storage, "bytes", "bpg")
    for inputs in ("abc", "dcb", "efa", "ggh", "ab", "i"):
        table = pa.table({INPUT: list(inputs), "bytes": [b""] * len(inputs)})
        results = [FileResult(f"{one} of {inputs}".encode()) for one in inputs]
        sink.take(batch_name(inputs), table, results)
    assert inputs_in_parts(storage, kind.suffix) == (set("abcdefghi"), [])
    parts = parts_in(storage, kind.suffix)
    found = [name for part in parts for name in _names_in(tmp_path / part)]
    assert sorted(found) == [f"{one}.bpg" for one in "abcdefghi"]
    for part in parts:  # each is called by what it holds, as a repeated batch expects
        names = [name.removesuffix(".bpg") for name in _names_in(tmp_path / part)]
        assert part == f"part-{batch_name(names)}{kind.suffix}"
    assert inputs_in_parts(storage, kind.suffix)[0] == set("abcdefghi")
    assert parts_in(storage, kind.suffix) == parts


def test_samples_of_one_key_are_told_apart_in_a_tar(tmp_path: Path) -> None:
    """Whoever reads a tar takes members of one key for one sample."""
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    inputs = ["a.jpg", "a.png", "b.png", "a.png", "a%2Epng.png", "a"]
    table = pa.table({INPUT: inputs, "bytes": [b""] * len(inputs)})
    results = [FileResult(str(place).encode()) for place in range(len(inputs))]
    sink = TarSink(storage_of(tmp_path), "bytes", "bpg")
    sink.take("0" * 20, table, results)
    (part,) = parts_in(storage_of(tmp_path), ".tar")
    samples = list(read_samples(io.BytesIO((tmp_path / part).read_bytes()), {".bpg"}))
    assert [sample.data for sample in samples] == [result.file for result in results]
    assert [sample.path for sample in samples] == [
        "a.bpg",
        "a.png.bpg",
        "b.bpg",
        "a.png.2.bpg",
        "a%2Epng.bpg",
        "a.2.bpg",
    ]
    assert [row.input for row in sink.rows_in(part)] == inputs
    own_keys = pa.table({INPUT: ["1.tar/a.jpg", "2.tar/a.jpg"], KEY: ["a", "a"], "bytes": [b"", b""]})
    sink.take("1" * 20, own_keys, results[:2])
    (_, part) = parts_in(storage_of(tmp_path), ".tar")
    samples = list(read_samples(io.BytesIO((tmp_path / part).read_bytes()), {".bpg"}))
    assert [sample.path for sample in samples] == ["a.bpg", "a.jpg.bpg"]


@pytest.mark.parametrize("kind", [PartSink, TarSink])
@pytest.mark.parametrize("keep", [0, 0.5])
def test_a_damaged_part_is_named(tmp_path: Path, kind: type[PartSink], keep: float) -> None:
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    storage = storage_of(tmp_path)
    sink = kind(storage, "bytes", "bpg")
    sink.take("0" * 20, pa.table({INPUT: ["a"], "bytes": [b""]}), [FileResult(b"file" * 1000)])
    part = tmp_path / f"part-{'0' * 20}{kind.suffix}"
    data = part.read_bytes()
    part.write_bytes(data[: int(keep * len(data))])
    message = rf"^{re.escape(str(part))} is damaged \(.*\): delete it, and 'skip' makes its rows again$"
    with pytest.raises(ValueError, match=message):
        inputs_in_parts(storage, kind.suffix)
    storage.delete(part.name)
    assert inputs_in_parts(storage, kind.suffix) == (set(), [])


def test_batch_names_differ_where_inputs_differ() -> None:
    """Names may hold any sign, also what could stand between two."""
    batches = [["a\nb"], ["a", "b"], ["a\0b"], ["a", "", "b"], ["ab"], ["a1:b"], ["b", "a"], []]
    assert len({batch_name(one) for one in batches}) == len(batches)
    assert batch_name(iter(["a", "b"])) == batch_name(["a", "b"])
