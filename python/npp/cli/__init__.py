"""The ``npp`` command. See docs/cli.md, or ``npp --help``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from npp.cli.exit_codes import STOPPED, USAGE
from npp.extras import MissingPackageError, need


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line.

    Args:
        arguments: arguments without the program's name; ``None`` takes those of the process.

    Raises:
        SystemExit: always. 0 all went well, 1 some files failed, 2 wrong usage, 130 stopped by Ctrl-C.
    """
    try:
        _run(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:  # before the work has begun; later the commands handle it
        sys.exit(STOPPED)


def _run(arguments: list[str]) -> NoReturn:
    try:
        need("the command line", "typer", "rich")
    except MissingPackageError as error:
        print(f"npp: {error}", file=sys.stderr)
        sys.exit(USAGE)
    from npp.cli.process import run
    from npp.cli.quick import quick_work

    run(quick_work(arguments) or (lambda: _with_typer(arguments)))


def _with_typer(arguments: list[str]) -> None:
    from npp.cli.app import app

    app(arguments)
