"""Progress bars: one for each stage of a long run, and bars that write nothing if they are disabled."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import rich.progress
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from npp.cli.streams import console, is_terminal, say
from npp.progress import Progress, Stage


class SilentProgress(rich.progress.Progress):
    """Rich's progress bars; disabled ones write nothing at all.

    Before rich 14.3 disabled bars end with an empty line, in the middle of the commands' output.
    """

    def stop(self) -> None:
        if not self.disable:
            super().stop()


@contextmanager
def stage_bars(quiet: bool) -> Iterator[Stage]:
    """Shows stages as progress bars on terminals, and as one line each elsewhere."""
    terminal = is_terminal(sys.stderr)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    bars = SilentProgress(*columns, console=console(stderr=True), disable=quiet or not terminal)

    def stage(name: str, total: int) -> Progress:
        if not quiet and not terminal:
            say(f"npp: {name}")
        bars.start()
        bar = bars.add_task(name, total=total)
        return lambda done: bars.advance(bar, done)

    try:
        yield stage
    finally:
        bars.stop()
