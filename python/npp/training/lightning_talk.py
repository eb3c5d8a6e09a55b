"""What Lightning says of other products, of its own code and of what is meant so."""

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
    r".*isinstance\(treespec, LeafSpec\)",  # it asks torch in a way that torch calls outdated
    r".*in eval mode at the start of training",  # as the tasks' networks are meant to be
)


def _tells_something(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_ASIDES)


@contextmanager
def without_asides() -> Iterator[None]:
    """Leaves out such messages; all others are heard."""
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
