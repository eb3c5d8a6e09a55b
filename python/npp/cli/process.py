"""Start and end of the process, the same for all commands."""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from npp.batch.outcomes import describe
from npp.cli.exit_codes import OK, SOME_FAILED, STOPPED, USAGE, UsageError
from npp.cli.streams import say, silence_output


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    """Turns SIGTERM into an exception, so that temporary files are removed."""
    raise SystemExit(128 + signal.SIGTERM)


def run(work: Callable[[], int | None]) -> NoReturn:
    """Does the work and exits.

    Args:
        work: returns the exit code, or ``None`` for success, or exits by itself.
    """
    signal.signal(signal.SIGTERM, _terminate)
    # npp has its own limit on pixels and says which file is above it. By the text of Pillow's warning: its
    # class would need Pillow.
    warnings.filterwarnings("ignore", message=r"Image size \(\d+ pixels\) exceeds limit")
    code: int | None = OK
    try:
        code = work()
    except UsageError as error:
        say(f"npp: {error}")
        code = USAGE
    except KeyboardInterrupt:  # typer's commands handle it themselves
        code = STOPPED
    except OSError as error:  # commands handle errors of files; this one is about standard output
        silence_output()
        if not isinstance(
            error.__cause__ or error, BrokenPipeError
        ):  # a reader that has gone has seen enough
            say(f"npp: {describe(error)}")
        code = SOME_FAILED
    sys.exit(code)
