"""Which files the arguments of a command mean."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from npp.cli.file_reports import UsageError

STDIN = "-"

#: Files that are pictures when a folder is searched; by name Pillow's other formats can be given too.
PICTURE_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("apng", "avif", "bmp", "dib", "gif", "jfif", "jp2", "jpe", "jpeg", "jpg"),
        *("pbm", "pgm", "png", "pnm", "ppm", "tga", "tif", "tiff", "webp"),
    )
)
BPG_SUFFIXES = frozenset([".bpg"])


@dataclass(frozen=True)
class Input:
    """One file to work on.

    Attributes:
        path: where it is; ``None`` is standard input.
        relative: its place below the folder or the pattern that it was found by.
    """

    path: Path | None
    relative: Path

    def __str__(self) -> str:
        return "standard input" if self.path is None else str(self.path)

    def read(self) -> bytes:
        """The file's bytes."""
        return sys.stdin.buffer.read() if self.path is None else self.path.read_bytes()


@dataclass(frozen=True)
class Inputs:
    """All files to work on.

    Attributes:
        files: each once, in the order of the arguments, a folder's by name.
        several: whether the arguments can mean several files, even if they happen to mean one.
    """

    files: tuple[Input, ...]
    several: bool


def _in_folder(folder: Path, suffixes: Collection[str], recursive: bool) -> list[Input]:
    found = folder.rglob("*") if recursive else folder.iterdir()
    files = sorted(
        path
        for path in found
        if path.suffix.lower() in suffixes
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    return [Input(path, path.relative_to(folder)) for path in files]


def _matching(pattern: str) -> list[Input]:
    fixed = Path()
    for part in Path(pattern).parts:
        if glob.has_magic(part):
            break
        fixed /= part
    # pathlib's own glob would also find hidden files.
    paths = sorted(Path(name) for name in glob.glob(pattern, recursive=True))  # noqa: PTH207
    return [Input(path, path.relative_to(fixed)) for path in paths if path.is_file()]


def _expand(argument: str, suffixes: Collection[str], recursive: bool) -> tuple[list[Input], bool]:
    """The files of one argument, and whether it can mean several."""
    path = Path(argument)
    if argument == STDIN:
        return [Input(None, Path("stdin"))], False
    if path.is_dir():
        files = _in_folder(path, suffixes, recursive)
        if not files:
            below = "" if recursive else " (--recursive searches the folders below too)"
            raise UsageError(f"{argument}: no {'/'.join(sorted(suffixes))} files in this folder{below}")
        return files, True
    if glob.has_magic(argument) and not os.path.lexists(path):
        files = _matching(argument)
        if not files:
            raise UsageError(f"{argument}: no files match")
        return files, True
    return [Input(path, Path(path.name))], False


def find_inputs(arguments: Sequence[str], suffixes: Collection[str], *, recursive: bool) -> Inputs:
    """The files that arguments mean: files, folders, patterns and ``-``.

    Args:
        arguments: as given. A missing file is no error yet: it becomes one failed file of the run.
        suffixes: what counts in folders.
        recursive: search folders below folders.

    Raises:
        UsageError: a folder or a pattern gives nothing.
    """
    found: dict[str, Input] = {}
    several = len(arguments) > 1
    for argument in arguments:
        files, many = _expand(argument, suffixes, recursive)
        several = several or many
        for file in files:
            found.setdefault(STDIN if file.path is None else os.path.realpath(file.path), file)
    return Inputs(tuple(found.values()), several)
