"""What goes wrong on the command line, and how it is said."""

from __future__ import annotations

OK, SOME_FAILED, USAGE = 0, 1, 2


class UsageError(Exception):
    """The arguments do not make sense together; nothing has been done yet."""


def describe(error: Exception) -> str:
    """One line about an exception; its type only where the text alone would say too little."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.strerror}: {error.filename}"
    if isinstance(error, (OSError, ValueError)) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
