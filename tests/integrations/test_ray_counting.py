"""The summary of a Ray run counts every input once."""

from __future__ import annotations

import pytest

from npp.batch import ManifestRow
from npp.integrations.ray.ray_counting import count_rows
from npp.integrations.ray.ray_rows import rows_table
from npp.integrations.ray.ray_run_types import RaySummary


def test_repeated_name_counts_as_failed() -> None:
    rows = [ManifestRow(name, "part", 3, checksum="0") for name in ("a", "b", "a")]
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    summary, told = RaySummary(), list[ManifestRow]()
    count_rows([rows_table(rows[:2]), rows_table(rows[2:])], summary, told.append)
    assert (summary.written, summary.failed, summary.bytes) == (2, 1, 6)
    assert summary.errors == {"a": "another row has this name, too: give each its own"}
    assert [row.output for row in told] == ["part", "part", None]


def test_resumed_run_counts_a_repeated_name_as_failed() -> None:
    """What an earlier run's parts have is left alone once, and failed before is counted where it comes."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    failed = {name: ManifestRow(name, None, error="no picture") for name in ("bad", "of another set")}
    summary, told = RaySummary(), list[ManifestRow]()
    tables = [rows_table([], done=["a", "b", "a"]), rows_table([], done=["bad"]), rows_table([], done=["b"])]
    count_rows(tables, summary, told.append, failed=failed)
    assert (summary.written, summary.skipped, summary.failed) == (0, 2, 3)
    again = "another row has this name, too: give each its own"
    assert summary.errors == {"a": again, "bad": "no picture", "b": again}
    assert [row.input for row in told] == ["a", "bad", "b"]
