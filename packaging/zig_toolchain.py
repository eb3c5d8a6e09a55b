"""Compilers for an older glibc than the machine's, without a container: zig's, from the package ziglang.

Zig brings the symbols of every glibc and links libc++ statically: what comes out needs libc and libm alone.
"""

from __future__ import annotations

import argparse
import os
import stat
import subprocess
from importlib.metadata import version
from pathlib import Path

GLIBC = "2.28"
# Zig's own defaults catch undefined behaviour with traps, which released code is not built with.
_COMPILE = "-fno-sanitize=undefined"
_TOOLS = {
    "CC": ("cc", "cc -target {target} " + _COMPILE),
    "CXX": ("c++", "c++ -target {target} " + _COMPILE),
    "AR": ("ar", "ar"),
    "RANLIB": ("ranlib", "ranlib"),
}


def zig() -> Path:
    """The compiler itself.

    Raises:
        ModuleNotFoundError: the package ziglang is not installed.
    """
    import ziglang  # installed by `make wheels`

    return Path(ziglang.__file__).parent / "zig"


def make_toolchain(folder: Path, machine: str, glibc: str = GLIBC) -> dict[str, str]:
    """Writes small programs that call zig, and returns the variables that name them.

    These are CC, CXX, AR, RANLIB and, with what has to be linked in besides, LDFLAGS.

    Args:
        folder: where they go.
        machine: what ``platform.machine()`` says, as ``x86_64`` or ``aarch64``.
        glibc: the oldest that the results have to run with.

    Raises:
        ModuleNotFoundError: the package ziglang is not installed.
        subprocess.CalledProcessError: GCC or binutils are not whole.
    """
    target = f"{machine}-linux-gnu.{glibc}"
    folder.mkdir(parents=True, exist_ok=True)
    tools = {}
    for variable, (name, arguments) in _TOOLS.items():
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{zig()}" {arguments.format(target=target)} "$@"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
        tools[variable] = str(program)
    if machine == "x86_64":
        tools["LDFLAGS"] = str(_processor_check(folder))
    return tools


def _processor_check(folder: Path) -> Path:
    """What picks functions by processor when the extension is loaded: GCC's, since zig has none."""
    command = ["gcc", "-print-libgcc-file-name"]
    library = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run(["ar", "x", library, "cpuinfo.o"], cwd=folder, check=True)
    archive = folder / "libcpuinfo.a"
    archive.unlink(missing_ok=True)
    subprocess.run(["ar", "rcs", archive, folder / "cpuinfo.o"], check=True)
    return archive


def runtime_version() -> str:
    """The release of zig whose libc++, libc++abi and libunwind are linked in."""
    return "zig-" + version("ziglang")


def gcc_version() -> str:
    """The release of GCC whose check of the processor is linked in."""
    done = subprocess.run(["gcc", "-dumpfullversion"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the programs are written")
    place = parser.parse_args().folder.resolve()
    for variable, program in make_toolchain(place, os.uname().machine).items():
        print(f"export {variable}={program}")
