"""``npp info``, ``npp --help`` and ``npp --version`` in their usual forms, in a tenth of a second.

Loading typer takes longer than all the work of such a command. Every other form of a command line is left to
typer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

_RECURSIVE = ("--recursive", "-r")
_JSON = "--json"
_STDIN = "-"


def quick_work(arguments: Sequence[str]) -> Callable[[], int] | None:
    """The work of one of these commands.

    Args:
        arguments: arguments without the program's name.

    Returns:
        A function that returns the exit code; ``None`` for all other arguments.
    """
    if list(arguments) == ["--version"]:
        return _show_version
    if list(arguments) in (["--help"], ["-h"]):
        return _show_help
    if arguments and arguments[0] == "info":
        return _info_work(arguments[1:])
    return None


def _show_version() -> int:
    from npp.cli.streams import write_output
    from npp.codec.build import __version__

    write_output(f"npp {__version__}\n")
    return 0


def _show_help() -> int:
    from npp.cli.command_table import help_text
    from npp.cli.streams import write_output

    write_output(help_text())
    return 0


def _info_work(arguments: Sequence[str]) -> Callable[[], int] | None:
    switches = [argument for argument in arguments if argument.startswith("-") and argument != _STDIN]
    inputs = [argument for argument in arguments if argument not in switches]
    if not inputs or not set(switches) <= {*_RECURSIVE, _JSON}:
        return None

    def work() -> int:
        from npp.cli.info_report import report_files

        recursive = any(switch in _RECURSIVE for switch in switches)
        return report_files(inputs, recursive=recursive, json_report=_JSON in switches)

    return work
