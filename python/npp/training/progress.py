"""Who is told how far a long piece of work is."""

from __future__ import annotations


def untold(_done: int) -> None:
    """Nobody: the progress of those who give none."""
