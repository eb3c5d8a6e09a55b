"""Removal of results that an earlier run has left in the folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: File with the values of arms with sharing, which not every configuration has.
SHARED = "shared.npz"


def result_file(arm: str) -> str:
    """Path of an arm's results below the run's folder."""
    return f"results/{arm}.json"


def _files_of(summary: Mapping[str, Any]) -> set[str]:
    """The files of a run with this summary that depend on its arms."""
    shared = summary.get("shared")
    arms = [*summary["arms"], *(shared["arms"] if shared else ())]
    return {result_file(arm["name"]) for arm in arms} | ({SHARED} if shared else set())


def _files_before(path: Path) -> set[str]:
    """The files of the run whose summary is in this file; empty if npp has not written it."""
    try:
        return _files_of(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return set()


def remove_earlier(out: Path, summary: Mapping[str, Any]) -> None:
    """Removes files of arms that only the existing summary has, and nothing else.

    Args:
        out: the run's folder, before the new summary is written.
        summary: the new one.
    """
    gone = _files_before(out / "summary.json") - _files_of(summary)
    for path in (out / SHARED, *(out / "results").glob("*.json")):
        if path.relative_to(out).as_posix() in gone:
            path.unlink(missing_ok=True)
