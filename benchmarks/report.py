"""Puts the figures of docs/results/*.json into the tables of the documentation.

    python benchmarks/report.py

A table stands between ``<!-- results NAME -->`` and ``<!-- end -->`` in the pages below, a figure within
a sentence between ``<!-- figure NAME -->`` and ``<!-- end -->``. Both are written anew from the JSON files,
so that none is typed by hand; tests/package/test_figures.py says whether the pages are as the files have it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import archive
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

PAGES = (
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/guides").glob("*.md")),
    *sorted((ROOT / "docs/research").glob("*.md")),
    ROOT / "README.md",
)


def efforts() -> str:
    rows = [
        [
            str(row["effort"]),
            f"{row['bd_rate_y']:+.1f} %",
            f"{row['bd_rate_rgb']:+.1f} %",
            f"{row['one_thread_ms_per_mp']:.0f}",
            f"{row['two_threads_ms_per_mp']:.0f}",
            f"{row['speed_up_over_temp_files']:.1f}x",
        ]
        for row in load("efforts")["rungs"]
    ]
    head = [
        "effort",
        "BD-rate, PSNR-Y",
        "BD-rate, PSNR-RGB",
        "ms/MP, 1 thread",
        "ms/MP, 2 threads",
        "speed-up",
    ]
    return table(head, rows)


_JUDGES = {"lite0": "EfficientNet-Lite0", "lite2": "EfficientNet-Lite2", "fastestdet": "FastestDet"}


def task_efforts() -> str:
    found = load("task_efforts")
    tables = found["tables"]
    rows = []
    for index, rung in enumerate(row["rung"] for row in next(iter(tables.values()))):
        lines = [judged[index] for judged in tables.values()]
        value = ("{0[0]:+.1f} % [{0[1]:+.1f}, {0[2]:+.1f}]".format(line["bd_rate"]) for line in lines)
        marked = (f"**{cell}**" if line["counts"] else cell for cell, line in zip(value, lines, strict=True))
        tune, effort = rung.split()
        rows.append([tune, effort, f"{lines[0]['time']:.2f}", *marked])
    return table(["tune", "effort", "time, effort 8 = 1", *(_JUDGES[name] for name in tables)], rows)


def analysis_reuse() -> str:
    rows = [
        [row["again"], f"{row['time_ratio']:.2f}", f"{row['more_bytes_percent']:+.1f} %"]
        for row in load("analysis_reuse")["rows"]
    ]
    return table(["encoded again", "time, without loading = 1", "bytes"], rows)


def refine_speed() -> str:
    rows = [
        [
            f"{name}, {what}",
            f"{one['first_call_s']:.2f}",
            f"{one['next_call_s']:.2f}",
            f"{one['objective']:.4f}",
        ]
        for name, runs in load("refine_speed").items()
        for what, one in (("the photo alone", runs["plain"]), ("with `npp.VIEWS`", runs["views"]))
    ]
    return table(["refine, 12 steps", "first call, s", "next call, s", "objective"], rows)


def crops() -> str:
    rows = [
        [
            f"{row['side']}x{row['side']}",
            f"{row['images_per_second']:.0f}",
            f"{row['without_encoder_reuse']:.0f}",
        ]
        for row in load("codec")["crops"]
    ]
    return table(["crop", "images a second", "opening an encoder for each"], rows)


def codec() -> str:
    rows = [
        [
            str(row["effort"]),
            f"{row['encode_ms_per_mp']:.0f}",
            f"{row['round_trip_ms_per_mp']:.0f}",
            f"{row['x265_ms_per_mp']:.0f}",
            f"{row['around_x265_percent']:.1f} %",
            f"{row['decode_ms_per_mp']:.0f}",
        ]
        for row in load("codec")["efforts"]
    ]
    head = [
        "effort",
        "encode, ms/MP",
        "round trip, ms/MP",
        "x265 in it, ms/MP",
        "around x265",
        "decode, ms/MP",
    ]
    return table(head, rows)


def conversions() -> str:
    rows = [
        [row["picture"], row["image"], f"{row['import_ms_per_mp']:.2f}", f"{row['export_ms_per_mp']:.2f}"]
        for row in load("conversions")["conversions"]
        if row["image"] == "f32 CHW"
    ]
    return table(["in the file", "tensor", "to the codec, ms/MP", "back, ms/MP"], rows, text_columns=2)


def threads() -> str:
    rows = [
        [
            str(row["effort"]),
            f"{row['one_thread_ms_per_mp']:.0f}",
            f"{row['two_threads_ms_per_mp']:.0f}",
            f"{row['speed_up']:.2f}x",
        ]
        for row in load("codec")["threads"]
    ]
    return table(["effort", "1 thread, ms/MP", "2 threads, ms/MP", "speed-up"], rows)


def overhead() -> str:
    rows = [
        [
            f"{row['side']}x{row['side']}, batch of {row['batch']}",
            str(row["effort"]),
            f"{row['compress_ms']:.2f}",
            f"{row['cpp_ms']:.2f}",
            f"{row['percent']:.1f} %",
            f"{row['percent_over_x265']:.1f} %",
        ]
        for row in load("codec")["overhead"]
    ]
    head = ["picture", "effort", "compress, ms", "C++ in it, ms", "more than C++", "more than x265"]
    return table(head, rows)


def step() -> str:
    rows = [
        [str(row["torch_threads"]), str(row["codec_threads"]), f"{row['ms_per_step']:.0f}"]
        for row in load("codec")["training_step"]
    ]
    return table(["torch threads", "codec threads", "ms a step"], rows)


def memory() -> str:
    report = load("codec")
    peak, growth = report["peak_memory"], report["memory"]
    return (
        f"A batch of 64 pictures of 512x512, {peak['threads']} threads: inputs {peak['inputs_mib']:.0f} MiB, "
        f"outputs {peak['outputs_mib']:.0f} MiB, live encoders {peak['encoders_mib']:.0f} MiB, peak "
        f"{peak['peak_with_inputs_mib']:.0f} MiB, {peak['ratio']:.2f} times their sum. "
        f"Over {growth['round_trips']} round trips of 64x64 the peak grew by {growth['growth_kib']} KiB."
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


def conditions() -> str:
    report = load("efforts")
    about = report["machine"]
    return (
        f"{about['cpu']}, {about['cores']} cores, x265 {about['x265_version']}, libavcodec "
        f"{about['libavcodec_version']}, commit {about['commit']}. The temporary-file loop takes "
        f"{report['loop_ms_per_mp']:.0f} ms/MP: {report['loop_source']}."
    )


_SECTIONS: dict[str, Callable[[], str]] = {
    f.__name__: f
    for f in (
        efforts,
        task_efforts,
        refine_speed,
        analysis_reuse,
        crops,
        codec,
        conversions,
        threads,
        overhead,
        step,
        memory,
        preprocessors,
        training_step,
        gpu_step,
        trainings,
        adaptive,
        qp_maps,
        conditions,
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
_SECTIONS |= {f"saving_{name}": saving.section(name) for name in ("classification", "detection", "networks")}
_SECTIONS |= recipe_tables.SECTIONS
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


def filled(text: str) -> str:
    """A page with every table and figure as the results have it."""

    def fill(match: re.Match[str]) -> str:
        return f"{match[1]}\n\n{_SECTIONS[match[2]]()}\n\n<!-- end -->"

    def fill_cell(match: re.Match[str]) -> str:
        return f"{match[1]}{_FIGURES[match[2]]()}<!-- end -->"

    text = re.sub(r"(<!-- results (\w+) -->).*?<!-- end -->", fill, text, flags=re.DOTALL)
    return re.sub(r"(<!-- figure (\w+) -->).*?<!-- end -->", fill_cell, text)


def main() -> None:
    for page in PAGES:
        page.write_text(filled(page.read_text()))


if __name__ == "__main__":
    main()
