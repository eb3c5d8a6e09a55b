"""Results that existed before a run: a file counts as one only if the run could have written it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from npp.batch.outcomes import FileResult, describe
from npp.codec.decoding import probe
from npp.recipes.size_extension import bpp_of


def existing_bpg(name: str, read: Callable[[], bytes], known: Mapping[str, Any] | None = None) -> FileResult:
    """The result of a BPG file that existed before the run.

    Args:
        name: of the file, for messages.
        read: gives its bytes.
        known: further facts about it, which override those read from the file.

    Returns:
        The file with its ``bpp``; an error if it cannot be read or is no BPG file, such as an empty one.
    """
    try:
        file = read()
        return FileResult(file, {"bpp": bpp_of(file, probe(file)), **(known or {})})
    except Exception as error:  # a damaged file may raise anything, and the other files go on
        return FileResult.failed(f"{name} was there before, and: {describe(error)}")


def existing_file(name: str, read: Callable[[], bytes]) -> FileResult:
    """The result of a file that existed before the run, which is checked if its name is that of a BPG file.

    Args:
        name: of the file; one that ends in ``.bpg`` must be a BPG file, others are not checked.
        read: gives its bytes.

    Returns:
        The file; an error if it cannot be read or is not the kind of file that its name says.
    """
    if name.lower().endswith(".bpg"):
        return existing_bpg(name, read)
    try:
        return FileResult(read())
    except OSError as error:
        return FileResult.failed(f"{name} was there before, and: {describe(error)}")
