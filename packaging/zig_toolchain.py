"""Compilers for an older glibc than the machine's, without a container: zig's, from the package ziglang.

Zig brings the symbols of every glibc and links libc++ statically: what comes out needs libc and libm alone.
"""

from __future__ import annotations

import os
import stat
import sys
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
    """Writes small programs that call zig, and returns the variables that name them (CC, CXX, AR, RANLIB).

    Args:
        folder: where they go.
        machine: what ``platform.machine()`` says, as ``x86_64`` or ``aarch64``.
        glibc: the oldest that the results have to run with.

    Raises:
        ModuleNotFoundError: the package ziglang is not installed.
    """
    target = f"{machine}-linux-gnu.{glibc}"
    folder.mkdir(parents=True, exist_ok=True)
    tools = {}
    for variable, (name, arguments) in _TOOLS.items():
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{zig()}" {arguments.format(target=target)} "$@"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
        tools[variable] = str(program)
    return tools


def runtime_version() -> str:
    """The release of zig whose libc++, libc++abi and libunwind are linked in."""
    return "zig-" + version("ziglang")


if __name__ == "__main__":
    for variable, program in make_toolchain(Path(sys.argv[1]).resolve(), os.uname().machine).items():
        print(f"export {variable}={program}")
