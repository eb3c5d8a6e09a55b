"""Puts the figures of docs/results/*.json into the tables of the documentation.

    python benchmarks/report.py

A table stands between ``<!-- results NAME -->`` and ``<!-- end -->`` in the pages below, a figure within
a sentence between ``<!-- figure NAME -->`` and ``<!-- end -->``. Both are written anew from the JSON files,
so that none is typed by hand; tests/package/test_figures.py says whether the pages are as the files have it.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable

import archive
import codec_tables
import figures
import gradient_figures
import gradient_tables
import package_figures
import recipe_tables
import reliability
import research_figures
import saving
import training_tables
from common import ROOT

from npp.files import write_file

PAGES = (
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/guides").glob("*.md")),
    *sorted((ROOT / "docs/research").glob("*.md")),
    ROOT / "README.md",
)


_SECTIONS: dict[str, Callable[[], str]] = {
    f.__name__: f
    for f in (
        reliability.codec_version_table,
        reliability.fuzz_table,
        gradient_tables.rate_models,
        gradient_tables.descent,
        gradient_tables.directions,
        gradient_tables.surrogate_cost,
        gradient_tables.proxy,
        gradient_tables.refine_judges,
        gradient_tables.refine_points,
    )
}
_SECTIONS |= {
    f"saving_{name}": saving.section(name)
    for name in ("classification", "detection", "networks", "published_network")
}
_SECTIONS |= codec_tables.SECTIONS | recipe_tables.SECTIONS | training_tables.SECTIONS
_SECTIONS["archive"] = archive.section
_FIGURES: dict[str, Callable[[], str]] = {
    f.__name__: f
    for f in (
        reliability.fuzz,
        reliability.hostile,
        reliability.leaks,
        reliability.codec_versions,
    )
}
for _page in (archive, figures, gradient_figures, package_figures, research_figures):
    _FIGURES |= _page.FIGURES


def _section(name: str) -> str:
    """A table, and below it what measured it where the page says so."""
    script = codec_tables.MEASURED_BY.get(name)
    return _SECTIONS[name]() + (f"\n\nMeasured by `benchmarks/{script}`." if script else "")


def filled(text: str) -> str:
    """A page with every table and figure as the results have it."""

    def fill(match: re.Match[str]) -> str:
        return f"{match[1]}\n\n{_section(match[2])}\n\n<!-- end -->"

    def fill_cell(match: re.Match[str]) -> str:
        return f"{match[1]}{_FIGURES[match[2]]()}<!-- end -->"

    text = re.sub(r"(<!-- results (\w+) -->).*?<!-- end -->", fill, text, flags=re.DOTALL)
    return re.sub(r"(<!-- figure (\w+) -->).*?<!-- end -->", fill_cell, text)


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    for page in PAGES:
        before = page.read_text(encoding="utf-8")
        if (after := filled(before)) != before:
            write_file(page, after.encode(), force=True)
            print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()
