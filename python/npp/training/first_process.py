"""What the first of the processes of one training does for all, and how the others wait for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import lightning
from lightning.fabric.utilities.rank_zero import rank_zero_only
from torch import distributed

# How long the others wait for the first process; torch's own default is minutes.
_LONGEST = timedelta(days=7)


def is_first_process() -> bool:
    """Whether this process speaks for all that train together: Lightning knows, or who started it says so."""
    return not getattr(rank_zero_only, "rank", 0)


@contextmanager
def waited_for(trainer: lightning.Trainer) -> Iterator[None]:
    """No process leaves the block before the first one has done all that is in it.

    Where the first one fails, so do the others, as they lose the connection to it.

    Args:
        trainer: whose processes they are; they are connected.
    """
    if trainer.world_size == 1:
        yield
        return
    # A key of its own for each use, since the processes' store outlives a run.
    done = str(trainer.strategy.broadcast(f"npp done {uuid4().hex}"))
    store = _store()
    yield
    if trainer.is_global_zero:
        store.set(done, "yes")
    else:
        store.wait([done], _LONGEST)
    # The first process may have the store in its memory, and stays until all have looked.
    trainer.strategy.barrier()


def _store() -> Any:
    """The store over which torch's processes connected; unlike their process group it waits for any time."""
    return distributed.distributed_c10d._get_default_store()
