"""The ``npp`` command. See docs/cli.md, or ``npp --help``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line.

    Args:
        arguments: without the program's name; ``None`` takes the process's.

    Raises:
        SystemExit: always. 0 all went well, 1 some files failed, 2 wrong usage.
    """
    try:
        from npp.cli.app import run
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing not in ("typer", "rich"):
            raise
        print(f"npp: the command line needs {missing}: pip install 'npp[cli]'", file=sys.stderr)
        sys.exit(_USAGE)
    run(arguments)
