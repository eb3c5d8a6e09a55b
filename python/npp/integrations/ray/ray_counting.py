"""Counts the rows that workers report, and passes them on."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from npp.batch.manifest import ManifestRow
from npp.integrations.ray.ray_rows import rows_in
from npp.integrations.ray.ray_run_types import OnRow, RaySummary
from npp.integrations.ray.ray_sources import TarCheck


def count_rows(
    tables: Iterable[Any],
    summary: RaySummary,
    on_row: OnRow | None,
    tars: TarCheck | None = None,
    failed: Mapping[str, ManifestRow] | None = None,
) -> None:
    """Counts the rows that workers give; of those about one input only the first is a result.

    Args:
        tables: of rows.
        summary: of what became of them.
        on_row: called with every row that is not left alone.
        tars: is told of every input.
        failed: what earlier runs' parts say of those of their inputs that failed.
    """
    seen: set[str] = set()
    for report in itertools.chain.from_iterable(map(rows_in, tables)):
        is_repeated = report.input in seen
        seen.add(report.input)
        if tars is not None:
            tars.saw(report.input)
        row = report.row
        if is_repeated:
            row = ManifestRow(report.input, None, error="another row has this name, too: give each its own")
        elif row is None:
            row = (failed or {}).get(report.input)
        if row is None or (report.left_alone and row.output is not None):
            summary.skipped += 1
            continue
        summary.count(row)
        if on_row is not None:
            on_row(row)
