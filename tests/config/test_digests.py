"""What says that a file or a network is another one than before."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from npp.config.digests import hash_file, hash_files, hash_sources, hash_state


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


def test_sources_are_the_same_in_every_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which the text of a function is not, and neither are those of packages where these do not count."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "of_digests.py").write_text("def net(): ...\n")
    import of_digests  # type: ignore[import-not-found]

    given = {"model": of_digests.net, "depth": 3}
    assert hash_files(given) != hash_files(given)
    own = [hash_file(tmp_path / "of_digests.py")]
    assert hash_sources(given, installed=False) == hash_sources(given, installed=True) == own
    named = ["python:of_digests:net", torch.nn.Identity()]
    assert hash_sources(named, installed=False) == own
    assert len(hash_sources(named, installed=True)) == 2
