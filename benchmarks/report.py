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
from common import ROOT
from tables import load, table

from npp.files import write_file

PAGES = (
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/guides").glob("*.md")),
    *sorted((ROOT / "docs/research").glob("*.md")),
    ROOT / "README.md",
)


def preprocessors() -> str:
    rows = [
        [
            name,
            f"{row['parameters']:,}",
            f"{row['macs_per_pixel']:,.0f}",
            f"{row['cpu_ms_per_megapixel']:,.0f}",
        ]
        for name, row in load("preprocessors")["results"].items()
    ]
    return table(["network", "parameters", "MACs a pixel", "ms/MP, 1 thread"], rows)


def training_step() -> str:
    report = load("training_step")
    rows = [
        [
            name,
            f"{part['forward']:.0f}",
            f"{part['with_backward']:.0f}" if "with_backward" in part else "–",
        ]
        for name, part in report["parts"].items()
    ]
    about = report["machine"]
    note = (
        f"The whole step takes {report['step_ms']:.0f} ms; {report['waited_for_codec_ms']:.1f} ms of it is "
        f"waiting for the codec. {about['cpu']}, {report['torch_threads']} threads, commit {about['commit']}."
    )
    return "\n".join([table(["part", "forward, ms", "with backward, ms"], rows), "", note])


def gpu_step() -> str:
    report = load("gpu_step")
    rows = [
        [
            name,
            f"{row['codec_ms']:.0f}",
            f"{row['network_ms']:.0f}",
            *(
                f"{row['step_ms'][parts]:.0f} ({row['step_to_longer'][parts]:.2f})"
                for parts in ("1", "2", "4")
            ),
        ]
        for name, row in report.items()
        if isinstance(row, dict)
    ]
    head = ["network, ms", "codec alone", "GPU alone", "whole step", "in 2 parts", "in 4 parts"]
    note = f"{report['gpu']}, {report['cores']} cores, torch {report['torch']}, commit {report['commit']}"
    return "\n".join([table(head, rows), "", f"{note}, {report['note']}."])


def trainings() -> str:
    columns = (
        "task",
        "network",
        "surrogate",
        "effort",
        "slope_factor",
        "learning_rate",
        "steps",
        "seed",
        "photos",
    )
    rows = [
        [
            *(str(run[name]) for name in columns),
            f"{run['bd_rate']:+.1f} %",
            f"{run['bpp_to_baseline']:.2f}",
        ]
        for run in load("trainings")["runs"]
    ]
    head = [*(name.replace("_", " ") for name in columns), "BD-rate", "bits, BPG's = 1"]
    return table(head, rows, text_columns=3)


def adaptive() -> str:
    report = load("adaptive")
    rows = [
        [str(qp), *(f"{value:+.1f} %" for value in pair)]
        for qp, *pair in zip(report["qps"], report["adaptive"], report["single"], strict=True)
    ]
    value, low, high = report["adaptive_minus_single"]
    note = (
        f"{report['photos']} photos. One for all minus one for each, mean of the qps: "
        f"{value:+.1f} points [{low:+.1f}, {high:+.1f}]."
    )
    return "\n".join([table(["qp", "one for all", "one for each"], rows), "", note])


def qp_maps() -> str:
    report = load("qp_maps")
    rows = [
        [
            str(row["effort"]),
            str(row["qp"]),
            *(f"{row[shift]:+.2f} %" for shift in ("+0", "-6", "-3", "+3", "+6")),
        ]
        for row in report["bytes"]
    ]
    times = ", ".join(
        f"{100 * (row['second_over_first'] - 1):+.1f} % at effort {row['effort']}" for row in report["time"]
    )
    recipe = report["recipe"]
    note = (
        f"Encoding with a map takes {times} of the CPU time without. The recipe `detection` encodes "
        f"{recipe['photos']} photos of 640x480 at {recipe['speed']:.2f} times the plain codec's speed at "
        f"effort {recipe['effort']}. {report['machine']['cpu']}, one thread, medians of alternating runs."
    )
    head = ["effort", "qp", "map of zeros", "-6", "-3", "+3", "+6"]
    return "\n".join([table(head, rows), "", note])


_SECTIONS: dict[str, Callable[[], str]] = {
    f.__name__: f
    for f in (
        preprocessors,
        training_step,
        gpu_step,
        trainings,
        adaptive,
        qp_maps,
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
_SECTIONS |= codec_tables.SECTIONS | recipe_tables.SECTIONS
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
