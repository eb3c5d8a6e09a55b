"""Columns of the tables that go through a cluster: npp's own, under names that no user's has, and results'.

Names of files are text in them. Bytes of a name that are no UTF-8, which neither Arrow nor Parquet takes as
text, stand there as escapes and are found again.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from npp.integrations.ray.ray_tars import COLUMNS, FACTS

_PREFIX = "__npp_"
#: What a manifest calls a row's picture.
INPUT = f"{_PREFIX}input"
#: Where a worker finds it; without this column, and without the picture's bytes, at its input.
PATH = f"{_PREFIX}path"
#: The result's name below the folder of the results.
TARGET = f"{_PREFIX}target"
#: The path of the result of an earlier run, if there is one.
EARLIER_RESULT = f"{_PREFIX}earlier_result"
#: The name of a tar's sample, and its members beside the picture.
KEY, MORE = f"{_PREFIX}key", f"{_PREFIX}more"

#: Why a row has no picture, where that is known before a worker looks for it.
ERROR = f"{_PREFIX}error"

#: The column of pictures' bytes where a call names none.
DEFAULT_PICTURE = "bytes"

#: Columns of results, beside the file itself, with their types in Arrow.
RESULTS = {
    "input": "string",
    "bytes": "int64",
    "bpp": "float64",
    "qp": "int64",
    "checksum": "string",
    "error": "string",
}
# What some of npp's own columns are called among the results.
_PUBLIC = {PATH: "path", KEY: "key", MORE: "more"}

_ESCAPE = re.compile(r"\\x(5c|[89a-f][0-9a-f])")


def as_text(name: str) -> str:
    r"""A name as text that every program takes: bytes that are no UTF-8 stand there as ``\xe9``."""
    return readable(_ESCAPE.sub(r"\\x5cx\1", name))


def from_text(text: str) -> str:
    """The name that :func:`as_text` wrote, with its escapes as the bytes they stand for, as Python has it."""
    return _ESCAPE.sub(lambda match: bytes.fromhex(match[1]).decode("utf-8", "surrogateescape"), text)


def readable(text: str) -> str:
    """Text for people with escapes in place of bytes that are no UTF-8, not to be read back."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def column_of(names: Iterable[str | None]) -> Any:
    """Names as a column of text in Arrow; null for ``None``."""
    pa: Any = importlib.import_module("pyarrow")
    return pa.array([None if name is None else as_text(name) for name in names], pa.string())


def names_in(table: Any, column: str) -> list[str]:
    """The names in a column."""
    return [from_text(text) for text in table[column].to_pylist()]


def name_at(table: Any, column: str, row: int) -> str | None:
    """The name in a row; ``None`` where there is none, or no such column."""
    text = table[column][row].as_py() if column in table.column_names else None
    return None if text is None else from_text(text)


def written_by_npp(columns: Collection[str]) -> bool:
    """Whether a table has the columns of results: npp has written it."""
    return RESULTS.keys() <= set(columns)


def users_columns(columns: Iterable[str], column: str, result: str) -> list[str]:
    """The columns that stay as they are: neither the pictures', npp's own nor those of earlier results."""
    columns = list(columns)
    earlier = {result, *RESULTS} if written_by_npp(columns) else set()
    return [name for name in columns if name not in earlier | {column} and not name.startswith(_PREFIX)]


def published(table: Any) -> Any:
    """A table without npp's own columns, or with the name that users see where that may be of use."""
    names = [name for name in table.column_names if not name.startswith(_PREFIX) or name in _PUBLIC]
    return table.select(names).rename_columns([_PUBLIC.get(name, name) for name in names])


@dataclass(frozen=True)
class Columns:
    """What the columns of a user's table are for.

    Attributes:
        key: names the rows.
        picture: holds the pictures' bytes, if it is there.
        result: will hold the results.
        format: where the results go, as of :func:`npp.integrations.ray.encode`; ``None`` where a data set
            is given back.
    """

    key: str
    picture: str
    result: str
    format: str | None

    def key_in(self, columns: Collection[str]) -> str:
        """The column that names the rows: tables of npp's say it themselves, unless told otherwise."""
        return "input" if self.key == "path" and written_by_npp(columns) else self.key

    def check(self, columns: Collection[str]) -> None:
        """Refuses a table whose rows have no names or pictures, or that would lose a column of the user's.

        Without the column of pictures that a call has by itself, the names are paths; one that was asked for
        must be there.

        Raises:
            ValueError: the message names the column.
        """
        key = self.key_in(columns)
        if key not in columns:
            raise ValueError(f"key must be a column of the data set ({', '.join(columns)}), not {key!r}")
        if self.picture not in columns and self.picture != DEFAULT_PICTURE:
            raise ValueError(
                f"column must be a column of the data set ({', '.join(columns)}), not {self.picture!r}"
            )
        written = self._written() - {self.picture}
        if key == "input":
            written -= {key}
        kept = users_columns(columns, self.picture, self.result)
        clashes = [name for name in columns if name.startswith(_PREFIX)] + [
            name for name in kept if name in written
        ]
        if clashes:
            raise ValueError(
                f"the column {clashes[0]!r} has the name of one that npp writes; rename it, as "
                f"dataset.rename_columns({{{clashes[0]!r}: 'my_{clashes[0].strip('_')}'}}) does"
            )

    def _written(self) -> set[str]:
        if self.format == "files":
            return set()
        return {self.result, FACTS, COLUMNS} if self.format == "webdataset" else {self.result, *RESULTS}
