"""What a Ray run is made of and what needs no Ray: plans, storage, tars, shared qps."""

from __future__ import annotations

import errno
import gzip
import io
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import skimage.data
from closed_folders import close_folder
from judge_files import MEAN_COLOUR, write_judge
from PIL import Image
from recipe_files import saved_recipe

from npp.batch import BatchDecoder, BatchEncoder, FileResult, ManifestFile, ManifestRow, read_manifest
from npp.batch.rate_sampling import SamplingGoal
from npp.integrations.ray import Cluster, Sharing, encode
from npp.integrations.ray.ray_columns import EARLIER_RESULT, ERROR, INPUT, KEY, PATH, TARGET
from npp.integrations.ray.ray_counting import count_rows
from npp.integrations.ray.ray_journal import RunRecord
from npp.integrations.ray.ray_listings import listings_of
from npp.integrations.ray.ray_owners import register
from npp.integrations.ray.ray_rows import JOURNALS, rows_table
from npp.integrations.ray.ray_run_folders import run_name
from npp.integrations.ray.ray_run_types import RaySummary, RunOutput
from npp.integrations.ray.ray_sessions import connect
from npp.integrations.ray.ray_shared import Probe, SampledCurve, chosen, shared_qps
from npp.integrations.ray.ray_sinks import (
    Existing,
    FileSink,
    PartSink,
    TarSink,
    batch_name,
    inputs_in_parts,
    parts_in,
)
from npp.integrations.ray.ray_sources import (
    Picture,
    TarCheck,
    batch_size,
    find_pictures,
    plain_name,
    tar_samples,
)
from npp.integrations.ray.ray_storage import LocalStorage, Storage, storage_of
from npp.integrations.ray.ray_tables import Tables, check_apart, find_tables, unreadable_named
from npp.integrations.ray.ray_tars import FACTS, key_of, read_samples, tar_of
from npp.integrations.ray.ray_workers import result_of


def test_without_ray_its_absence_is_said() -> None:
    """The module is imported without Ray; only work needs it."""
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "from npp.integrations.ray import encode\n"
        "try: encode('photos', 'out')\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pip install 'npp[ray]'" in said


def _png(photo: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(photo)).save(out, "PNG")
    return out.getvalue()


def _curve(result: FileResult) -> SampledCurve:
    return SampledCurve.from_json(json.loads(result.file or b""))


