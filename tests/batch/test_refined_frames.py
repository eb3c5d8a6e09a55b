"""A network's file is told from what lay there before."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from npp.batch.refined_frames import colour_of, file_stamp


def test_a_file_is_another_by_its_time_or_its_size(tmp_path: Path) -> None:
    path = tmp_path / "network.pt2"
    assert file_stamp(str(path)) is None and file_stamp(str(tmp_path)) is None

    def stamp(data: bytes, nanoseconds: int) -> tuple[int, int] | None:
        path.write_bytes(data)
        os.utime(path, ns=(nanoseconds, nanoseconds))
        return file_stamp(str(path))

    first = stamp(b"one", 10**18)
    assert first == (10**18, 3) == stamp(b"one", 10**18)
    assert stamp(b"two", 10**18 + 1000) != first != stamp(b"four", 10**18)


def test_networks_see_colour_without_alpha() -> None:
    gray, alpha = torch.rand(2, 1, 4, 5), torch.rand(2, 4, 4, 5)
    assert torch.equal(colour_of(gray), torch.cat([gray] * 3, 1))
    assert torch.equal(colour_of(alpha), alpha[:, :3])
