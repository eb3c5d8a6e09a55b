"""Which parts of photos are looked at, and what is written there: a table."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from npp.config.yaml_files import expand
from npp.tasks.region_task import Region

_SIDES = ("x", "y", "width", "height")


class RegionRow(NamedTuple):
    """A line of the table.

    Attributes:
        region: in pixels of the photo.
        text: what is written there; ``None`` where nobody says.
    """

    region: Region
    text: str | None


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The lines of a CSV file, with or without the mark that Excel puts in front.

    Raises:
        OSError: it cannot be read.
        ValueError: a column or a value is missing.
    """
    with path.open(encoding="utf-8-sig", newline="") as opened:
        reader = csv.DictReader(opened)
        there = reader.fieldnames or []
        if not set(columns) <= set(there):
            raise ValueError(f"columns must be {', '.join(columns)}, not {', '.join(there) or 'none'}")
        rows = list(reader)
    for number, row in enumerate(rows, 2):
        if any(row[column] is None for column in columns):
            raise ValueError(f"row {number} must have {', '.join(columns)}")
    return rows


def check_once(names: Iterable[str]) -> None:
    """Raises ValueError where photos of one name, which stand in several folders, would be mixed up."""
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(f"{name} is listed {count} times, and real labels go by file name")


def read_regions(file: str) -> dict[str, list[RegionRow]]:
    """Regions by the photo's file name, without folders.

    Args:
        file: a CSV file with the columns ``file``, ``x``, ``y``, ``width``, ``height`` and perhaps ``text``;
            variables of the environment are put in.

    Raises:
        ValueError: it cannot be read, is of another form or lists none; the message begins with ``regions``.
    """
    path = Path(expand(file))
    found: dict[str, list[RegionRow]] = {}
    try:
        for row in read_table(path, ("file", *_SIDES)):
            left, top, width, height = (float(row[key]) for key in _SIDES)
            whole = all(map(math.isfinite, (left, top, width, height)))
            if not whole or min(left, top) < 0 or min(width, height) <= 0:
                raise ValueError(f"a region at {left:g}, {top:g} of {width:g}x{height:g}")
            region = Region(left, top, left + width, top + height)
            found.setdefault(Path(row["file"]).name, []).append(RegionRow(region, row.get("text") or None))
    except OSError as error:
        raise ValueError(f"regions: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"regions: {path} is not of that form: {error}") from error
    if not found:
        raise ValueError(f"regions: {path} lists none")
    return found
