"""How far the demo is: bars on terminals, a line for each stage elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

#: Called with the amount of work done since the last call.
Progress: TypeAlias = Callable[[int], None]
#: Called with a stage's name and its amount of work; gives the stage's progress.
Stage: TypeAlias = Callable[[str, int], Progress]


def untold(_done: int) -> None:
    """The progress of those who give none."""


def silent(_name: str, _total: int) -> Progress:
    """The stages of those who give none."""
    return untold


@contextmanager
def stage_bars() -> Iterator[Stage]:
    """Shows the stages that begin before it ends, on standard error."""
    terminal = sys.stderr.isatty()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True), disable=not terminal) as bars:

        def stage(name: str, total: int) -> Progress:
            if not terminal:
                print(f"npp: {name}", file=sys.stderr, flush=True)
            bar = bars.add_task(name, total=total)
            return lambda done: bars.advance(bar, done)

        yield stage
