"""What Lightning says of other products and of its own code, which tells nothing to who trains."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.rank_zero")
_ASIDES = ("💡", "TPU available")
_OWN_CODE = r".*isinstance\(treespec, LeafSpec\)"  # it asks torch in a way that torch calls outdated


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
            warnings.filterwarnings("ignore", message=_OWN_CODE)
            yield
    finally:
        for logger in loggers:
            logger.removeFilter(_tells_something)
