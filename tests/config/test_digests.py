"""What says that a file or a network is another one than before."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from npp.config.digests import hash_file, hash_state


def test_a_file_is_hashed_to_its_end(tmp_path: Path) -> None:
    data = bytes(3 << 20)
    for name, content in (("a", data), ("b", data[:-1] + b"\1")):
        (tmp_path / name).write_bytes(content)
    assert hash_file(tmp_path / "a") == hashlib.sha256(data).hexdigest()
    assert hash_file(tmp_path / "a") != hash_file(tmp_path / "b")


def test_names_and_shapes_of_weights_count() -> None:
    def state_of(name: str, *shape: int) -> str:
        holder = torch.nn.Module()
        holder.register_buffer(name, torch.arange(6.0).reshape(shape))
        return hash_state(holder)

    assert len({state_of("a", 2, 3), state_of("a", 3, 2), state_of("b", 2, 3)}) == 3
    assert state_of("a", 2, 3) == state_of("a", 2, 3)
