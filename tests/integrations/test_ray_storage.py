"""Folders of results, on disks and by URL."""

from __future__ import annotations

from pathlib import Path

import pytest

from npp.integrations.ray.ray_storage import storage_of


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
