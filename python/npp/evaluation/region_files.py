"""Which parts of photos are looked at, and what is written there: a table."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from npp.config.yaml_files import expand
from npp.tasks.region_task import Region


class RegionRow(NamedTuple):
    """A line of the table.

    Attributes:
        region: in pixels of the photo.
        text: what is written there; ``None`` where nobody says.
    """

    region: Region
    text: str | None


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
        with path.open(encoding="utf-8", newline="") as opened:
            for row in csv.DictReader(opened):
                left, top, width, height = (float(row[key]) for key in ("x", "y", "width", "height"))
                if min(left, top) < 0 or min(width, height) <= 0:
                    raise ValueError(f"a region at {left:g}, {top:g} of {width:g}x{height:g}")
                region = Region(left, top, left + width, top + height)
                found.setdefault(Path(row["file"]).name, []).append(
                    RegionRow(region, row.get("text") or None)
                )
    except OSError as error:
        raise ValueError(f"regions: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"regions: {path} is not of that form: {error!r}") from error
    if not found:
        raise ValueError(f"regions: {path} lists none")
    return found
