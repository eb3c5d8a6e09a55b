"""Figures of docs/reliability.md, from the JSON files that fuzzing, hostile files and version tests write."""

from __future__ import annotations

from typing import Any

from tables import RESULTS, load, table

_ABSENT = "not measured yet"


def _load(name: str) -> Any:
    return load(name) if (RESULTS / f"{name}.json").exists() else None


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


def fuzz() -> str:
    """Executions and CPU time of all targets."""
    targets = _load("fuzz")
    if targets is None:
        return _ABSENT
    executions = sum(target["executions"] for target in targets.values())
    seconds = sum(target["cpu_seconds"] for target in targets.values())
    findings = sum(target["findings"] for target in targets.values())
    spent = f"{len(targets)} targets in {_hours(seconds)} of CPU time"
    return f"{executions:,} inputs to {spent}, {findings} finding{'s' * (findings != 1)}"


def fuzz_table() -> str:
    """Each target: CPU time, executions, coverage, findings."""
    rows = [
        [
            name,
            _hours(target["cpu_seconds"]),
            f"{target['executions']:,}",
            f"{target['coverage']:,}",
            f"{target['corpus']:,}",
            str(target["findings"]),
        ]
        for name, target in load("fuzz").items()
    ]
    return table(["target", "CPU time", "inputs", "edges covered", "inputs kept", "findings"], rows)


def hostile() -> str:
    """What became of the hostile files."""
    report = _load("hostile")
    if report is None:
        return _ABSENT
    families = report["families"].values()
    refused, decoded = (sum(family[key] for family in families) for key in ("refused", "decoded"))
    problems = sum(len(family["problems"]) for family in families)
    seconds = max(family["worst_cpu_seconds"] for family in families)
    mebibytes = max(family["worst_rss_kib"] for family in families) / 1024
    return (
        f"{refused + decoded:,} files: {refused:,} refused, {decoded:,} decoded, {problems} crashed, hung "
        f"or took too much; at most {seconds:.2f} s of CPU time and {mebibytes:.1f} MiB more memory"
    )


def leaks() -> str:
    """Growth of the process over mixed calls."""
    report = _load("hostile")
    if report is None:
        return _ABSENT
    calls = report["mixed_calls"]
    return f"{calls['rss_growth_kib']} KiB more memory after {calls['calls']:,} mixed calls"


def codec_versions() -> str:
    """The pairs of releases that were built and run."""
    pairs = _load("codec_versions")
    if pairs is None:
        return _ABSENT
    failed = sum(pair["failed"] for pair in pairs.values())
    return f"{len(pairs)} pairs of releases built and run, {failed} of their test programs failed"


def codec_version_table() -> str:
    """One row for each pair of releases."""
    pairs = _load("codec_versions")
    if pairs is None:
        return _ABSENT
    head = ["from", "x265", "linked", "libavcodec", "gcc", "test programs passed"]
    rows = [
        [
            name,
            *(str(pair[key]) for key in ("x265", "x265_linkage", "libavcodec", "gcc")),
            f"{pair['programs'] - pair['failed']} of {pair['programs']}",
        ]
        for name, pair in pairs.items()
    ]
    return table(head, rows, text_columns=len(head))
