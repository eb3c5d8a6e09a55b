"""Results that a run of another configuration has left in the folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Values of arms with sharing, which not every configuration has.
SHARED = "shared.npz"


def result_file(arm: str) -> str:
    """Where an arm's results lie, below the run's folder."""
    return f"results/{arm}.json"


def _files_of(summary: Mapping[str, Any]) -> set[str]:
    """What a run with this summary writes that one of other arms does not."""
    shared = summary.get("shared")
    arms = [*summary["arms"], *(shared["arms"] if shared else ())]
    return {result_file(arm["name"]) for arm in arms} | ({SHARED} if shared else set())


def _files_before(path: Path) -> set[str]:
    """What the run wrote whose summary this file is; nothing where npp has not written it."""
    try:
        return _files_of(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return set()


def remove_earlier(out: Path, summary: Mapping[str, Any]) -> None:
    """Removes files of arms that are no more, as the summary that is there tells of them; nothing else.

    Args:
        out: the run's folder, before the new summary is written.
        summary: the new one.
    """
    gone = _files_before(out / "summary.json") - _files_of(summary)
    for path in (out / SHARED, *(out / "results").glob("*.json")):
        if path.relative_to(out).as_posix() in gone:
            path.unlink(missing_ok=True)
