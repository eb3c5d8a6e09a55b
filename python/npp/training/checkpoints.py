"""Checkpoints that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

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


class LastCheckpoint(Checkpoint):
    """Writes ``last.ckpt`` every so many steps and after each validation.

    Where a step is followed by a validation it waits for that one: what goes on from the file must know
    which weights were best so far.

    Args:
        folder: where it is.
        every: steps.
    """

    def __init__(self, folder: Path, every: int) -> None:
        self._path = folder / "last.ckpt"
        self._every = every

    def on_train_batch_end(self, trainer: Trainer, *arguments: Any, **named: Any) -> None:
        """See Lightning."""
        step = trainer.global_step
        if step % self._every == 0 and step % int(trainer.val_check_batch or 1):
            trainer.save_checkpoint(self._path)

    def on_validation_end(self, trainer: Trainer, *arguments: Any, **named: Any) -> None:
        """See Lightning."""
        trainer.save_checkpoint(self._path)


def checkpoint_callbacks(folder: Path, every: int) -> list[Checkpoint]:
    """``best.ckpt`` by :data:`MONITOR`, and then :class:`LastCheckpoint`."""
    best = ModelCheckpoint(
        folder,
        filename="best",
        monitor=MONITOR,
        mode="min",
        auto_insert_metric_name=False,
        enable_version_counter=False,
    )
    return [best, LastCheckpoint(folder, every)]
