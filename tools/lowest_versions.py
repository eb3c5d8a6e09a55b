"""Prints npp's own requirements at their lower bounds, for pip: what `make test-oldest` installs.

    python tools/lowest_versions.py          # torch==2.4 numpy==1.26 ...

They are read from pyproject.toml, so that what is claimed and what is tested cannot drift apart.
"""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def lowest_versions(project: str) -> list[str]:
    """Each requirement of ``[project] dependencies`` with ``==`` in the place of its ``>=``.

    Raises:
        ValueError: a requirement without a lower bound.
    """
    found = re.search(r"^dependencies = \[(.*?)\]", project, re.MULTILINE | re.DOTALL)
    pins = []
    for requirement in re.findall(r'"([^"]+)"', found[1] if found else ""):
        bound = re.fullmatch(r"([A-Za-z0-9_.-]+)>=([0-9.]+)(?:,.*)?", requirement)
        if bound is None:
            raise ValueError(f"{requirement!r} in pyproject.toml has no lower bound")
        pins.append(f"{bound[1]}=={bound[2]}")
    return pins


if __name__ == "__main__":
    print(*lowest_versions(PROJECT.read_text(encoding="utf-8")))
