"""Runs the libFuzzer targets of libbpg one after another and keeps what they find.

    tools/fuzz.py --build build/fuzz --seconds 60 --out docs/results/fuzz.json

`make fuzz SECONDS=...` builds them first. Seconds are of CPU time; a run adds to the figures of the runs
before it, which the corpus in the build folder carries on.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "benchmarks"))
from result_files import result_file, write_report  # noqa: E402  (reports are written in one way)

TARGETS = ("container", "decode", "intra", "encode", "roundtrip")
FILE_TARGETS = ("container", "decode", "intra")  # their inputs are BPG files
SLICE_SECONDS = 1800
LONGEST_INPUT = {"container": 8192, "decode": 8192, "intra": 8192, "encode": 2048, "roundtrip": 1024}


def fill_corpus(build: Path, target: str) -> Path:
    """Seeds of the first run: files of our own writer and the conformance files, where they are, or noise."""
    corpus = build / "corpus" / target
    if corpus.exists():
        return corpus
    corpus.mkdir(parents=True)
    if target in FILE_TARGETS:
        subprocess.run([build / "fuzz" / "write_seeds", corpus], check=True, env=environment())
        shared = Path(os.environ.get("NPP_SHARED", ROOT.parent / "shared"))
        regressions = ROOT / "tests" / "hostile"
        for path in [*(shared / "conformance").glob("*.bpg"), *regressions.rglob("*.bpg")]:
            if path.stat().st_size <= LONGEST_INPUT[target]:
                (corpus / path.name).write_bytes(path.read_bytes())
    else:
        draw = random.Random(0)
        for i in range(64):
            (corpus / f"drawn{i}").write_bytes(draw.randbytes(300))
    return corpus


def environment() -> dict[str, str]:
    """Sanitizers that stop at the first fault, and know of what x265 itself loses."""
    suppressions = ROOT / "third_party" / "libbpg" / "fuzz" / "leaks.supp"
    return {
        **os.environ,
        "ASAN_OPTIONS": "allocator_may_return_null=1:detect_leaks=1",
        "LSAN_OPTIONS": f"suppressions={suppressions}:print_suppressions=0",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    }


def last(pattern: str, text: str) -> int:
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def run_slice(build: Path, target: str, seconds: int, timeout: int) -> dict[str, Any]:
    """One run of a target; CPU seconds are the process's own."""
    corpus = fill_corpus(build, target)
    findings = build / "findings" / target
    findings.mkdir(parents=True, exist_ok=True)
    command = [
        str(build / "fuzz" / f"fuzz_{target}"),
        str(corpus),
        f"-artifact_prefix={findings}/",
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST_INPUT[target]}",
        f"-timeout={timeout}",
        "-rss_limit_mb=2500",
        "-print_final_stats=1",
    ]
    before = os.times()
    log = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment())
    after = os.times()
    (build / f"{target}.log").write_text(log.stderr)
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return {
        "cpu_seconds": round(cpu, 1),
        "executions": last(r"stat::number_of_executed_units:\s*(\d+)", log.stderr),
        "coverage": last(r"cov: (\d+)", log.stderr),
        "counters": last(r"\((\d+) inline 8-bit counters\)", log.stderr),
        "corpus": last(r"corp: (\d+)", log.stderr),
        "failed": log.returncode != 0,
    }


def add(total: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Figures of all runs so far."""
    return {
        "cpu_seconds": round(total.get("cpu_seconds", 0) + part["cpu_seconds"], 1),
        "executions": total.get("executions", 0) + part["executions"],
        "coverage": max(total.get("coverage", 0), part["coverage"]),
        "counters": part["counters"] or total.get("counters", 0),
        "corpus": part["corpus"] or total.get("corpus", 0),
        "findings": total.get("findings", 0) + part["failed"],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "fuzz")
    parser.add_argument("--seconds", type=float, default=60, help="CPU seconds for each target")
    parser.add_argument(
        "--timeout", type=int, default=60, help="seconds of wall time for an input; more on a busy machine"
    )
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--out", type=result_file, help="JSON to which the figures are added")
    options = parser.parse_args()

    figures: dict[str, Any] = {}
    if options.out and options.out.exists():
        figures = json.loads(options.out.read_text())
    failed = False
    for target in options.targets:
        spent = 0.0
        while spent < options.seconds and not failed:
            started = time.monotonic()
            seconds = int(min(SLICE_SECONDS, options.seconds - spent) + 1)
            part = run_slice(options.build, target, seconds, options.timeout)
            spent += part["cpu_seconds"]
            failed = part["failed"]
            figures[target] = add(figures.get(target, {}), part)
            if options.out:
                write_report(options.out, figures)
            print(f"{target}: {part} ({time.monotonic() - started:.0f} s)", flush=True)
        if failed:
            print(f"{target} failed: see {options.build}/{target}.log and {options.build}/findings/{target}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
