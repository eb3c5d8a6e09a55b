"""Wrong usage, which ends the command before it has done anything."""

from __future__ import annotations


class UsageError(Exception):
    """The arguments do not make sense together; nothing has been done yet."""
