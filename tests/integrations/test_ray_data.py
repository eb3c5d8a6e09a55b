"""Ray Data: the command's bytes from every kind of source into every kind of sink, and runs that go on."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import EXIF, files, moving, run, save_moving
from judge_files import MEAN_COLOUR, write_judge
from PIL import Image
from recipe_files import made_recipe, saved_recipe

import npp
from npp.batch import BatchEncoder, FileResult, read_manifest

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")
pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

from npp.integrations.ray import Cluster, Sharing, decode, encode  # noqa: E402
from npp.integrations.ray import ray_pipelines as pipelines  # noqa: E402
from npp.integrations.ray import ray_run_types as run_types  # noqa: E402
from npp.integrations.ray.ray_sessions import actor  # noqa: E402
from npp.integrations.ray.ray_tars import tar_of  # noqa: E402
from npp.integrations.ray.ray_workers import Networks  # noqa: E402

# Ray warns about itself, and its processes leave sockets to the collector.
pytestmark = pytest.mark.filterwarnings("ignore")
_ONE = Cluster(workers=1)


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    own = {"address": "local", "num_cpus": 2, "object_store_memory": 200 << 20, "include_dashboard": False}
    ray.init(log_to_driver=False, **({} if "RAY_ADDRESS" in os.environ else own))
    yield
    ray.shutdown()


def _set(folder: Path, photo: np.ndarray) -> Path:
    """A folder with pictures of several kinds, and a file that is none."""
    photos = folder / "photos"
    Image.fromarray(photo).save(photos / "rich.jpg", exif=b"Exif\0\0" + EXIF)
    Image.fromarray(photo).convert("L").save(photos / "gray.png")
    save_moving(str(photos / "moving.gif"), moving(photo), duration=40)
    (photos / "bad.png").write_bytes(b"no picture")
    return photos


def _pngs(photo: np.ndarray, count: int) -> list[bytes]:
    found = []
    for number in range(count):
        out = io.BytesIO()
        Image.fromarray(np.roll(photo, number, axis=1)[:48]).save(out, "PNG")
        found.append(out.getvalue())
    return found


def _wanted(pictures: list[bytes]) -> list[bytes | None]:
    return [result.file for result in BatchEncoder(35, effort=0)(pictures)]


def test_files_are_the_commands(folder: Path, photo: np.ndarray) -> None:
    photos = _set(folder, photo)
    arguments = ("encode", photos, "-r", "--qp", 33, "--effort", 1)
    assert run(*arguments, "-o", "plain", "--manifest", "plain/m.jsonl") == 1
    assert run(*arguments, "-o", "ray", "--manifest", "ray/m.jsonl", "--engine", "ray", "--threads", 2) == 1
    assert files(folder / "ray") == files(folder / "plain")
    for name in files(folder / "plain"):
        if name != "m.jsonl":
            assert (folder / "ray" / name).read_bytes() == (folder / "plain" / name).read_bytes()
    # Without the words of an error: Ultralytics, where another test has imported it here, puts an opener of
    # its own into Pillow, but not into Ray's workers.
    rows = [
        {replace(row, error="failed" if row.error else None) for row in read_manifest(f"{out}/m.jsonl")}
        for out in ("plain", "ray")
    ]
    assert rows[0] == rows[1] and len(rows[0]) == 7
    assert run("verify", "ray/m.jsonl", "--known-errors") == 0


def test_a_run_goes_on(folder: Path, photo: np.ndarray) -> None:
    def go(existing: str) -> Any:
        return encode(
            str(folder / "photos"),
            "out",
            qp=40,
            effort=0,
            existing=existing,
            manifest="m.jsonl",
            cluster=_ONE,
        )

    done = go("error")
    assert (done.written, done.failed) == (3, 0)
    before = Path("m.jsonl").read_bytes()
    with pytest.raises(FileExistsError, match="'skip' goes on"):
        go("error")
    assert go("skip").skipped == 3
    Path("out/deep/c.bpg").unlink()
    lines = before.splitlines(keepends=True)
    Path("m.jsonl").write_bytes(b"".join(line for line in lines if b"a.png" not in line))
    again = go("skip")
    assert (again.written, again.skipped) == (1, 2), "c once more; a has got its row and was there"
    rows = {Path(row.input).name: row for row in read_manifest("m.jsonl")}
    assert rows["a.png"].qp is None and rows["c.png"].qp == 40
    assert {name: row.checksum for name, row in rows.items()} == {
        Path(row["input"]).name: row["checksum"] for row in map(json.loads, lines)
    }
    assert files(folder / "out") == ["a.bpg", "b.bpg", "deep/c.bpg"]


def test_a_foreign_file_is_no_result(folder: Path) -> None:
    """It gets a row with the error, as of a command without Ray, and stays what it is."""
    Path("out").mkdir()
    Path("out/a.bpg").write_bytes(b"")
    for _attempt in range(2):
        done = encode("photos/a.png", "out", effort=0, manifest="m.jsonl", existing="skip", cluster=_ONE)
        assert (done.written, done.skipped, done.failed) == (0, 0, 1)
        (row,) = read_manifest("m.jsonl")
        assert row.output is None and row.error is not None
        assert re.fullmatch(r".*out/a\.bpg was there before, and: not a BPG file: .*", row.error)
    assert Path("out/a.bpg").read_bytes() == b""


def test_a_recipes_networks_may_run_elsewhere(folder: Path, photo: np.ndarray) -> None:
    Image.fromarray(photo).save("photos/a.png")
    wanted = made_recipe().encode(photo)
    unit = BatchEncoder(recipe=saved_recipe(folder))
    networks = [actor(Networks, made_recipe().eval(), "cpu", num_cpus=0)]
    for name, one in (("here", unit), ("there", pipelines.elsewhere(unit, networks))):
        summary = pipelines.run(
            one, run_types.RunInput("photos/a.png", frozenset([".png"])), run_types.RunOutput(name), _ONE
        )
        assert summary.written == 1
        assert Path(name, "a.bpg").read_bytes() == wanted


@pytest.mark.parametrize("judge", [None, "ray_data_judge.yaml"])
def test_bits_are_shared_over_the_set(folder: Path, photo: np.ndarray, judge: str | None) -> None:
    """The total is met, each file is the one of its qp, and a network has its say in every worker."""
    write_judge("ray_data_judge", MEAN_COLOUR)
    pictures = [np.roll(photo, 9 * i, 1)[:64] // (1 + i % 3) for i in range(12)]
    Path("set").mkdir()
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(f"set/{i:02}.png")
    total = sum(len(file) for file in npp.encode(pictures, 33, effort=0))
    sharing = Sharing(total_bytes=total, judge=judge)
    summary = encode("set", "out", sharing=sharing, effort=0, manifest="m.jsonl", cluster=Cluster(workers=2))
    assert summary.written == 12 and summary.bytes == pytest.approx(total, rel=0.06)
    qps = {Path(row.input).stem: row.qp for row in read_manifest("m.jsonl")}
    assert len(set(qps.values())) > 1
    for i, picture in enumerate(pictures):
        assert Path(f"out/{i:02}.bpg").read_bytes() == npp.encode(picture, qps[f"{i:02}"], effort=0)
    if judge is not None:
        plain = encode("set", "plain", sharing=Sharing(total_bytes=total), effort=0, cluster=_ONE)
        assert plain.written == 12
        assert any(
            Path(f"out/{i:02}.bpg").read_bytes() != Path(f"plain/{i:02}.bpg").read_bytes() for i in range(12)
        )


def test_a_picture_that_the_judge_cannot_look_at_is_a_row(folder: Path, photo: np.ndarray) -> None:
    """Its file would be outside the total."""
    write_judge("ray_partial_judge", f"({MEAN_COLOUR}) if x.shape[-2] <= 64 else x.nothing")
    Path("set").mkdir()
    for name, height in (("a", 64), ("b", 60), ("large", 96)):
        Image.fromarray(photo[:height]).save(f"set/{name}.png")
    sharing = Sharing(mean_bpp=1, judge="ray_partial_judge.yaml")
    summary = encode("set", "out", sharing=sharing, effort=0, manifest="m.jsonl", cluster=_ONE)
    assert (summary.written, summary.failed) == (2, 1)
    (said,) = summary.errors.values()
    assert "nothing" in said
    assert files(folder / "out") == ["a.bpg", "b.bpg"]


def test_parquet_with_labels_there_and_back(folder: Path, photo: np.ndarray) -> None:
    pictures = [*_pngs(photo, 5), b"no picture"]
    names = [f"{number}.png" for number in range(6)]
    table = pa.table({"path": names, "bytes": pictures, "label": list(range(6))})
    Path("in").mkdir()
    parquet.write_table(table, "in/a.parquet")

    def go(existing: str) -> Any:
        return encode(
            "in", "out", qp=35, effort=0, format="parquet", existing=existing, rows_per_part=2, cluster=_ONE
        )

    summary = go("error")
    assert (summary.written, summary.failed) == (5, 1)
    assert summary.errors == {"5.png": "cannot identify the picture's format"}
    parts = files(folder / "out")
    assert len(parts) >= 3
    found = {row["path"]: row for row in parquet.read_table("out").to_pylist()}
    wanted = _wanted(pictures)
    assert [found[name]["bpg"] for name in names] == wanted
    assert [found[name]["label"] for name in names] == list(range(6))
    assert found["0.png"]["checksum"] == FileResult(wanted[0]).checksum
    (folder / "out" / parts[0]).unlink()
    again = go("skip")
    assert (again.skipped, again.failed) == (6 - 3, 1), "what failed is no success the second time"
    assert sorted(row["path"] for row in parquet.read_table("out").to_pylist()) == names
    with pytest.raises(FileExistsError):
        go("error")
    summary = decode("out", "png", column="bpg", cluster=_ONE)
    assert (summary.written, summary.failed) == (5, 1)
    assert (np.asarray(Image.open("png/0.png")) == npp.decode(wanted[0]).permute(1, 2, 0).numpy()).all()


@pytest.mark.timeout(300)
def test_workers_leave_a_cpu_to_those_who_read(folder: Path, photo: np.ndarray) -> None:
    """With a worker on every CPU nobody would read the rows, and the run would never end."""
    Path("in").mkdir()
    parquet.write_table(pa.table({"path": list("abc"), "bytes": _pngs(photo, 3)}), "in/a.parquet")
    assert encode("in", "out", qp=35, effort=0, format="parquet").written == 3
    given = ray.data.read_binary_files(str(folder / "photos/a.png"), include_paths=True)
    assert encode(given, qp=35, effort=0).count() == 1


@pytest.mark.parametrize("format_", ["files", "webdataset"])
def test_tars_without_pictures_are_named(folder: Path, photo: np.ndarray, format_: Any) -> None:
    Path("in").mkdir()
    picture = _pngs(photo, 1)[0]
    Path("in/full.tar").write_bytes(tar_of([("a", {"png": picture}), ("deep/b", {"png": picture})]))
    Path("in/empty.tar").write_bytes(tar_of([("a", {"txt": b"no picture"})]))
    with pytest.warns(UserWarning, match=r"no pictures \(.*\.png.*\) in .*in/empty\.tar$"):
        summary = encode("in", "out", format=format_, effort=0)
    assert (summary.written, summary.failed) == (2, 0)
    if format_ == "webdataset":  # what was done before counts too
        with pytest.warns(UserWarning, match=r"in/empty\.tar$"):
            assert encode("in", "out", format=format_, effort=0, existing="skip").skipped == 2
    Path("in/full.tar").unlink()
    with pytest.raises(ValueError, match=r"no pictures \(.*\) in .*in/empty\.tar$"):
        encode("in", "none", format=format_, effort=0)


def test_what_ends_a_run_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By a worker, and where nothing can be written."""
    Path("in").mkdir()
    parquet.write_table(pa.table({"name": ["a"], "bytes": [b"a"]}), "in/a.parquet")
    with pytest.raises(ValueError, match=r"key must be a column of the data set \(name, bytes\), not 'path'"):
        encode("in", "out", effort=0)
    Path("file").touch()
    assert run("encode", "photos/a.png", "photos/b.jpg", "-o", "file/out/", "--engine", "ray") == 2
    assert "file is a file" in capsys.readouterr().err.splitlines()[-1]


