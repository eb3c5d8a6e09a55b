"""Checkpoints that are whole."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest
import torch

import npp.files
from npp.training.checkpoints import AtomicCheckpointIO
from npp.weight_files import read_torch_file, write_torch_file

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_killed_writer_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            os._exit(9)

    path = tmp_path / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, path)
    content = {"weights": torch.zeros(1000), "end": Bomb()}
    child = os.fork()
    if child == 0:
        AtomicCheckpointIO().save_checkpoint(content, path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert AtomicCheckpointIO().load_checkpoint(path) == {"step": 1}


class _FullDisk(io.BytesIO):
    def write(self, data: Any) -> int:
        if self.tell() > 1000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


def test_a_full_disk_is_an_error_of_the_system_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    write_torch_file(path, {"step": 1})
    monkeypatch.setattr(npp.files, "_open_unnamed", lambda folder: _FullDisk())
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_torch_file(path, {"weights": torch.zeros(10000)})
    assert caught.value.filename == str(path)
    assert read_torch_file(path) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]
