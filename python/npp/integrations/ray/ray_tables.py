"""Whether pictures, tables or tars are given: a run reads files of one kind, and says so otherwise."""

from __future__ import annotations

import errno
import importlib
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from npp.batch.outcomes import describe
from npp.integrations.ray.ray_listings import Listing
from npp.integrations.ray.ray_sinks import is_part
from npp.integrations.ray.ray_storage import is_remote, storage_of

_PICTURES = ""
_KINDS = {_PICTURES: "pictures", ".tar": "tars", ".parquet": "tables"}


class Tables(NamedTuple):
    """Files of many pictures.

    Attributes:
        suffix: of all of them, ``.tar`` or ``.parquet``.
        paths: absolute, or URLs.
    """

    suffix: str
    paths: list[str]


def find_tables(
    sources: Sequence[Listing], suffixes: Collection[str], out: str | os.PathLike[str] | None
) -> Tables | None:
    """The tables or tars that paths and URLs mean; ``None`` where they mean pictures, or nothing.

    Tables and tars in a folder do not count where they lie in ``out`` below it, and parts that npp has
    written do not count beside files of another kind.

    Args:
        sources: files and folders.
        suffixes: of pictures in folders.
        out: folder of the results.

    Raises:
        ValueError: there are files of several kinds, or a folder that cannot be read may hold more tables.
    """
    named: list[tuple[str, str]] = []
    inside: list[tuple[str, str]] = []
    closed: list[str] = []
    for source in sources:
        kind = _kind_of(source.path)
        if kind == _PICTURES and source.is_folder:
            inside += _in_folder(source, suffixes, out, closed)
        else:
            named.append((kind, source.absolute))
    files = named + inside
    if len({kind for kind, _ in files}) > 1:
        files = named + [(kind, path) for kind, path in inside if not _is_part(kind, path)] or files
    return _of_one_kind(files, closed)


def _kind_of(path: str) -> str:
    suffixes = (suffix for suffix in _KINDS if suffix and path.lower().endswith(suffix))
    return next(suffixes, _PICTURES)


def _is_part(kind: str, path: str) -> bool:
    return kind != _PICTURES and is_part(PurePosixPath(path).name, kind)


def _in_folder(
    folder: Listing, suffixes: Collection[str], out: str | os.PathLike[str] | None, closed: list[str]
) -> list[tuple[str, str]]:
    """Kinds and paths of a folder's tables and of one picture; unreadable folders are added to ``closed``."""
    storage = folder.storage
    real = _real(storage.root)
    results = None if out is None else f"{_real(storage_of(out).root)}/"
    if results is not None and f"{real}/".startswith(results):
        results = None  # what lies in there is what was asked for
    files: list[tuple[str, str]] = []
    pictures = False
    for name in folder.names:
        kind = _kind_of(name)
        if kind == _PICTURES:
            wanted = not pictures and PurePosixPath(name).suffix.lower() in suffixes
            pictures = pictures or wanted
        else:
            wanted = results is None or not f"{real}/{name}".startswith(results)
        if wanted:
            files.append((kind, f"{storage.root}/{name}"))
    closed += [f"{storage.root}/{name}" for name in folder.unreadable]
    return files


def _of_one_kind(files: list[tuple[str, str]], closed: Sequence[str]) -> Tables | None:
    examples = dict(reversed(files))
    if len(examples) > 1:
        kinds = " and ".join(f"{_KINDS[kind]} ({path})" for kind, path in sorted(examples.items()))
        raise ValueError(
            f"there are {kinds}, and a run reads one kind: "
            "name the files that are meant, or folders of one kind"
        )
    kind = next(iter(examples), _PICTURES)
    if kind == _PICTURES:
        return None
    if closed:
        raise ValueError(f"the folder {closed[0]} cannot be read; it may hold more {kind} files")
    return Tables(kind, [path for _, path in files])


def check_apart(paths: Sequence[str], out: str | os.PathLike[str]) -> None:
    """Raises ValueError where what is read lies among what is written and may be replaced."""
    written = _real(storage_of(out).root)
    for path in paths:
        if _real(path.rpartition("/")[0]) == written:
            raise ValueError(f"out must be another folder than that of {path}, which is read")


def _real(folder: str) -> str:
    return folder if is_remote(folder) else os.path.realpath(folder)


@contextmanager
def unreadable_named(tables: Tables | None) -> Iterator[None]:
    """Names the Parquet file because of which a block ends: what pyarrow says of its pages does not.

    Files are looked at only then, first how they end and after that, one after the other, all their rows.

    Args:
        tables: that the block reads, if it does.

    Raises:
        ValueError: a file cannot be read; the message names it. Whatever else ends the block stays.
    """
    try:
        yield
    except Exception as error:
        if tables is None or tables.suffix != ".parquet" or not _may_be_of_a_file(error):
            raise
        for look in (_look_at_end, _look_at_rows):
            for path in tables.paths:
                if (why := _why_not(look, path)) is not None:
                    raise ValueError(f"{path} cannot be read as Parquet: {why}") from error
        raise


def _may_be_of_a_file(error: Exception) -> bool:
    """Whether an error may be pyarrow's about a file, on the driver or in a task of Ray's.

    Of damage pyarrow's OSError has no number; those of a full disk or a lost connection have one.
    """
    lib: Any = importlib.import_module("pyarrow.lib")
    cause = getattr(error, "cause", None) or error
    if isinstance(cause, lib.ArrowException):
        return True
    if not isinstance(cause, OSError) or isinstance(cause, (FileExistsError, BlockingIOError)):
        return False  # the latter are what npp says of results that exist and of runs into one folder
    return cause.errno in (None, errno.ENOENT)


def _why_not(look: Callable[[Any], None], path: str) -> str | None:
    """Why a file cannot be looked at so; ``None`` where it can."""
    parquet: Any = importlib.import_module("pyarrow.parquet")
    storage = storage_of(path.rpartition("/")[0])
    try:
        with parquet.ParquetFile(storage.inner_path(path), filesystem=storage.filesystem) as file:
            look(file)
    except Exception as error:  # whatever pyarrow and file systems make of it
        return describe(error)
    return None


def _look_at_end(file: Any) -> None:
    """Does nothing, for pyarrow has read the end of a file when it opens it."""


def _look_at_rows(file: Any) -> None:
    for _ in file.iter_batches(batch_size=64):
        pass