def test_tars_keep_their_other_members(folder: Path, photo: np.ndarray) -> None:
    pictures = _pngs(photo, 4)
    Path("in").mkdir()
    with tarfile.open("in/a.tar", "w") as tar:
        for number, data in enumerate(pictures):
            for ending, member in (("png", data), ("cls", b"%d" % number)):
                info = tarfile.TarInfo(f"deep/{number}.{ending}")
                info.size = len(member)
                tar.addfile(info, io.BytesIO(member))
    summary = encode("in", "out", qp=35, effort=0, format="webdataset", rows_per_part=3, cluster=_ONE)
    assert summary.written == 4
    found = {}
    for part in files(folder / "out"):
        with tarfile.open(f"out/{part}") as tar:
            found.update({name: tar.extractfile(name).read() for name in tar.getnames()})  # type: ignore[union-attr]
    assert [found[f"deep/{number}.bpg"] for number in range(4)] == _wanted(pictures)
    assert [found[f"deep/{number}.cls"] for number in range(4)] == [b"0", b"1", b"2", b"3"]
    assert json.loads(found["deep/0.npp.json"])["qp"] == 35
    again = encode(
        "in", "out", qp=35, effort=0, format="webdataset", existing="skip", rows_per_part=3, cluster=_ONE
    )
    assert (again.written, again.skipped) == (0, 4)


