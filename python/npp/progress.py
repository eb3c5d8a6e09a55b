"""Who is told how far a long piece of work is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

#: Called with the amount of work done since the last call.
Progress: TypeAlias = Callable[[int], None]

#: Called with the name of a stage and its amount of work; gives the stage's progress.
Stage: TypeAlias = Callable[[str, int], Progress]


def silent(_name: str, _total: int) -> Progress:
    """Nobody is told of any stage."""
    return untold


def untold(_done: int) -> None:
    """Nobody: the progress of those who give none."""