def test_shared_qps_meet_the_total(photo: np.ndarray) -> None:
    pictures = {str(i): _png(np.roll(photo, 5 * i, 1)[: 40 + 2 * i] // (1 + i % 3)) for i in range(16)}
    unit = BatchEncoder()
    probe = Probe(unit.settings, SamplingGoal(), max_pixels=None)
    curves = {name: _curve(probe.one(data)) for name, data in pictures.items()}
    sizes = [len(result.file or b"") for result in unit(list(pictures.values()), [33] * 16)]
    qps = shared_qps(curves, Sharing(total_bytes=sum(sizes)))
    results = unit(list(pictures.values()), [qps[name] for name in pictures])
    assert len(set(qps.values())) > 1, "pictures differ"
    assert sum(result.bits for result in results) == pytest.approx(8 * sum(sizes), rel=0.06)
    pixels = sum(sampled.curve.pixels for sampled in curves.values())
    assert shared_qps(curves, Sharing(mean_bpp=8 * sum(sizes) / pixels)) == qps
    with pytest.raises(ValueError, match="one of total_bytes and mean_bpp"):
        Sharing()
    assert probe.one(b"no picture").error == "cannot identify the picture's format"


def test_a_picture_without_a_curve_is_not_encoded_outside_the_total(photo: np.ndarray) -> None:
    """What could not be probed has the probe's error, and no other qp."""
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    probe = Probe(BatchEncoder().settings, SamplingGoal(), max_pixels=10_000)
    pictures = {"a": _png(photo[:64]), "large": _png(np.tile(photo, (2, 2, 1)))}
    results = [probe.one(data) for data in pictures.values()]
    columns = {
        "input": list(pictures),
        "curve": [result.file for result in results],
        "error": [result.error for result in results],
    }
    table = pa.table(columns)
    sharing = Sharing(total_bytes=1000)
    found = chosen([table.slice(0, 1), table.slice(1)], sharing)
    assert found.of("a") == shared_qps({"a": _curve(results[0])}, sharing)["a"]
    assert results[1].error is not None and "pixels" in results[1].error
    with pytest.raises(ValueError, match=re.escape(results[1].error)):
        found.of("large")
    with pytest.raises(ValueError, match="no qp was chosen for another"):
        found.of("another")


def test_shared_qps_ask_the_recipe(tmp_path: Path) -> None:
    """An allocator is asked where there is one, unless that is refused."""
    side = 96  # the recipe codes halves, and a smaller picture would have few blocks that differ
    places = [(y, x) for y in range(0, 400, 100) for x in range(0, 400, 100)]
    pictures = [_png(skimage.data.astronaut()[y : y + side, x : x + side]) for y, x in places]
    with_recipe = BatchEncoder(recipe=saved_recipe(tmp_path)).settings
    found = {}
    for asked in (None, True, False):
        sharing = Sharing(mean_bpp=0.5, predicted=asked)
        probe = Probe(with_recipe, sharing.probing(with_recipe), max_pixels=None)
        curves = {str(i): _curve(probe.one(data)) for i, data in enumerate(pictures)}
        found[asked] = shared_qps(curves, sharing)
    assert found[None] == found[True] != found[False]

    plain = BatchEncoder().settings
    assert not Sharing(mean_bpp=1).probing(plain).predicted
    with pytest.raises(ValueError, match="predicted needs a recipe that has an allocator"):
        encode("photos", "out", sharing=Sharing(mean_bpp=1, predicted=True), cluster=Cluster())


def test_shared_qps_ask_a_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network says what is lost, also where it has been sent to another process in another folder."""
    monkeypatch.chdir(tmp_path)
    write_judge("ray_judge", MEAN_COLOUR)
    places = [(y, x) for y in range(0, 400, 100) for x in range(0, 400, 100)]
    pictures = [_png(skimage.data.astronaut()[y : y + 64, x : x + 64]) for y, x in places]
    settings = BatchEncoder().settings
    found = {}
    for judge in (None, "ray_judge.yaml"):
        sharing = Sharing(mean_bpp=0.8, judge=judge)
        sampling = pickle.loads(pickle.dumps(sharing.probing(settings)))
        monkeypatch.chdir("/")
        probe = Probe(settings, sampling, max_pixels=None)
        curves = {str(i): _curve(probe.one(data)) for i, data in enumerate(pictures)}
        found[judge] = shared_qps(curves, sharing)
        monkeypatch.chdir(tmp_path)
    assert found[None] != found["ray_judge.yaml"]
    with pytest.raises(ValueError, match="judge and predicted exclude each other"):
        Sharing(mean_bpp=1, judge="ray_judge.yaml", predicted=True)
    with pytest.raises(ValueError, match="nothing"):
        encode("photos", "out", sharing=Sharing(mean_bpp=1, judge="nothing"), cluster=Cluster())


@pytest.mark.parametrize(
    ("count", "workers", "size"), [(1, 2, 1), (31, 2, 1), (3000, 2, 64), (3000, 64, 2), (10**8, 1000, 256)]
)
def test_small_sets_do_not_collapse_into_one_batch(count: int, workers: int, size: int) -> None:
    assert batch_size(count, workers) == size


def _found(given: list[str], suffixes: Collection[str], *, recursive: bool = True) -> list[Picture]:
    return find_pictures(listings_of(given, recursive=recursive), suffixes, ".bpg")


def test_finding(folder: Path) -> None:
    suffixes = frozenset([".png", ".jpg"])
    found = _found(["photos"], suffixes)
    assert [one.target for one in found] == ["a.bpg", "b.bpg", "deep/c.bpg"]
    assert [one.input for one in found] == ["photos/a.png", "photos/b.jpg", "photos/deep/c.png"]
    assert all(Path(one.path).is_absolute() for one in found)
    assert len(_found(["photos"], suffixes, recursive=False)) == 2
    with pytest.raises(ValueError, match=r"photos/deep/c\.png is given twice"):
        _found(["photos", "photos/deep/c.png"], suffixes)
    with pytest.raises(ValueError, match=r"would both become a\.bpg"):
        _found(["photos", "photos/a.png"], suffixes)
    with pytest.raises(ValueError, match="no pictures"):
        _found(["photos"], frozenset([".gif"]))
    assert plain_name("s3://bucket/../a//b.png") == "bucket/a/b.png"


def test_a_folder_that_may_not_be_read_is_a_picture_that_fails(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close_folder(folder / "photos" / "deep", monkeypatch)
    found = _found(["photos"], {".png"})
    assert found == [
        Picture(f"{folder}/photos/a.png", "photos/a.png", "a.bpg"),
        Picture(f"{folder}/photos/deep", "photos/deep", "deep/*.bpg"),
    ]
    assert _tables("photos") is None
    for name in ("a.png", "b.jpg"):
        (folder / "photos" / name).unlink()
    (folder / "photos" / "a.tar").touch()
    with pytest.raises(ValueError, match=r"photos/deep cannot be read; it may hold more \.tar files"):
        _tables("photos")
    assert _tables("photos", recursive=False) == Tables(".tar", [f"{folder}/photos/a.tar"])


def _tables(*given: str, out: str | None = None, recursive: bool = True) -> Tables | None:
    return find_tables(listings_of(given, recursive=recursive), {".png", ".jpg"}, out)


def test_a_folder_is_listed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it holds tables and which pictures it holds is told by one list, which may be a store's."""
    listed: list[str] = []
    names = LocalStorage.names

    def watched(storage: LocalStorage, **options: Any) -> Iterator[str]:
        listed.append(storage.root)
        return names(storage, **options)

    monkeypatch.setattr(LocalStorage, "names", watched)
    given = listings_of(["photos"], recursive=True)
    assert listed == [], "nobody has asked yet"
    assert find_tables(given, {".png"}, None) is None
    assert [one.target for one in find_pictures(given, {".png"}, ".bpg")] == ["a.bpg", "deep/c.bpg"]
    assert listed == [f"{folder}/photos"]


@pytest.mark.parametrize("name", ["labels.parquet", "deep/old.tar"])
def test_a_stray_table_does_not_hide_the_pictures_of_its_folder(folder: Path, name: str) -> None:
    """Neither is passed over in silence, whichever is meant."""
    stray = folder / "photos" / name
    stray.touch()
    said = rf"there are pictures \(.*photos/a\.png\) and (tables|tars) \({stray}\), and a run reads one kind"
    with pytest.raises(ValueError, match=said):
        _tables("photos")
    with pytest.raises(ValueError, match=said):
        _tables("photos/a.png", str(stray))
    assert _tables(str(stray)) == Tables(stray.suffix, [str(stray)])
    assert _tables("photos/a.png") is None
    (folder / "photos" / "tables.PARQUET").touch()
    with pytest.raises(ValueError, match=r"there are .*\(.*photos/a\.png\) and .*tables"):
        _tables("photos")


def test_tables_and_tars_are_two_kinds(tmp_path: Path) -> None:
    for name in ("a.tar", "b.parquet", "readme.txt"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=r"there are tables \(.*b\.parquet\) and tars \(.*a\.tar\)"):
        _tables(str(tmp_path))


@pytest.mark.parametrize("suffix", [".parquet", ".tar"])
def test_results_below_the_pictures_are_not_read(folder: Path, suffix: str) -> None:
    """So that the same call can go on where it has ended."""
    part = f"part-{batch_name(['a'])}{suffix}"
    for out in ("photos/out", "photos"):
        storage_of(out).write(part, b"", replace=True)
        assert _tables("photos", out=out) is None
        assert _tables("photos", out="elsewhere") is None, "npp's own parts"
    storage_of("photos/out").write(f"mine{suffix}", b"", replace=True)
    assert _tables("photos/", out="photos/out") is None
    with pytest.raises(ValueError, match=f"mine{suffix}"):
        _tables("photos", out="photos/ou")
    (folder / "link").symlink_to(folder / "photos")
    assert _tables("photos/", out="link/out") is None
    assert _tables("photos/out") == Tables(
        suffix, [f"{folder}/photos/out/mine{suffix}", f"{folder}/photos/out/{part}"]
    )


def test_storage(tmp_path: Path) -> None:
    storage = storage_of(tmp_path / "out")
    assert list(storage.names()) == [] and storage.size("a") is None
    storage.write("deep/a", b"1", replace=False)
    with pytest.raises(FileExistsError):
        storage.write("deep/a", b"2", replace=False)
    storage.write("deep/a", b"22", replace=True)
    storage.write(".hidden/b", b"3", replace=False)
    assert list(storage.names()) == ["deep/a"] and storage.hidden(".hidden") == [".hidden/b"]
    assert (storage.read("deep/a"), storage.size("deep/a")) == (b"22", 2)
    for name in ("../esc", "deep/../../esc", "/esc"):
        with pytest.raises(ValueError, match=f"names of files must lie below .*out, which '{name}' does not"):
            storage.write(name, b"4", replace=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_tars_that_nothing_came_from_are_found() -> None:
    tars = ["/in/a.tar", "s3://bucket/b.tar", "/in/c.tar"]
    check = TarCheck(tars, {".png", ".jpg"})
    for name in ("/in/a.tar/deep/x.png", "s3://bucket/b.tar/y.jpg", "/elsewhere/c.tar/z.png"):
        check.saw(name)
    with pytest.warns(UserWarning, match=r"^no pictures \(\.jpg \.png\) in /in/c\.tar$"):
        check.conclude()
    with pytest.raises(ValueError, match=r"in /in/a\.tar, s3://bucket/b\.tar, /in/c\.tar$"):
        TarCheck(tars, {".png"}).conclude()
    TarCheck([], {".png"}).conclude()


def test_tars_there_and_back() -> None:
    samples = [("d/a.b/1", {"seg.png": b"p", "cls": b"0"}), ("d/2", {"txt": b"t"}), ("d/3", {"JPG": b"j"})]
    data = tar_of(samples)
    assert tar_of(samples) == data
    found = list(read_samples(io.BytesIO(data), frozenset([".png", ".jpg"])))
    assert [(one.key, one.path, one.data, one.more) for one in found] == [
        ("d/a.b/1", "d/a.b/1.seg.png", b"p", {"cls": b"0"}),
        ("d/3", "d/3.JPG", b"j", {}),
    ]


def _made(out: Path, name: str, data: bytes) -> ManifestRow:
    return ManifestRow.of(f"in/{name}.png", f"{name}.bpg", FileResult(data, {"qp": 30, "bpp": 0.5}))


def test_a_killed_drivers_journals_are_believed_where_the_files_are(tmp_path: Path) -> None:
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
def test_what_stopped_runs_have_left_is_taken_over(tmp_path: Path, existing: Existing) -> None:
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


def test_an_object_store_does_not_tell_who_lives(tmp_path: Path) -> None:
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


def test_a_file_that_came_while_a_run_went_on_has_a_whole_row(tmp_path: Path) -> None:
    """It is another run's, and left alone."""
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    table = pa.table({INPUT: ["x"], TARGET: ["x.bpg"]})
    storage = storage_of(tmp_path)
    sink = FileSink(storage, "skip", f"{JOURNALS}/run")
    file = BatchEncoder(40, effort=0).one(_png(np.zeros((8, 8, 3), np.uint8)))
    for data, bpp in ((file.file or b"", file.values["bpp"]), (b"BPG\xfb", None)):
        storage.write("x.bpg", data, replace=True)
        (row,) = sink.take("batch", table, [FileResult(b"other", {"bpp": 1.0, "qp": 30})])
        assert (row.bpp, row.qp, row.output) == (bpp, None, bpp and "x.bpg")
        assert storage.read("x.bpg") == data


def test_what_a_batch_has_written_is_found_again(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "zip"}, "format must be one of 'files', 'parquet', 'webdataset', not 'zip'"),
        ({"existing": "maybe"}, "existing must be one of 'error', 'skip', 'replace', not 'maybe'"),
        ({"rows_per_part": 0}, "rows_per_part must be an integer from 1 to 1000000000, not 0"),
        ({"rows_per_part": "a"}, "rows_per_part must be an integer from 1 to 1000000000, not 'a'"),
        ({"rows_per_part": None}, "rows_per_part must be an integer from 1 to 1000000000, not None"),
        ({"format": "parquet", "manifest": "m.jsonl"}, "manifest is about files"),
    ],
)
def test_wrong_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RunOutput("out", **arguments)
    with pytest.raises(ValueError, match="sharing excludes qp"):
        encode("photos", "out", qp=30, sharing=Sharing(mean_bpp=1), cluster=Cluster())


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (Sharing, {"total_bytes": "12M"}, "total_bytes must be a finite number above 0, not '12M'"),
        (Sharing, {"total_bytes": 0}, "total_bytes must be above 0, not 0"),
        (Sharing, {"mean_bpp": float("inf")}, "mean_bpp must be a finite number above 0, not inf"),
        (Sharing, {"mean_bpp": True}, "mean_bpp must be a finite number above 0, not True"),
        (
            Sharing,
            {"mean_bpp": 1, "total_bytes": 1},
            "one of total_bytes and mean_bpp must be given, not 1 and 1",
        ),
        (Sharing, {"mean_bpp": 1, "predicted": "no"}, "predicted must be True or False, not 'no'"),
        (Cluster, {"workers": -1}, "workers must be at least 1, not -1"),
        (Cluster, {"workers": 0}, "workers must be at least 1, not 0"),
        (Cluster, {"workers": "2"}, "workers must be an integer from 1 on, not '2'"),
        (Cluster, {"gpus": -1}, "gpus must be an integer from 0 to 4096, not -1"),
        (Cluster, {"gpus": 0.5}, "gpus must be an integer from 0 to 4096, not 0.5"),
        (Cluster, {"gpus": 100_000}, "gpus must be an integer from 0 to 4096, not 100000"),
        (Cluster, {"address": 8265}, "address must be text or None, not 8265"),
    ],
)
def test_errors_name_the_argument(kind: type, arguments: dict, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        kind(**arguments)
    assert Cluster("auto", 1, 0).gpus == 0 and Sharing(total_bytes=np.float32(1)).mean_bpp is None


def test_ray_on_this_machine_is_not_started_with_workers_without_an_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[dict] = []
    ray = SimpleNamespace(
        is_initialized=lambda: False,
        init=lambda **arguments: begun.append(arguments),
        cluster_resources=lambda: {"CPU": 4},
    )
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("npp.integrations.ray.ray_sessions.require_ray", lambda: ray)
    monkeypatch.setattr("npp.integrations.ray.ray_sessions.usable_cores", lambda: 8)
    with pytest.raises(
        ValueError, match=r"^workers must be at most 256 where Ray is started .*, not 100000$"
    ):
        connect(None, 100_000)
    assert not begun
    assert connect(None, 3) == 3 and begun[0]["num_cpus"] == 3
    assert connect("cluster", 100_000) == 4  # of a cluster there are no more than its CPUs


def test_parts_of_other_programs_are_not_npps(tmp_path: Path) -> None:
    """Spark calls its parts nearly the same; what npp replaces, it deletes."""
    own = f"part-{batch_name(['a'])}.parquet"
    for name in (own, "part-00000-abc.snappy.parquet", "part-0.parquet", f"{own}.bak"):
        (tmp_path / name).write_bytes(b"x")
    assert parts_in(storage_of(tmp_path), ".parquet") == [own]


def test_what_is_read_is_not_written_over(tmp_path: Path) -> None:
    source = tmp_path / "part-00000-abc.snappy.parquet"
    source.write_bytes(b"x")
    with pytest.raises(ValueError, match=r"out must be another folder than that of .*part-00000-abc"):
        check_apart([str(source)], f"{tmp_path}/")
    with pytest.raises(ValueError, match="out must be another folder"):
        check_apart([str(source)], f"file://{tmp_path}")
    check_apart([str(source)], tmp_path / "out")
    assert source.is_file()


def test_names_with_dots_stay_apart_in_tars(photo: np.ndarray) -> None:
    """A sample's name ends at the first dot."""
    names = ["IMG_1.edit", "IMG_1.raw", "a.b", "a%2Eb", "100%"]
    members = {"png": _png(photo), FACTS: b"{}"}
    data = tar_of([(f"d/{key_of(name)}", members) for name in names])
    found = list(read_samples(io.BytesIO(data), {".png"}))
    assert [one.path for one in found] == [f"d/{name}.png" for name in names]
    assert len({one.key for one in found}) == len(names)
    others = tar_of([("a%2Eb", {"png": _png(photo)})])  # what npp has not written is called as it is
    assert [one.path for one in read_samples(io.BytesIO(others), {".png"})] == ["a%2Eb.png"]


def test_what_failed_before_is_no_success(tmp_path: Path) -> None:
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
def test_an_input_that_comes_twice_costs_no_other_its_row(tmp_path: Path, kind: type[PartSink]) -> None:
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


def testtar_samples_one_key_are_told_apart_in_a_tar(tmp_path: Path) -> None:
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


def test_a_name_that_comes_twice_is_no_second_success() -> None:
    rows = [ManifestRow(name, "part", 3, checksum="0") for name in ("a", "b", "a")]
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    summary, told = RaySummary(), list[ManifestRow]()
    count_rows([rows_table(rows[:2]), rows_table(rows[2:])], summary, told.append)
    assert (summary.written, summary.failed, summary.bytes) == (2, 1, 6)
    assert summary.errors == {"a": "another row has this name, too: give each its own"}
    assert [row.output for row in told] == ["part", "part", None]


def test_a_name_that_comes_twice_is_no_success_of_a_run_that_goes_on_either() -> None:
    """What an earlier run's parts have is left alone once, and failed before is counted where it comes."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    failed = {name: ManifestRow(name, None, error="no picture") for name in ("bad", "of another set")}
    summary, told = RaySummary(), list[ManifestRow]()
    tables = [rows_table([], done=["a", "b", "a"]), rows_table([], done=["bad"]), rows_table([], done=["b"])]
    count_rows(tables, summary, told.append, failed=failed)
    assert (summary.written, summary.skipped, summary.failed) == (0, 2, 3)
    again = "another row has this name, too: give each its own"
    assert summary.errors == {"a": again, "bad": "no picture", "b": again}
    assert [row.input for row in told] == ["a", "bad", "b"]


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


def test_a_row_about_another_file_is_no_row_of_this_one(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    "error",
    [OSError("a page"), OSError(errno.ENOSPC, "full"), FileExistsError("a result"), ValueError("key")],
)
@pytest.mark.parametrize("damage", ["none", "cut", "page", "empty", "gone"])
def test_a_damaged_table_is_named(tmp_path: Path, error: Exception, damage: str) -> None:
    """What pyarrow says of damaged pages names no file."""
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for path in paths:
        parquet.write_table(pa.table({"path": ["x"], "bytes": [np.random.default_rng(0).bytes(3000)]}), path)
    data = paths[1].read_bytes()
    page = data[:4] + bytes(byte ^ 0x5A for byte in data[4:60]) + data[60:]
    paths[1].write_bytes({"cut": data[:1000], "page": page, "empty": b""}.get(damage, data))
    if damage == "gone":
        paths[1].unlink()
    named = damage != "none" and type(error) is OSError and error.errno is None
    message = (
        rf"^{re.escape(str(paths[1]))} cannot be read as Parquet: " if named else f"^{re.escape(str(error))}$"
    )
    tables = Tables(".parquet", list(map(str, paths)))
    with pytest.raises(ValueError if named else type(error), match=message), unreadable_named(tables):
        raise error
    for others in (None, Tables(".tar", tables.paths)):
        with pytest.raises(type(error), match=f"^{re.escape(str(error))}$"), unreadable_named(others):
            raise error


@pytest.mark.parametrize("existing", ["error", "replace", "skip"])
@pytest.mark.parametrize("batch", [1, 2, 4])
def test_two_rows_do_not_share_a_file(tmp_path: Path, existing: Existing, batch: int) -> None:
    """Neither in one batch nor in two, and a batch that is done again has what it had."""
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    inputs = ["cat.jpg", "cat.png", "dog.jpg", "cat.jpg"]
    table = pa.table({INPUT: inputs, TARGET: ["cat.bpg", "cat.bpg", "dog.bpg", "cat.bpg"]})
    results = [BatchEncoder(qp, effort=0).one(_png(np.zeros((8, 8, 3), np.uint8))) for qp in (10, 20, 30, 40)]
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


def test_a_file_of_an_earlier_run_is_not_another_rows(tmp_path: Path) -> None:
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
def test_files_that_are_left_alone_have_rows_and_are_counted_so(tmp_path: Path, known: bool) -> None:
    """Their rows are fuller where the manifest has some already."""
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    storage, manifest = storage_of(tmp_path), tmp_path / "m.jsonl"
    file = BatchEncoder(40, effort=0).one(_png(np.zeros((8, 8, 3), np.uint8)))
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


def test_a_decoded_picture_that_was_there_before_is_no_error(photo: np.ndarray) -> None:
    """It is no BPG file, of which more is known."""
    data = _png(photo)
    assert result_of(BatchDecoder(), data, earlier_result="out/a.png", qp=None) == FileResult(data)


@pytest.mark.parametrize("data", [b"", b"no picture"])
def test_a_foreign_file_is_no_result_of_an_encoder(data: bytes) -> None:
    wanted = FileResult.failed(f"out/a.bpg was there before, and: {_NO_BPG}")
    assert result_of(BatchEncoder(40), data, earlier_result="out/a.bpg", qp=None) == wanted


def _tar(name: str, data: bytes) -> bytes:
    return tar_of([(f"{name}/{number}", {"png": data, "cls": b"1"}) for number in range(3)])


def test_a_damaged_tar_is_a_row_with_its_name(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    whole, file = tmp_path / "whole.tar", BatchEncoder(40, effort=0).one(_png(np.zeros((8, 8, 3), np.uint8)))
    whole.write_bytes(_tar("a", file.file or b""))
    packed = gzip.compress(_tar("a", np.random.default_rng(0).bytes(5000)))
    damaged = {
        "cut": whole.read_bytes()[: 512 * 5],
        "packed": packed[: len(packed) // 2],
        "empty": b"",
        "text": b"no tar" * 200,
    }
    paths = [str(whole)]
    for name, data in damaged.items():
        (tmp_path / f"{name}.x.tar").write_bytes(data)
        paths.append(str(tmp_path / f"{name}.x.tar"))
    paths.append(str(tmp_path / "gone.tar"))
    rows = pa.concat_tables(tar_samples(pa.table({PATH: paths}), frozenset([".png"]), "bytes")).to_pylist()
    errors = {Path(row[INPUT]).name: row[ERROR] for row in rows if row[ERROR] is not None}
    assert set(errors) == {*(f"{name}.x.tar" for name in damaged), "gone.tar"}
    assert errors.pop("gone.tar").startswith("No such file")
    assert all(error.startswith("no tar, or a damaged one: ") for error in errors.values())
    assert all(row["bytes"] is None for row in rows if row[ERROR])
    good = [row for row in rows if row[ERROR] is None]
    assert {row[INPUT] for row in good} >= {f"{whole}/a/{number}.png" for number in range(3)}
    assert f"{tmp_path}/cut.x.tar/a/0.png" in {row[INPUT] for row in good}
    check = TarCheck(paths, {".png"})
    for row in rows:
        check.saw(row[INPUT])
    check.conclude()


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


def test_results_need_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "below", f"file://{tmp_path}/file/"):
        with pytest.raises(ValueError, match=rf"^out must be a folder, and {tmp_path}/file is a file$"):
            storage_of(out).check_folder()
    for out in (tmp_path, tmp_path / "not" / "there"):
        storage_of(out).check_folder()
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    with pytest.raises(ValueError, match=r"^out must be a folder, and local://.*/file is a file$"):
        storage_of(f"local://{tmp_path}/file").check_folder()
    storage_of(f"local://{tmp_path}/new").check_folder()


def test_batches_of_other_inputs_have_other_names() -> None:
    """Names may hold any sign, also what could stand between two."""
    batches = [["a\nb"], ["a", "b"], ["a\0b"], ["a", "", "b"], ["ab"], ["a1:b"], ["b", "a"], []]
    assert len({batch_name(one) for one in batches}) == len(batches)
    assert batch_name(iter(["a", "b"])) == batch_name(["a", "b"])
