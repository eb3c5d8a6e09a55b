"""Messages of Lightning that tell a user nothing: about other products, its own code and what is intended."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = (
    "lightning.pytorch.utilities.rank_zero",
    "lightning.fabric.utilities.rank_zero",
    "lightning.pytorch.trainer.connectors.checkpoint_connector",
)
_ASIDES = ("💡", "TPU available", "`weights_only` was not set")
_WARNINGS = (
    r".*isinstance\(treespec, LeafSpec\)",  # Lightning calls torch in a way that torch deprecates
    r".*It is recommended to use `self\.log\(.*sync_dist=True",  # of what all processes have alike
    r"Grad strides do not match bucket view strides",  # of 1x1 convolutions; torch itself calls it no error
    r".*in eval mode at the start of training",  # as the tasks' networks are on purpose
)


def _tells_something(record: logging.LogRecord) -> bool:
    """A filter of ``logging``: whether a record is to be shown."""
    return not record.getMessage().startswith(_ASIDES)


@contextmanager
def mute_lightning() -> Iterator[None]:
    """Suppresses such messages while the block runs; all others get through."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(_tells_something)
    try:
        with warnings.catch_warnings():
            for message in _WARNINGS:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        for logger in loggers:
            logger.removeFilter(_tells_something)
