"""Exit codes of the command."""

from __future__ import annotations

OK, SOME_FAILED, USAGE = 0, 1, 2
#: By Ctrl-C.
STOPPED = 130
EXIT_CODES = "Exit code: 0 all went well, 1 some files failed, 2 wrong usage and nothing was done."
