"""Standard input, output and error, any of which may be closed, full, or no terminal."""

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
    """A rich console on standard output or error, with escape codes on terminals only.

    FORCE_COLOR is ignored. Lines for files are not cut to the width of a terminal.
    """
    from rich.console import Console  # loading it takes as long as all else that commands need

    terminal = is_terminal(sys.stderr if stderr else sys.stdout)
    return Console(stderr=stderr, force_terminal=terminal, width=None if terminal else _ANY_WIDTH)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether the stream is a terminal."""
    return stream is not None and not stream.closed and stream.isatty()


def _give_up(stream: TextIO) -> None:
    """Discards a stream's buffer, so that closing it at exit does not fail again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def silence_output() -> None:
    """Discards further output on standard output."""
    if sys.stdout is not None:
        _give_up(sys.stdout)


def read_input() -> bytes:
    """All of standard input. Raises OSError if it cannot be read."""
    if sys.stdin is None:
        raise OSError("standard input is closed")
    return sys.stdin.buffer.read()


def write_output(data: bytes | str) -> None:
    """Writes to standard output and flushes it.

    Raises:
        OSError: the stream is closed, its disk is full, or its reader has gone; the message says so.
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
    """Prints text on standard error as one line. Errors are ignored, for the work must go on."""
    stream = sys.stderr
    if stream is None:
        return
    try:
        stream.write(single_line(line) + "\n")
        stream.flush()
    except (OSError, ValueError):
        _give_up(stream)