def test_a_data_set_of_the_users(photo: np.ndarray) -> None:
    pictures = _pngs(photo, 3)
    rows = [{"path": str(number), "bytes": data, "label": number} for number, data in enumerate(pictures)]
    found = encode(ray.data.from_items(rows), qp=35, effort=0, cluster=_ONE).take_all()
    assert [row["bpg"] for row in sorted(found, key=lambda row: row["label"])] == _wanted(pictures)
    assert set(found[0]) >= {"path", "label", "bytes", "bpp", "qp", "checksum", "error"}


class _Deadly(BatchEncoder):
    """Takes its process down at one picture, as a bug in a decoder would."""

    def one(self, picture: Any, qp: int | None = None) -> FileResult:
        if picture == b"deadly":
            os._exit(1)
        return super().one(picture, qp)


def test_a_photo_that_kills_its_worker_is_a_row(folder: Path) -> None:
    Path("photos/deadly.png").write_bytes(b"deadly")
    unit = _Deadly(40, effort=0)
    ray.cloudpickle.register_pickle_by_value(__import__(__name__))
    run_output = run_types.RunOutput("out", manifest="m.jsonl")
    summary = pipelines.run(unit, run_types.RunInput("photos", frozenset([".png", ".jpg"])), run_output, _ONE)
    assert (summary.written, summary.failed) == (3, 1)
    rows = {Path(row.input).name: row for row in read_manifest("m.jsonl")}
    assert "has died" in (rows["deadly.png"].error or "")
    assert files(folder / "out") == ["a.bpg", "b.bpg", "deep/c.bpg"]


