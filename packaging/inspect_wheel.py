"""Looks into a wheel of npp: size, libraries that it asks for, symbols that it exports, licences.

python packaging/inspect_wheel.py dist/*.whl
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

LARGEST = 16_000_000
# libc with its parts, the compiler's runtime, and nothing that a minimal system lacks.
ALLOWED = {
    "libc",
    "libm",
    "libpthread",
    "libdl",
    "librt",
    "libstdc++",
    "libgcc_s",
    "ld-linux-x86-64",
    "ld-linux-aarch64",
}
LICENCES = (
    "licenses/LICENSE",
    "licenses/THIRD_PARTY.md",
    "licenses/x265/COPYING",
    "licenses/ffmpeg/COPYING.LGPLv2.1",
    "sboms/codecs.cdx.json",
)


def needed(wheel: Path) -> list[str]:
    """File names of the shared libraries that the extension asks for."""
    return re.findall(r"\(NEEDED\).*\[(.+)\]", _of_extension(wheel, "readelf", "--dynamic"))


def exported(wheel: Path) -> list[str]:
    """Symbols that other libraries of the process can see."""
    return [
        line.split()[-1] for line in _of_extension(wheel, "nm", "--dynamic", "--defined-only").splitlines()
    ]


def unknown(wheel: Path) -> list[str]:
    """Symbols that it asks for and that neither Python nor a versioned library of the system has.

    The linker lets such a one through, and the first import ends with it.
    """
    asked = [
        line.split()
        for line in _of_extension(wheel, "nm", "--dynamic", "--undefined-only").splitlines()
        if line.split()[0] == "U"  # and not weak
    ]
    return [name for *_, name in asked if "@" not in name and not re.match("_?Py", name)]


def newest_glibc(wheel: Path) -> str:
    """The highest version of glibc's symbols, as ``2.28``."""
    found = re.findall(r"GLIBC_([0-9.]+)", _of_extension(wheel, "readelf", "--version-info"))
    return max(found, key=lambda text: [int(part) for part in text.split(".")], default="none")


def faults(wheel: Path) -> list[str]:
    """What must not be so, in words; empty for a good wheel."""
    found = []
    if wheel.stat().st_size > LARGEST:
        found.append(f"{wheel.stat().st_size} bytes are more than {LARGEST}")
    found += [f"it asks for {name}" for name in needed(wheel) if name.split(".so")[0] not in ALLOWED]
    found += [f"nothing has its symbol {symbol}" for symbol in unknown(wheel)]
    found += [f"it exports {symbol}" for symbol in exported(wheel) if symbol != "PyInit__bpg"]
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    within = {name.partition(".dist-info/")[2] for name in names}
    return found + [f"{licence} is not in its .dist-info" for licence in LICENCES if licence not in within]


def summary(wheel: Path) -> str:
    """A line for people."""
    libraries = ", ".join(needed(wheel))
    return (
        f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB, glibc {newest_glibc(wheel)}, needs {libraries}"
    )


def _of_extension(wheel: Path, *command: str) -> str:
    """What a program says about the extension."""
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as folder:
        (name,) = (name for name in archive.namelist() if re.fullmatch(r"npp/_bpg\..*\.so", name))
        file = archive.extract(name, folder)
        return subprocess.run([*command, file], check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Prints what is in each wheel; an exit status of 1 if one has a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheels", type=Path, nargs="+", help="files .whl")
    status = 0
    for wheel in parser.parse_args().wheels:
        print(summary(wheel))
        for fault in faults(wheel):
            print(f"  FAULT: {fault}")
            status = 1
    sys.exit(status)


if __name__ == "__main__":
    main()
