"""The checkpoints that a training writes: its last state and its best weights."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from npp.files import atomic_write
from npp.weight_files import write_torch_file

MONITOR = "val/bd_rate"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside the old file, whose name it takes once all is on the disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Writes a checkpoint; Lightning calls this.

        Raises:
            OSError: it cannot be written; the old file stays as it was.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_torch_file(target, checkpoint)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
        """Reads a checkpoint of tensors and plain values; a file that wants to run code is refused."""
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)


class LastCheckpoint(Checkpoint):
    """Writes ``last.ckpt`` every so many steps and after each validation.

    Where a validation follows a step, it is written after that: a run that goes on from the file must know
    which weights were best so far.

    Args:
        folder: the folder of the file.
        every: the number of steps between two writings.
    """

    def __init__(self, folder: Path, every: int) -> None:
        self._path = folder / "last.ckpt"
        self._every = every

    def on_train_batch_end(self, trainer: Trainer, *arguments: Any, **named: Any) -> None:
        """Writes the file where it is due and no validation follows; Lightning calls this."""
        step = trainer.global_step
        # Also at the last step: a checkpoint of Lightning's after it says that the only epoch is over.
        due = step % self._every == 0 or step == trainer.max_steps
        if due and step % int(trainer.val_check_batch or 1):
            trainer.save_checkpoint(self._path)

    def on_validation_end(self, trainer: Trainer, *arguments: Any, **named: Any) -> None:
        """Writes the file; Lightning calls this."""
        trainer.save_checkpoint(self._path)


def checkpoint_callbacks(folder: Path, every: int) -> list[Checkpoint]:
    """The callbacks that write ``best.ckpt``, by :data:`MONITOR`, and ``last.ckpt``, in this order."""
    best = ModelCheckpoint(
        folder,
        filename="best",
        monitor=MONITOR,
        mode="min",
        auto_insert_metric_name=False,
        enable_version_counter=False,
    )
    return [best, LastCheckpoint(folder, every)]


def take_best_along(trainer: Trainer, callbacks: dict[str, Any], folder: Path | None) -> None:
    """Copies the best weights so far to where a resumed run looks for them.

    Args:
        trainer: the resumed run's.
        callbacks: the states of Lightning's callbacks in the checkpoint; changed in place.
        folder: the folder of the checkpoint, with ``best.ckpt`` beside it; ``None`` where its validations
            cannot be compared with those that follow.
    """
    best: Any = trainer.checkpoint_callback
    state = callbacks.get(best.state_key) if isinstance(best, ModelCheckpoint) else None
    if not state or not state["best_model_path"]:
        return
    source = None if folder is None else folder / Path(state["best_model_path"]).name
    if source is None or not source.is_file():
        warnings.warn(
            "the best weights before this checkpoint are forgotten: "
            + ("they are not beside it" if folder else "another validation has chosen them"),
            stacklevel=2,
        )
        del callbacks[best.state_key]
        return
    target = Path(best.dirpath) / source.name
    if trainer.is_global_zero and source.resolve() != target.resolve():
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as original, atomic_write(target, force=True) as copy:
            shutil.copyfileobj(original, copy)
    trainer.strategy.barrier()
    state |= {"dirpath": best.dirpath, "best_model_path": str(target), "kth_best_model_path": str(target)}
    state["best_k_models"] = {str(target): state["best_model_score"]}
