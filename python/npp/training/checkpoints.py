"""Checkpoints that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from npp.files import atomic_write

MONITOR = "val/bd_rate"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the old file and takes its name when all is on the disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """See Lightning's class of the same method.

        Raises:
            OSError: it cannot be written; the old file is as it was.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target, force=True) as file:
            torch.save(checkpoint, file)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
        """Reads tensors and plain values only; a file that wants to run code is refused."""
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)


def checkpoint_callbacks(folder: Path, every: int) -> list[ModelCheckpoint]:
    """``best.ckpt`` by :data:`MONITOR` and ``last.ckpt`` every so many steps."""
    best = ModelCheckpoint(
        folder,
        filename="best",
        monitor=MONITOR,
        mode="min",
        auto_insert_metric_name=False,
        enable_version_counter=False,
    )
    last = ModelCheckpoint(folder, filename="last", every_n_train_steps=every, enable_version_counter=False)
    return [best, last]
