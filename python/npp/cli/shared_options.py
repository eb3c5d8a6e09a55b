"""Options that the commands on picture files share, with their checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer

from npp.cli.exit_codes import UsageError
from npp.cli.file_reports import print_report
from npp.cli.help_panels import FILES, MACHINES, REPORT
from npp.cli.output_files import STDOUT, WritePolicy

InputsArgument = Annotated[
    list[str],
    typer.Argument(metavar="IN", help="Files, folders, quoted patterns, or - for standard input."),
]
OutputOption = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        help="File, or folder where there are several inputs, or - for standard output.",
        rich_help_panel=FILES,
    ),
]
RecursiveOption = Annotated[
    bool, typer.Option("--recursive", "-r", help="Search folders below folders too.", rich_help_panel=FILES)
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(help="Files at the same time; default: all usable cores.", rich_help_panel=MACHINES),
]
ForceOption = Annotated[
    bool, typer.Option("--force", "-f", help="Replace files that exist.", rich_help_panel=FILES)
]
SkipExistingOption = Annotated[
    bool,
    typer.Option(
        "--skip-existing", help="Leave files that exist; go on after a stop.", rich_help_panel=FILES
    ),
]
KeepMetadataOption = Annotated[
    bool,
    typer.Option(
        "--keep-metadata/--strip-metadata", help="EXIF, ICC profile and XMP.", rich_help_panel=FILES
    ),
]
JsonReportOption = Annotated[
    bool, typer.Option("--json", help="Print a report as JSON on standard output.", rich_help_panel=REPORT)
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Say only what failed.", rich_help_panel=REPORT)
]
MaxPixelsOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="The largest picture, or all frames of an animation together.",
        show_default="178956970",
        rich_help_panel=FILES,
    ),
]


def checked(check: Any, *arguments: Any) -> Any:
    """The result of one of the library's checks; its TypeError or ValueError becomes a UsageError."""
    try:
        return check(*arguments)
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from None


def write_policy(force: bool, skip_existing: bool) -> WritePolicy:
    if force and skip_existing:
        raise UsageError("--force and --skip-existing exclude each other")
    return WritePolicy(force, skip_existing)


def check_stdout(output: str, json_report: bool) -> None:
    if output == STDOUT and json_report:
        raise UsageError("--json and --output - both want standard output")


def finish(documents: Sequence[dict[str, Any]], code: int, json_report: bool, **more: Any) -> NoReturn:
    """Ends a command with its report and exit code; a report that cannot be written is a failure, too."""
    raise typer.Exit(print_report(documents, code, **more) if json_report else code)
