"""How a run tells about its progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

#: Called with the amount of work done since the last call.
Progress: TypeAlias = Callable[[int], None]

#: Called with the name of a stage and its amount of work; gives the stage's progress.
Stage: TypeAlias = Callable[[str, int], Progress]


def silent(_name: str, _total: int) -> Progress:
    """Nobody is told."""
    return lambda _done: None
