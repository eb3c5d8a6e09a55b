"""Tables of what coding costs and gives, for the pages on performance, allocation and questions."""

from __future__ import annotations

from collections.abc import Callable

from tables import load, table


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
            f"{row['x265']:,.0f}",
            f"{row['one_thread']:,.0f}",
            f"{row['over_x265_percent']:.1f} %",
            f"{row['two_threads'] / row['one_thread']:.2f}x",
        ]
        for row in load("crops")["rows"]
    ]
    return table(["crop", "x265 alone", "1 thread", "more time than x265", "2 threads"], rows)


def loader() -> str:
    columns = {
        "main process": "one_thread",
        "1 worker, crop by crop": "1_workers_one_by_one",
        "1 worker, batch by batch": "1_workers_together",
        "2 workers, crop by crop": "2_workers_one_by_one",
        "2 workers, batch by batch": "2_workers_together",
    }
    rows = [
        [f"{row['side']}x{row['side']}", *(f"{row[name]:,.0f}" for name in columns.values())]
        for row in load("crops")["rows"]
    ]
    return table(["crop", *columns], rows)


def one_a_call() -> str:
    rows = [
        [f"{row['side']}x{row['side']}", f"{row['one_a_call']:,.0f}", f"{row['one_a_call_reopened']:,.0f}"]
        for row in load("crops")["rows"]
    ]
    return table(["crop", "images a second, one a call", "opening an encoder for each"], rows)


def decoding() -> str:
    rows = [
        [
            str(row["qp"]),
            f"{row['decode_ms_per_mp']:.1f}",
            f"{row['libavcodec_ms_per_mp']:.1f}",
            f"{row['ratio']:.2f}",
        ]
        for row in load("decoding")["rows"]
    ]
    return table(["qp", "npp.decode, ms/MP", "libavcodec alone, ms/MP", "ratio"], rows)


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


def conditions() -> str:
    report = load("efforts")
    about = report["machine"]
    return (
        f"{about['cpu']}, {about['cores']} cores, x265 {about['x265_version']}, libavcodec "
        f"{about['libavcodec_version']}, commit {about['commit']}. The temporary-file loop takes "
        f"{report['loop_ms_per_mp']:.0f} ms/MP: {report['loop_source']}."
    )


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


def jpeg_qualities() -> str:
    report = load("jpeg_qualities")
    rows = [
        [
            str(row["quality"]),
            f"{row['qp']:.0f}",
            f"{row['least_qp']:.0f} to {row['greatest_qp']:.0f}",
            f"{row['bytes']:.2f}",
        ]
        for row in report["rows"]
    ]
    return table(["JPEG quality", "qp", "of single photos", "BPG's bytes, JPEG's = 1"], rows)


SECTIONS: dict[str, Callable[[], str]] = {
    f.__name__: f
    for f in (
        efforts,
        task_efforts,
        refine_speed,
        analysis_reuse,
        crops,
        loader,
        one_a_call,
        codec,
        conversions,
        decoding,
        overhead,
        step,
        memory,
        conditions,
        qp_maps,
        jpeg_qualities,
    )
}

#: What in benchmarks/ measures the tables of docs/performance.md; report.py names it below each.
MEASURED_BY = {
    "efforts": "efforts.py",
    "conditions": "efforts.py",
    "task_efforts": "task_efforts.py",
    "codec": "codec.py",
    "overhead": "codec.py",
    "memory": "codec.py",
    "step": "codec.py",
    "conversions": "conversions.py",
    "crops": "crops.py",
    "loader": "crops.py",
    "one_a_call": "crops.py",
    "decoding": "decoding.py",
    "refine_speed": "refine_speed.py",
    "analysis_reuse": "analysis_reuse.py",
    "gpu_step": "gpu_step.py",
}
