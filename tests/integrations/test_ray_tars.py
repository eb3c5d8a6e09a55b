"""Tars of WebDataset: reading, writing, damaged ones and those without pictures."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from ray_pictures import png_bytes

from npp.batch import BatchEncoder
from npp.integrations.ray.ray_columns import ERROR, INPUT, PATH
from npp.integrations.ray.ray_sources import (
    TarCheck,
    tar_samples,
)
from npp.integrations.ray.ray_tars import FACTS, key_of, read_samples, tar_of


def test_tars_without_pictures_are_warned_about_or_refused() -> None:
    tars = ["/in/a.tar", "s3://bucket/b.tar", "/in/c.tar"]
    check = TarCheck(tars, {".png", ".jpg"})
    for name in ("/in/a.tar/deep/x.png", "s3://bucket/b.tar/y.jpg", "/elsewhere/c.tar/z.png"):
        check.saw(name)
    with pytest.warns(UserWarning, match=r"^no pictures \(\.jpg \.png\) in /in/c\.tar$"):
        check.conclude()
    with pytest.raises(ValueError, match=r"in /in/a\.tar, s3://bucket/b\.tar, /in/c\.tar$"):
        TarCheck(tars, {".png"}).conclude()
    TarCheck([], {".png"}).conclude()


def test_written_tars_are_read_back() -> None:
    samples = [("d/a.b/1", {"seg.png": b"p", "cls": b"0"}), ("d/2", {"txt": b"t"}), ("d/3", {"JPG": b"j"})]
    data = tar_of(samples)
    assert tar_of(samples) == data
    found = list(read_samples(io.BytesIO(data), frozenset([".png", ".jpg"])))
    assert [(one.key, one.path, one.data, one.more) for one in found] == [
        ("d/a.b/1", "d/a.b/1.seg.png", b"p", {"cls": b"0"}),
        ("d/3", "d/3.JPG", b"j", {}),
    ]


def test_names_with_dots_stay_apart_in_tars(photo: np.ndarray) -> None:
    """A sample's name ends at the first dot."""
    names = ["IMG_1.edit", "IMG_1.raw", "a.b", "a%2Eb", "100%"]
    members = {"png": png_bytes(photo), FACTS: b"{}"}
    data = tar_of([(f"d/{key_of(name)}", members) for name in names])
    found = list(read_samples(io.BytesIO(data), {".png"}))
    assert [one.path for one in found] == [f"d/{name}.png" for name in names]
    assert len({one.key for one in found}) == len(names)
    others = tar_of([("a%2Eb", {"png": png_bytes(photo)})])  # what npp has not written is called as it is
    assert [one.path for one in read_samples(io.BytesIO(others), {".png"})] == ["a%2Eb.png"]


def _tar(name: str, data: bytes) -> bytes:
    return tar_of([(f"{name}/{number}", {"png": data, "cls": b"1"}) for number in range(3)])


def test_damaged_tar_becomes_a_row_with_its_name_and_error(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    whole, file = (
        tmp_path / "whole.tar",
        BatchEncoder(40, effort=0).one(png_bytes(np.zeros((8, 8, 3), np.uint8))),
    )
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
