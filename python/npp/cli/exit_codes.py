"""Exit codes of the command, and the error that stands for wrong usage."""

from __future__ import annotations

OK, SOME_FAILED, USAGE = 0, 1, 2
#: Stopped by Ctrl-C.
STOPPED = 130
EXIT_CODES = "Exit code: 0 all went well, 1 some files failed, 2 wrong usage and nothing was done."


class UsageError(Exception):
    """The arguments do not make sense together; nothing has been done yet."""
