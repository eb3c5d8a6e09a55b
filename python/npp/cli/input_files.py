"""The input files that the arguments of a command name."""

from __future__ import annotations

import errno
import glob
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from npp.batch.normalised_paths import without_dots
from npp.cli.exit_codes import UsageError
from npp.cli.streams import read_input
from npp.photos.finding import is_to_be_opened, parts_fit, visible_files

STDIN = "-"
# Errors of what is no folder: it does not exist, is a file, or a link to itself.
_NO_FOLDER = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


@dataclass(frozen=True)
class Input:
    """One file to work on.

    Attributes:
        path: path of the file; ``None`` for standard input.
        relative: its path below the folder or the pattern that it was found by.
        error: the reason why it cannot be read, if that is known already: the input is a folder that
            cannot be listed, and fails in place of the files in it.
    """

    path: Path | None
    relative: Path
    error: OSError | None = None

    def __str__(self) -> str:
        return "standard input" if self.path is None else str(self.path)

    def read(self) -> bytes:
        """The bytes of the file. Raises OSError if it cannot be read."""
        if self.error is not None:
            raise self.error
        return read_input() if self.path is None else self.path.read_bytes()


@dataclass(frozen=True)
class Inputs:
    """All files to work on.

    Attributes:
        files: each once, in the order of the arguments and sorted by name in a folder. Several links to one
            file are several files.
        several: whether the arguments can name several files, even if they name one now.
    """

    files: tuple[Input, ...]
    several: bool


def _in_folder(folder: Path, suffixes: Collection[str], recursive: bool) -> list[Input]:
    closed: list[OSError] = []
    below = visible_files(folder, unreadable=closed.append, recursive=recursive)
    files = sorted(path for path in below if path.suffix.lower() in suffixes)
    return [Input(path, path.relative_to(folder)) for path in files] + _closed_folders(closed, folder)


def _closed_folders(errors: Sequence[OSError], root: Path) -> list[Input]:
    """Inputs that stand for folders that cannot be listed."""
    found = [(Path(error.filename), error) for error in errors]
    return [Input(path, path.relative_to(root) / "*", error) for path, error in found]


def _matching(pattern: str) -> list[Input]:
    parts = Path(pattern).parts
    first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    fixed = Path(*parts[:first])
    closed: list[OSError] = []
    if "**" in parts:  # glob's own would walk in circles where a link leads back
        below = visible_files(fixed, unreadable=closed.append) if fixed.is_dir() else iter(())
        paths = [path for path in below if parts_fit(path.relative_to(fixed).parts, parts[first:])]
    else:
        found = map(Path, glob.glob(pattern))  # noqa: PTH207 (pathlib's own would also find hidden files)
        paths = [path for path in found if is_to_be_opened(path)]
        closed = _closed_within(parts, first)
    return [Input(path, path.relative_to(fixed)) for path in sorted(paths)] + _closed_folders(closed, fixed)


def _closed_within(parts: Sequence[str], first: int) -> list[OSError]:
    """Folders of a pattern that cannot be listed, which glob silently skips.

    Args:
        parts: parts of the pattern.
        first: index of the first part that has a wildcard.
    """
    closed = []
    for place in range(first, len(parts)):
        if not glob.has_magic(parts[place]):
            continue
        above = str(Path(*parts[:place]))
        for folder in sorted(glob.glob(above)) if place > first else [above]:  # noqa: PTH207 (as above)
            try:
                os.scandir(folder).close()
            except OSError as error:
                if error.errno not in _NO_FOLDER:
                    closed.append(error)
    return closed


def _expand(argument: str, suffixes: Collection[str], recursive: bool) -> tuple[list[Input], bool]:
    """The files of one argument, and whether it can name several."""
    path = Path(argument)
    if argument == STDIN:
        return [Input(None, Path("stdin"))], False
    if os.path.isdir(path):  # noqa: PTH112 (pathlib's own raises where nobody may look, which is one failed file)
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
    """The files that arguments name: files, folders, patterns and ``-``.

    Args:
        arguments: the arguments. A missing file is no error yet: it becomes one failed file of the run.
        suffixes: suffixes of the files that are taken from folders.
        recursive: whether subfolders are searched.

    Raises:
        UsageError: a folder or a pattern has no files, or an argument is empty.
    """
    found: list[Input] = []
    seen: set[object] = set()
    several = len(arguments) > 1
    if "" in arguments:
        raise UsageError("an input is empty; . is the folder where the command runs")
    for argument in arguments:
        files, many = _expand(argument, suffixes, recursive)
        several = several or many
        for file in files:
            names = _names(file)
            if seen.isdisjoint(names):
                found.append(file)
            seen.update(names)
    return Inputs(tuple(found), several)


def _names(file: Input) -> list[object]:
    """Keys by which a file that was found before is recognised: its path, or its place in the output."""
    if file.path is None:
        return [STDIN]
    return [without_dots(file.path), (os.path.realpath(file.path), file.relative)]
