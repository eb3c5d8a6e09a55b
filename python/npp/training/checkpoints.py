"""What a training writes on the way: its last state and its best weights."""

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
    """Writes beside the old file and takes its name when all is on the disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """See Lightning's class of the same method.

        Raises:
            OSError: it cannot be written; the old file is as it was.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_torch_file(target, checkpoint)

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
        # The last step too: what Lightning would write after the run says that its only epoch is over.
        due = step % self._every == 0 or step == trainer.max_steps
        if due and step % int(trainer.val_check_batch or 1):
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


def take_best_along(trainer: Trainer, callbacks: dict[str, Any], folder: Path | None) -> None:
    """Makes a run that goes on in another place know its best weights so far.

    Args:
        trainer: of the run that goes on.
        callbacks: what the checkpoint says of Lightning's callbacks; changed in place.
        folder: where the checkpoint lies, with ``best.ckpt`` beside it; ``None`` where its validations cannot
            be compared with those that follow.
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
