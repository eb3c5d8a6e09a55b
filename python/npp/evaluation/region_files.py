"""Reading of tables of photos, above all of regions with their texts."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from npp.config.yaml_files import expand
from npp.evaluation.by_photo import entry_name
from npp.tasks.region_task import Region

_SIDES = ("x", "y", "width", "height")


class LineError(ValueError):
    """A line of a table is wrong; the message begins with its number."""


class RegionRow(NamedTuple):
    """A line of the table.

    Attributes:
        region: the region in pixels of the photo.
        text: the text in it; ``None`` if it is not given.
    """

    region: Region
    text: str | None


def read_table(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """The lines of a CSV file with their numbers; a byte order mark, as Excel writes it, is skipped.

    Raises:
        OSError: the file cannot be read.
        ValueError: a column or a value is missing, or a column occurs twice.
    """
    with path.open(encoding="utf-8-sig", newline="") as opened:
        reader = csv.DictReader(opened)
        present = reader.fieldnames or []
        # Quoted, so that blanks and invisible characters at the ends of names can be seen.
        shown = ", ".join(map(repr, present)) or "none"
        if not set(columns) <= set(present):
            raise ValueError(f"columns must be {', '.join(columns)}, not {shown}")
        if twice := [name for name, count in Counter(present).items() if count > 1]:
            raise ValueError(f"columns must be there once, not twice as {twice[0]!r}: {shown}")
        rows = [(reader.line_num, row) for row in reader]
    for line, row in rows:
        if any(row[column] is None for column in columns):
            raise LineError(f"line {line}: must have {', '.join(columns)}")
    return rows


def _message(key: str, path: Path, error: Exception) -> str:
    """The message about an error in a file."""
    if isinstance(error, OSError):
        return f"{key}: {error}"
    if isinstance(error, LineError):
        return f"{key}: {path}, {error}"
    reason = f"KeyError({error})" if isinstance(error, KeyError) else error
    return f"{key}: {path} is not of that form: {reason}"


@contextmanager
def errors_with_key(key: str, path: Path) -> Iterator[None]:
    """Turns errors about a file within the block into a ValueError that begins with the key."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(_message(key, path, error)) from error


def check_not_empty(key: str, path: Path, entries: Mapping[str, Any]) -> None:
    """Raises ValueError unless a file lists a photo."""
    if not entries:
        raise ValueError(f"{key}: {path} lists none")


def check_once(names: Iterable[str]) -> None:
    """Raises ValueError unless each photo is listed once."""
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(f"{name} is listed {count} times, and once is right")


def _number(row: Mapping[str, str], line: int, key: str) -> float:
    try:
        return float(row[key])
    except ValueError:
        raise LineError(f"line {line}: {key} must be a number of pixels, not {row[key]!r}") from None


def _region(row: Mapping[str, str], line: int) -> Region:
    left, top, width, height = (_number(row, line, key) for key in _SIDES)
    are_finite = all(map(math.isfinite, (left, top, width, height)))
    if not are_finite or min(left, top) < 0 or min(width, height) <= 0:
        region = f"a region at {left:g}, {top:g} of {width:g}x{height:g}"
        raise LineError(f"line {line}: x and y must be 0 or more and sides above 0, not {region}")
    return Region(left, top, left + width, top + height)


def regions_listed(file: str) -> dict[str, list[RegionRow]]:
    """Regions by the photo's name as in the file.

    Args:
        file: a CSV file with the columns ``file``, ``x``, ``y``, ``width``, ``height`` and perhaps ``text``;
            environment variables are expanded.

    Raises:
        ValueError: the file cannot be read, has another format or lists no region; the message begins with
            ``regions``.
    """
    path = Path(expand(file))
    regions: dict[str, list[RegionRow]] = {}
    with errors_with_key("regions", path):
        for line, row in read_table(path, ("file", *_SIDES)):
            region = RegionRow(_region(row, line), row.get("text") or None)
            regions.setdefault(entry_name(row["file"]), []).append(region)
    check_not_empty("regions", path, regions)
    return regions
