"""Suggestions for mistyped names of commands."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def near_commands(word: str, names: Iterable[str]) -> str:
    """A question for the end of a message about an unknown command; empty if no name is similar.

    Args:
        word: the given word.
        names: names of the commands. Those that begin with the word come before similar ones.
    """
    word, known = word.lower(), list(names)
    near = [name for name in known if word and name.startswith(word)] or get_close_matches(word, known)
    return f" Did you mean {' or '.join(near)}?" if near else ""
