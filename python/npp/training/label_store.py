"""Labelled pictures, and the shards in which a folder holds them: files of several pictures each."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from npp.files import write_file

#: Standard deviation in blocks by which labels are smoothed to be learned and ranked: that of npp.qp_map.
SIGMA = 0.7


class Labelled(NamedTuple):
    """One picture with its labels.

    Attributes:
        x: (H, W, 3) uint8, sides multiples of 16.
        qp: at which it was labelled.
        logarithms: log2 importance (H/16, W/16) float32 by the name of the network.
    """

    x: np.ndarray
    qp: int
    logarithms: dict[str, np.ndarray]

    def picture(self) -> Tensor:
        """The picture as a tensor (1, 3, H, W) in [0, 1]."""
        return torch.from_numpy(self.x).permute(2, 0, 1)[None].float() / 255


def shard_path(folder: Path, seed: int, index: int) -> Path:
    """The file for the shard of an index, counted from 0, of the labels that a seed draws."""
    return folder / f"labels-{seed}-{index:05d}.npz"


def write_shard(path: Path, labelled: Sequence[Labelled]) -> None:
    """Writes labelled pictures as one file, whole or not at all; the maps are stored in half precision.

    Raises:
        OSError: it cannot be written.
    """
    arrays: dict[str, np.ndarray] = {}
    for index, one in enumerate(labelled):
        arrays[f"{index}.x"] = one.x
        arrays[f"{index}.qp"] = np.array(one.qp)
        for name, values in one.logarithms.items():
            arrays[f"{index}.map.{name}"] = values.astype(np.float16)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_file(path, buffer.getvalue(), force=True)


def read_shards(folder: Path) -> list[Labelled]:
    """All pictures of a folder of shards and of the folders in it, in order.

    Raises:
        ValueError: there are none.
    """
    found = []
    for path in sorted(folder.rglob("labels-*.npz")):
        with np.load(path, allow_pickle=False) as arrays:
            for index in range(sum(name.endswith(".x") for name in arrays.files)):
                prefix = f"{index}.map."
                names = [name.removeprefix(prefix) for name in arrays.files if name.startswith(prefix)]
                maps = {name: arrays[prefix + name].astype(np.float32) for name in names}
                found.append(Labelled(arrays[f"{index}.x"], int(arrays[f"{index}.qp"]), maps))
    if not found:
        raise ValueError(f"{folder} holds no labels; label_photos writes them")
    return found
