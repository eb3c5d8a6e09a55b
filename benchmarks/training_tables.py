"""Tables of trainings, of their steps and of the networks that they make."""

from __future__ import annotations

from collections.abc import Callable

from tables import load, table


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


SECTIONS: dict[str, Callable[[], str]] = {
    f.__name__: f for f in (preprocessors, training_step, gpu_step, trainings, adaptive)
}
