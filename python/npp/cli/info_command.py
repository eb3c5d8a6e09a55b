"""The command ``npp info``."""

from __future__ import annotations

from typing import Annotated

import typer

from npp.cli.help_panels import REPORT
from npp.cli.info_report import report_files
from npp.cli.shared_options import InputsArgument, RecursiveOption


def info(
    inputs: InputsArgument,
    recursive: RecursiveOption = False,
    json_report: Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=REPORT)] = False,
) -> None:
    """Shows what BPG files say about themselves, without decoding their pictures."""
    code = report_files(inputs, recursive=recursive, json_report=json_report)
    raise typer.Exit(code)
