"""The command ``npp evaluate``: rate-accuracy curves of several arms and comparisons of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from npp.cli.help_panels import FILES, PAGE, REPORT, SETTINGS
from npp.cli.progress_bars import stage_bars
from npp.cli.run_errors import explained
from npp.cli.streams import console, say


def _photos(count: int, limit: int | None) -> str:
    """The number of photos in words; with a limit there may be more, which were not counted."""
    if limit is None or count < limit:
        return f"{count} photos"
    return f"{count} photos, the most that --limit allows; intervals over few photos say little"


def evaluate(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG", help=f"YAML file; {PAGE} 'Does it save bits?' has examples and all settings."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the results.", show_default="the configuration's out", rich_help_panel=FILES
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Use at most so many photos.", rich_help_panel=SETTINGS)
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Replace a value; repeatable.", rich_help_panel=SETTINGS
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress, no tables.", rich_help_panel=REPORT)
    ] = False,
) -> None:
    """Measures what recipes save for a network (needs npp[eval]).

    Photos are coded in several ways, the arms; networks look at them; BD-rates with intervals say by how many
    percent the bits of the files differ where the networks see equally much. A stopped run goes on where it
    was when it is started again.
    """
    stages: list[str] = []
    with explained("eval", lambda: "the same command goes on from here", config, lambda: bool(stages)):
        from npp.evaluation.evaluate_config import load_evaluation
        from npp.evaluation.evaluation_run import REPORT
        from npp.evaluation.evaluation_run import evaluate as run

        settings = load_evaluation(config, changes or [], limit=limit)
        folder = out or Path(settings.out)
        with stage_bars(quiet) as bars:

            def stage(name: str, total: int) -> Callable[[int], None]:
                stages.append(name)
                return bars(name, total)

            results = run(settings, folder, stage)
    if not quiet:
        output = console(stderr=False)
        for table in results.tables:
            output.print(table.rich())
        count, arms = len(results.measured.pictures), len(results.measured.arms)
        say(f"npp: measured {arms} arms at {len(settings.qps)} qps on {_photos(count, limit)}")
        say(f"npp: all results lie in {folder}")
        say(f"npp: open {folder / REPORT} in a browser")
        typer.echo(str(folder))