def test_other_file_systems(folder: Path) -> None:
    """fsspec's name for local files: read and written as an object store's are."""
    out = f"local://{folder}/out"
    summary = encode(f"local://{folder}/photos/", out, qp=40, effort=0, manifest="m.jsonl", cluster=_ONE)
    assert summary.written == 3
    assert files(folder / "out") == ["a.bpg", "b.bpg", "deep/c.bpg"]
    assert {row.output for row in read_manifest("m.jsonl")} == {
        f"{out}/{name}" for name in files(folder / "out")
    }
    assert encode(f"local://{folder}/photos/", out, existing="skip", cluster=_ONE).skipped == 3


@pytest.mark.parametrize("format_", ["parquet", "webdataset"])
def test_a_name_that_comes_twice_is_counted_by_every_run(
    folder: Path, photo: np.ndarray, format_: Any
) -> None:
    """Of its rows the first is in the parts; a run that goes on does not keep quiet about the other."""
    pictures = _pngs(photo, 4)
    found = ray.data.from_arrow(pa.table({"path": ["a", "b", "a", "c"], "bytes": pictures}))
    for existing, counts in (("error", (3, 0, 1)), ("skip", (0, 3, 1))):
        done = encode(
            found, "out", effort=0, format=format_, existing=existing, rows_per_part=2, cluster=_ONE
        )
        assert (done.written, done.skipped, done.failed) == counts
        assert done.errors == {"a": "another row has this name, too: give each its own"}


def test_a_wrong_key_costs_no_earlier_result(folder: Path, photo: np.ndarray) -> None:
    """Where nothing is known of a data set's columns before it is worked on, too."""
    found = ray.data.from_arrow(pa.table({"path": ["a", "b"], "bytes": _pngs(photo, 2)}))
    lazy = found.map_batches(lambda table: table, batch_format="pyarrow")
    encode(lazy, "out", effort=0, format="parquet", cluster=_ONE)
    before = files(folder / "out")
    assert before
    for wrong in ({"key": "name"}, {"column": "image"}):
        with pytest.raises(ValueError, match="must be a column of the data set"):
            encode(lazy, "out", format="parquet", existing="replace", cluster=_ONE, **wrong)
    assert files(folder / "out") == before


def test_a_row_without_a_name_costs_no_earlier_result(folder: Path, photo: np.ndarray) -> None:
    parquet.write_table(pa.table({"path": ["a", "b"], "bytes": _pngs(photo, 2)}), "in.parquet")
    encode("in.parquet", "out", effort=0, format="parquet", cluster=_ONE)
    before = files(folder / "out")
    assert before
    parquet.write_table(pa.table({"path": ["a", None], "bytes": _pngs(photo, 2)}), "in.parquet")
    with pytest.raises(ValueError, match="key 'path' is null in a row"):
        encode("in.parquet", "out", effort=0, format="parquet", existing="replace", cluster=_ONE)
    assert files(folder / "out") == before


def test_a_damaged_table_is_named(folder: Path) -> None:
    table = pa.table({"path": ["a"], "bytes": [np.random.default_rng(0).bytes(3000)]})
    for name in ("whole", "damaged"):
        parquet.write_table(table, f"{name}.parquet")
    data = Path("damaged.parquet").read_bytes()
    Path("damaged.parquet").write_bytes(data[:4] + bytes(byte ^ 0x5A for byte in data[4:60]) + data[60:])
    with pytest.raises(ValueError, match=rf"^{folder}/damaged\.parquet cannot be read as Parquet: "):
        encode(["whole.parquet", "damaged.parquet"], "out", effort=0, cluster=_ONE)
