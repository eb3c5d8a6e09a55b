"""Compiles npp's C++ for macOS without a Mac: zig brings the headers, and no Linux-only call gets through.

    python packaging/check_macos.py build/wheels/zig/codecs

The argument is a folder that packaging/build_codecs.py filled: its headers are used. Nothing is linked or
run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import distribution
from pathlib import Path

from zig_toolchain import zig

ROOT = Path(__file__).resolve().parents[1]
TARGET = "aarch64-macos"
SOURCES = ("third_party/libbpg/src", "cpp/bpg_bindings")


def _command(source: Path, codecs: Path, commit: Path) -> list[str]:
    pybind11 = distribution("pybind11").locate_file("pybind11/include")
    folders = [
        *(ROOT / name for name in ("third_party/libbpg/include", *SOURCES)),
        *(codecs / "include", commit, pybind11, sysconfig.get_paths()["include"]),
    ]
    # Words that CMake defines for the extension.
    defined = ('-DNPP_X265_LINKAGE="static"', '-DNPP_LIBAVCODEC_LINKAGE="static"')
    language = ("-std=c++17", "-Wall", "-Wextra", "-Werror", "-O0", "-fvisibility=hidden")
    includes = [
        word for folder in folders for word in ("-isystem" if folder == pybind11 else "-I", str(folder))
    ]
    # zig fails where there is no object at the end, as with -fsyntax-only.
    written = ["-c", str(source), "-o", str(commit.parent / "macos" / f"{source.stem}.o")]
    return [str(zig()), "c++", "-target", TARGET, *language, *defined, *includes, *written]


def main() -> None:
    """Compiles every source; an exit status of 1 if one fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("codecs", type=Path, help="folder that packaging/build_codecs.py filled")
    codecs = parser.parse_args().codecs.resolve()
    if not (codecs / "include").is_dir():
        parser.error(f"{codecs} has no folder include; packaging/build_codecs.py fills one")
    try:
        zig()
    except ModuleNotFoundError:
        parser.error("the package ziglang is not installed here; `make check-macos` runs where it is")
    commit = codecs.parent / "commit"
    for folder in (commit, codecs.parent / "macos"):
        folder.mkdir(exist_ok=True)
    (commit / "npp_commit.hpp").write_text('#pragma once\n#define NPP_COMMIT ""\n')
    sources = [path for folder in SOURCES for path in sorted((ROOT / folder).rglob("*.cpp"))]
    sources = [path for path in sources if "tests" not in path.relative_to(ROOT).parts]

    def compile_one(source: Path) -> str:
        command = _command(source, codecs, commit)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else done.stderr

    with ThreadPoolExecutor(2) as pool:
        failed = [text for text in pool.map(compile_one, sources) if text]
    print(*failed, f"{len(sources) - len(failed)} of {len(sources)} sources compile for {TARGET}", sep="\n")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
