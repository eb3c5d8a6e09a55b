"""Results that were there before a run: a file is one only where it is what the run would have written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from npp.batch.outcomes import FileResult, describe
from npp.codec.decoding import probe
from npp.recipes.size_extension import bpp_of


def existing_bpg(name: str, read: Callable[[], bytes], known: Mapping[str, Any] | None = None) -> FileResult:
    """What is known about a BPG file that was there before.

    Args:
        name: of the file, for messages.
        read: gives its bytes.
        known: further facts about it, which count more than what it says itself.

    Returns:
        The file with its ``bpp``; an error where it cannot be read or is no BPG file, as an empty one.
    """
    try:
        file = read()
        return FileResult(file, {"bpp": bpp_of(file, probe(file)), **(known or {})})
    except Exception as error:  # whatever a strange file brings out: the others go on
        return FileResult.failed(f"{name} was there before, and: {describe(error)}")


def existing_file(name: str, read: Callable[[], bytes]) -> FileResult:
    """What is known about a file that was there before: more of one that is called as a BPG file.

    Args:
        name: of the file; one that ends in ``.bpg`` must be a BPG file, others are taken as they are.
        read: gives its bytes.

    Returns:
        The file; an error where it cannot be read, or is not what its name says.
    """
    if name.lower().endswith(".bpg"):
        return existing_bpg(name, read)
    try:
        return FileResult(read())
    except OSError as error:
        return FileResult.failed(f"{name} was there before, and: {describe(error)}")
