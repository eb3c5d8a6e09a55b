"""A file may come as bytes, any buffer, an array, a tensor, a path or an open file."""

from __future__ import annotations

import io
import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import npp
from npp.codec.file_inputs import file_bytes


@pytest.fixture(scope="module")
def path(photo: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("files") / "photo.bpg"
    found.write_bytes(npp.encode(photo, 40, effort=0))
    return found


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


FORMS: dict[str, Callable[[Path], Any]] = {
    "bytes": Path.read_bytes,
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "memoryview": lambda path: memoryview(path.read_bytes()),
    "every second byte": lambda path: memoryview(np.repeat(np.fromfile(path, np.uint8), 2).data)[::2],
    "mmap": _mapped,
    "array": lambda path: np.fromfile(path, np.uint8),
    "array with strides": lambda path: np.repeat(np.fromfile(path, np.uint8), 2)[::2],
    "tensor": lambda path: torch.from_numpy(np.fromfile(path, np.uint8)),
    "tensor with strides": lambda path: torch.from_numpy(np.repeat(np.fromfile(path, np.uint8), 2))[::2],
    "path": lambda path: path,
    "text": str,
    "BytesIO": lambda path: io.BytesIO(path.read_bytes()),
    "open file": lambda path: path.open("rb"),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_every_form_decodes_alike(form: Callable[[Path], Any], path: Path) -> None:
    expected = npp.decode(path.read_bytes())
    given = form(path)
    assert torch.equal(npp.decode(given), expected)
    if hasattr(given, "seek"):
        given.seek(0)
    assert npp.probe(given) == npp.probe(path.read_bytes())
    if hasattr(given, "seek"):
        given.seek(0)
    assert torch.equal(npp.decompress([given], dtype=torch.uint8)[0], expected)
    if hasattr(given, "close"):
        given.close()


def test_an_open_file_is_read_from_where_it_stands(path: Path) -> None:
    file = io.BytesIO(b"before" + path.read_bytes())
    file.seek(6)
    assert torch.equal(npp.decode(file), npp.decode(path))


def test_lists_mix_forms(path: Path) -> None:
    one, two = npp.decode([path, torch.from_numpy(np.fromfile(path, np.uint8))])
    assert torch.equal(one, two)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros(4, np.float32), "array of float32"),
        (np.zeros((2, 2), np.uint8), r"shape \(2, 2\)"),
        (torch.zeros(4), "tensor of torch.float32"),
        (torch.zeros(2, 2, dtype=torch.uint8), r"shape \(2, 2\)"),
        (io.StringIO("BPG"), "binary mode"),
        (3, "not int"),
        (None, "not NoneType"),
    ],
)
def test_what_is_no_file_is_named(data: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        npp.decode(data)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=message):
        npp.probe(data)  # type: ignore[arg-type]


def test_a_path_that_is_not_there(path: Path) -> None:
    absent = path.with_name("absent.bpg")
    for read in (npp.decode, npp.probe):
        with pytest.raises(FileNotFoundError, match=r"absent\.bpg"):
            read(absent)
    first, second = npp.decode([absent, path], errors="return")
    assert isinstance(first, FileNotFoundError)
    assert torch.equal(second, npp.decode(path))
    assert isinstance(npp.decode(absent, errors="return"), FileNotFoundError)


def test_bytes_are_not_copied(path: Path) -> None:
    data = path.read_bytes()
    assert file_bytes(data, "data") is data


def test_a_wrong_file_is_named_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(b"no picture at all")
    good = npp.encode(torch.rand(3, 16, 16))
    for given in (path, str(path)):
        with pytest.raises(npp.DecodeError, match=r"^.*photo\.png: not a BPG file"):
            npp.decode(given)
    with pytest.raises(npp.DecodeError, match=r"^.*photo\.png: not a BPG file") as caught:
        npp.decode([good, path])
    assert caught.value.index == 1
