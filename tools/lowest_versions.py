"""Prints npp's own requirements at their lower bounds, for pip: what `make test-oldest` installs.

    python tools/lowest_versions.py          # torch==2.4.1 numpy==1.26 ...
    python tools/lowest_versions.py cli      # those of an extra too
    python tools/lowest_versions.py --build  # and what it is built with

They are read from pyproject.toml, so that what is claimed and what is tested cannot drift apart.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def lowest_versions(project: str, extras: list[str]) -> list[str]:
    """Each requirement of npp and of some extras with ``==`` in the place of its ``>=``.

    Args:
        project: the text of pyproject.toml.
        extras: names of ``[project.optional-dependencies]``, or "requires" for those of the build.

    Raises:
        ValueError: there is no such list, or a requirement has no lower bound.
    """
    return [pin for name in ("dependencies", *extras) for pin in _pins(project, name)]


def _pins(project: str, name: str) -> list[str]:
    found = re.search(rf"^{re.escape(name)} = \[(.*?)\]", project, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"pyproject.toml has no list {name!r} of requirements")
    pins = []
    for requirement in re.findall(r'"([^"]+)"', found[1]):
        bound = re.fullmatch(r"([A-Za-z0-9_.-]+)>=([0-9.]+)(?:,.*)?", requirement)
        if bound is None:
            raise ValueError(f"{requirement!r} in pyproject.toml has no lower bound")
        pins.append(f"{bound[1]}=={bound[2]}")
    return pins


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("extras", nargs="*", help="extras of npp whose requirements are printed too")
    parser.add_argument("--build", action="store_true", help="what npp is built with, too")
    arguments = parser.parse_args()
    also = ["requires"] if arguments.build else []
    print(*lowest_versions(PROJECT.read_text(encoding="utf-8"), also + arguments.extras))
