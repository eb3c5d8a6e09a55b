"""What several processes of a training begin with: one pretrains, and all have its weights."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import lightning
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback
from torch import distributed

from npp.training.lightning_module import RecipeModule

# Torch's own patience ends after minutes; where the first process fails, torchrun ends the others.
_LONGEST = timedelta(days=7)

#: Pretrains on a device; writes what came of it, and tells of it, or does neither.
Begin = Callable[[torch.device, bool], None]


class _Given(Callback):
    """Gives all processes the first one's filter, as soon as they know of each other."""

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """See Lightning."""
        module = cast(RecipeModule, pl_module)
        filter_ = module.model.preprocessor
        assert filter_ is not None
        own = filter_.state_dict() if trainer.is_global_zero else None
        state = trainer.strategy.broadcast(own)
        if not trainer.is_global_zero:
            filter_.load_state_dict(cast("dict[str, Any]", state))
            module.average_anew()


def begin_together(trainer: lightning.Trainer, begin: Begin, name: str) -> None:
    """Has the first process of a training pretrain its filter, and the others begin with that.

    Those that Lightning starts come after it anyway. Those of torchrun wait for it. Others that were started
    beside it, as by SLURM, pretrain too instead of waiting, for torch would not wait long; nothing of that is
    kept.

    Args:
        trainer: whose processes they are, before its ``fit``.
        begin: pretrains the filter of this process.
        name: of the run, the same in all processes.
    """
    device = trainer.strategy.root_device
    done = f"npp pretrained {name}"
    store = _shared_store() if trainer.world_size > 1 else None
    if trainer.is_global_zero:
        begin(device, True)
        if store is not None:
            store.set(done, "yes")
    elif store is not None:
        store.wait([done], _LONGEST)
    elif not _comes_after(trainer):
        begin(device, False)
    if trainer.world_size > 1:
        cast("list[Callback]", trainer.callbacks).append(_Given())  # type: ignore[attr-defined]


def _shared_store() -> Any:
    """What processes of torchrun share from their start on, anew each time that they are started, or None."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return None
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = distributed.TCPStore(address, port, is_master=False)  # type: ignore[attr-defined]
    restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return distributed.PrefixStore(restarts, store)  # type: ignore[attr-defined]


def _comes_after(trainer: lightning.Trainer) -> bool:
    """Whether Lightning has started this process, which it does when the first one has begun."""
    environment = getattr(trainer.strategy, "cluster_environment", None)
    return isinstance(environment, LightningEnvironment) and trainer.local_rank > 0
