"""Standard input, output and error of the process: any of them may be closed, full, or no terminal."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from npp.batch.outcomes import single_line

if TYPE_CHECKING:
    from rich.console import Console


_ANY_WIDTH = 10_000  # columns


def console(*, stderr: bool) -> Console:
    """Rich text on standard output or error: escape codes on terminals only, whatever FORCE_COLOR says.

    Elsewhere nothing is cut: no line is too wide for a file.
    """
    from rich.console import Console  # takes as long to load as all that commands need without it

    terminal = is_terminal(sys.stderr if stderr else sys.stdout)
    return Console(stderr=stderr, force_terminal=terminal, width=None if terminal else _ANY_WIDTH)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody looks at it."""
    return stream is not None and not stream.closed and stream.isatty()


def _give_up(stream: TextIO) -> None:
    """What is left in a stream's buffer goes nowhere, so that its closing at exit does not fail once more."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def silence_output() -> None:
    """What is left to say on standard output goes nowhere."""
    if sys.stdout is not None:
        _give_up(sys.stdout)


def read_input() -> bytes:
    """All of standard input. Raises OSError."""
    if sys.stdin is None:
        raise OSError("standard input is closed")
    return sys.stdin.buffer.read()


def write_output(data: bytes | str) -> None:
    """Writes to standard output and sees to it that it arrives.

    Raises:
        OSError: it is closed, its disk is full, or its reader has gone; the message names it.
    """
    stream = sys.stdout
    if stream is None:
        raise OSError("standard output is closed")
    try:
        if isinstance(data, str):
            data = data.encode(stream.encoding or "utf-8", "backslashreplace")
        stream.flush()
        stream.buffer.write(data)
        stream.buffer.flush()
    except (OSError, ValueError) as error:  # ValueError: closed by the program
        _give_up(stream)
        reason = error.strerror if isinstance(error, OSError) else None
        raise OSError(f"standard output: {reason or error}") from error


def say(line: str) -> None:
    """A line on standard error, made one. That nobody can read it is no reason to stop the work."""
    stream = sys.stderr
    if stream is None:
        return
    try:
        stream.write(single_line(line) + "\n")
        stream.flush()
    except (OSError, ValueError):
        _give_up(stream)
