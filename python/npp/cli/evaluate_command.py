"""``npp evaluate``: rate-accuracy curves of several arms, and what they say."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from npp.cli.run_errors import explained
from npp.cli.streams import console, is_terminal, say

_Stage = Callable[[str, int], Callable[[int], None]]


@contextmanager
def _stages(quiet: bool) -> Iterator[_Stage]:
    """Progress bars on terminals, a line a stage elsewhere."""
    terminal = is_terminal(sys.stderr)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(stderr=True), disable=quiet or not terminal) as bars:

        def stage(name: str, total: int) -> Callable[[int], None]:
            if not quiet and not terminal:
                say(f"npp: {name}")
            bar = bars.add_task(name, total=total)
            return lambda done: bars.advance(bar, done)

        yield stage


def evaluate(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file, see docs/evaluation.md.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results.", show_default="the configuration's out")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use at most so many photos.")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a value; repeatable.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no tables.")] = False,
) -> None:
    """Measures what arms save at equal accuracy: real files, networks, BD-rates with intervals.

    A stopped run goes on where it was when it is started again. Needs npp[eval].
    """
    with explained("eval", lambda: "the same command goes on from here", f"{config}: "):
        from npp.evaluation.evaluate_config import load_evaluation
        from npp.evaluation.evaluation_run import REPORT
        from npp.evaluation.evaluation_run import evaluate as run

        settings = load_evaluation(config, changes or [], limit=limit)
        folder = out or Path(settings.out)
        with _stages(quiet) as stage:
            found = run(settings, folder, stage)
    if not quiet:
        shown = console(stderr=False)
        for table in found.tables:
            shown.print(table.rich())
        say(f"npp: open {folder / REPORT} in a browser")
        typer.echo(str(folder))
