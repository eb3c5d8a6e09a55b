"""The callbacks that a long piece of work reports its progress to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

#: Called with the amount of work done since the last call.
Progress: TypeAlias = Callable[[int], None]

#: Called with the name of a stage and its amount of work; returns the callback for that stage's progress.
Stage: TypeAlias = Callable[[str, int], Progress]


def no_stages(_name: str, _total: int) -> Progress:
    """Ignores all stages: the default where a caller gives no ``stage``."""
    return no_progress


def no_progress(_done: int) -> None:
    """Ignores the work done: the default where a caller gives no ``progress``."""
