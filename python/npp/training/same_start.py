"""What several processes of a training begin with: one pretrains, and all have its weights."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import distributed

from npp.training.lightning_module import RecipeModule

# Torch's own patience with what processes say to each other ends after minutes.
_LONGEST = timedelta(days=7)

#: Pretrains on a device; writes what came of it, and tells of it.
Begin = Callable[[torch.device], None]


class _Together(Callback):
    """Has the first of all processes pretrain its filter, as soon as they know of each other, for all.

    Args:
        begin: pretrains the filter of this process.
    """

    def __init__(self, begin: Begin) -> None:
        self._begin = begin

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """See Lightning."""
        module = cast(RecipeModule, pl_module)
        filter_ = module.model.preprocessor
        assert filter_ is not None
        # Of its own for each run: the store of the processes outlives it.
        done = str(trainer.strategy.broadcast(f"npp pretrained {uuid4().hex}"))
        store = _store()
        if trainer.is_global_zero:
            self._begin(trainer.strategy.root_device)
            store.set(done, "yes")
        else:
            store.wait([done], _LONGEST)
        state = trainer.strategy.broadcast(filter_.state_dict() if trainer.is_global_zero else None)
        if not trainer.is_global_zero:
            filter_.load_state_dict(cast("dict[str, Any]", state))
            module.average_anew()


def begin_together(trainer: lightning.Trainer, begin: Begin) -> None:
    """Has the first process of a training pretrain its filter, and the others begin with that.

    Of several processes the others wait for the first one within ``fit``, whoever has started them:
    Lightning, torchrun, SLURM or another. Where the first one fails, so do they.

    Args:
        trainer: whose processes they are, before its ``fit``.
        begin: pretrains the filter of this process.
    """
    if trainer.world_size > 1:
        cast("list[Callback]", trainer.callbacks).append(_Together(begin))  # type: ignore[attr-defined]
    else:
        begin(trainer.strategy.root_device)


def _store() -> Any:
    """By which torch's processes have found each other: unlike their group it waits as long as one wants."""
    return distributed.distributed_c10d._get_default_store()
