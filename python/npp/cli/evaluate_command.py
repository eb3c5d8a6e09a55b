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

from npp.cli.file_reports import USAGE, describe
from npp.cli.streams import console, is_terminal, say

_STOPPED = 130
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
    try:
        from npp.config.yaml_files import read_config
        from npp.evaluation.evaluate_config import parse_config
        from npp.evaluation.evaluation_run import evaluate as run

        values = read_config(config, changes or [])
        checked = parse_config(values, name=config.stem, limit=limit)
        folder = out or Path(values.get("out") or Path("runs") / config.stem)
        with _stages(quiet) as stage:
            found = run(checked, folder, stage)
    except ModuleNotFoundError as error:
        hint = "" if "install" in str(error) else f"; evaluation needs {error.name}: pip install 'npp[eval]'"
        typer.echo(f"npp: {error}{hint}", err=True)
        raise typer.Exit(USAGE) from None
    except (OSError, ValueError) as error:
        typer.echo(f"npp: {config}: {describe(error)}", err=True)
        raise typer.Exit(USAGE) from None
    except KeyboardInterrupt:
        typer.echo("npp: stopped; the same command goes on from here", err=True)
        raise typer.Exit(_STOPPED) from None
    if not quiet:
        shown = console(stderr=False)
        for table in found.tables:
            shown.print(table.rich())
        typer.echo(str(folder))
