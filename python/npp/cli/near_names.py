"""Which command somebody may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """A question to put behind a message about a command that is not there; empty where none is near.

    Args:
        word: what was given.
        names: of the commands. Those that begin with the word come before those that look like it.
    """
    word, known = word.lower(), list(names)
    near = [name for name in known if word and name.startswith(word)] or get_close_matches(word, known)
    return f" Did you mean {' or '.join(near)}?" if near else ""
