"""The pictures, tables and tars that paths and URLs mean to a Ray run."""

from __future__ import annotations

import errno
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from closed_folders import close_folder

from npp.integrations.ray.ray_listings import listings_of
from npp.integrations.ray.ray_sinks import (
    batch_name,
)
from npp.integrations.ray.ray_sources import (
    Picture,
    batch_size,
    find_pictures,
    plain_name,
)
from npp.integrations.ray.ray_storage import LocalStorage, storage_of
from npp.integrations.ray.ray_tables import Tables, check_apart, find_tables, unreadable_named


@pytest.mark.parametrize(
    ("count", "workers", "size"), [(1, 2, 1), (31, 2, 1), (3000, 2, 64), (3000, 64, 2), (10**8, 1000, 256)]
)
def test_batch_size_gives_every_worker_several_batches(count: int, workers: int, size: int) -> None:
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


def test_unreadable_folder_becomes_a_picture_that_fails(
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
def test_table_among_pictures_is_refused_as_ambiguous(folder: Path, name: str) -> None:
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
def test_results_inside_the_input_folder_are_not_read_as_input(folder: Path, suffix: str) -> None:
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


def test_folder_that_is_read_is_refused_as_output(tmp_path: Path) -> None:
    source = tmp_path / "part-00000-abc.snappy.parquet"
    source.write_bytes(b"x")
    with pytest.raises(ValueError, match=r"out must be another folder than that of .*part-00000-abc"):
        check_apart([str(source)], f"{tmp_path}/")
    with pytest.raises(ValueError, match="out must be another folder"):
        check_apart([str(source)], f"file://{tmp_path}")
    check_apart([str(source)], tmp_path / "out")
    assert source.is_file()


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
