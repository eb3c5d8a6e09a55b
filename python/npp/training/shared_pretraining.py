"""A pretraining that the processes of one training share: one does it, and all take its weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from npp.training.first_process import waited_for
from npp.training.lightning_module import RecipeModule

#: Pretrains on a device, writes the resulting files and reports the progress.
Begin = Callable[[torch.device], None]


class _SharedPretraining(Callback):
    """Lets the first process pretrain its filter once all are connected, and sends its weights to the others.

    Args:
        begin: pretrains the filter of this process.
    """

    def __init__(self, begin: Begin) -> None:
        self._begin = begin

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Pretrains in the first process, and waits for its weights in the others; Lightning calls this."""
        module = cast(RecipeModule, pl_module)
        preprocessor = module.model.preprocessor
        assert preprocessor is not None
        with waited_for(trainer):
            if trainer.is_global_zero:
                self._begin(trainer.strategy.root_device)
        state = trainer.strategy.broadcast(preprocessor.state_dict() if trainer.is_global_zero else None)
        if not trainer.is_global_zero:
            preprocessor.load_state_dict(cast("dict[str, Any]", state))
            module.average_anew()


def begin_together(trainer: lightning.Trainer, begin: Begin) -> None:
    """Pretrains the filter in the first process of a training, and gives its weights to all others.

    The other processes wait for the first one within ``fit``, whoever has started them: Lightning, torchrun,
    SLURM or another. Where the first one fails, so do they.

    Args:
        trainer: whose processes they are, before its ``fit``.
        begin: pretrains the filter of this process.
    """
    if trainer.world_size > 1:
        cast("list[Callback]", trainer.callbacks).append(_SharedPretraining(begin))  # type: ignore[attr-defined]
    else:
        begin(trainer.strategy.root_device)
