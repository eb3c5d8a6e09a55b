"""Installs a wheel of npp into a fresh environment and tests it where no codec and no compiler can be found.

    python packaging/test_wheel.py --torch torch==2.13.0          # the one in dist/ for this Python

Core tests and conformance run from this clone against the installed wheel, also beside cv2, PyAV and
pillow-heif in one process. The system's x265, FFmpeg and compilers are hidden by empty files over them in a
mount namespace of the tests' own (Linux, as root); elsewhere they stay, and the list of needed libraries
alone shows what is used.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from inspect_wheel import faults, summary

ROOT = Path(__file__).resolve().parents[1]
TESTS = (
    "tests/codec",
    "tests/gradient",
    "tests/preprocessing",
    "tests/package/test_beside.py",
    "tests/package/test_pillow.py",
    "tests/package/test_inventory.py",
)
PACKAGES = (
    *("pytest>=8", "pytest-timeout>=2.3", "pytest-xdist>=3.5", "hypothesis>=6.100", "scikit-image>=0.22"),
    *("pyyaml>=6", "opencv-python-headless>=4.10", "av>=14", "pillow-heif>=0.22"),
)
LIBRARIES = ("x265", "avcodec", "avutil", "swresample", "numa")
PROGRAMS = ("cc", "c++", "gcc", "g++", "clang", "clang++", "cmake", "ninja", "nasm", "make", "pkg-config")

# The first program of the namespace: what is hidden must be gone before the tests begin.
CHECK = """
import ctypes, sys
for file in sys.argv[1:]:
    assert open(file, "rb").read() == b"", file
    if ".so" in file:
        try:
            ctypes.CDLL(file)
        except OSError:
            continue
        sys.exit(f"{file} can still be loaded")
print(len(sys.argv) - 1, "files of codecs and compilers are hidden")
"""


def find_wheel(folder: Path) -> Path:
    """The wheel for the Python that runs this, the newest if there are several.

    Raises:
        FileNotFoundError: there is none.
    """
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}{sys.abiflags}"
    found = sorted(folder.glob(f"npp-*-{tag}-*.whl"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise FileNotFoundError(f"no wheel for {tag} in {folder}; `make wheels` builds one")
    return found[-1]


def to_hide() -> list[Path]:
    """Files of codecs and compilers on this machine, none of them a link."""
    names = {Path(found) for name in PROGRAMS if (found := shutil.which(name))}
    for place in (Path("/usr/lib"), Path("/usr/local/lib"), Path("/lib64")):
        for name in LIBRARIES:
            names |= {*place.glob(f"lib{name}.*"), *place.glob(f"*/lib{name}.*")}
    return sorted({path.resolve() for path in names if path.resolve().is_file()})


def run_hidden(command: list[str], files: list[Path]) -> int:
    """The exit status of a command for which these files are empty."""
    check = [command[0], "-c", CHECK, *map(str, files)]
    steps = [f"mount --bind /dev/null {shlex.quote(str(file))}" for file in files]
    script = "; ".join(["set -e", *steps, shlex.join(check), f"exec {shlex.join(command)}"])
    return subprocess.run(["unshare", "--mount", "sh", "-c", script], cwd=ROOT, check=False).returncode


def main() -> None:
    """Installs, looks, tests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("wheel", type=Path, nargs="?", help="default: the one in dist/ for this Python")
    parser.add_argument("--torch", default="torch", help="what pip installs first, such as torch==2.13.0")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "wheels" / "test")
    parser.add_argument("--tests", nargs="*", default=TESTS)
    arguments = parser.parse_args()
    wheel = (arguments.wheel or find_wheel(ROOT / "dist")).resolve()
    print(summary(wheel), flush=True)
    if found := faults(wheel):
        sys.exit("\n".join(found))
    python = str(arguments.work.resolve() / "bin" / "python")
    subprocess.run([sys.executable, "-m", "venv", "--clear", arguments.work], check=True)
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-q"]
    subprocess.run([*pip, arguments.torch], check=True)
    # As users do: pip takes the wheel, or fails because its tag does not fit here.
    subprocess.run([*pip, "--only-binary", "npp", f"{wheel}[cli]", *PACKAGES], check=True)
    tests = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", *arguments.tests]
    may_hide = sys.platform == "linux" and os.geteuid() == 0 and shutil.which("unshare")
    if may_hide:
        sys.exit(run_hidden(tests, to_hide()))
    print("Nothing is hidden: that needs Linux and root.", flush=True)
    sys.exit(subprocess.run(tests, cwd=ROOT, check=False).returncode)


if __name__ == "__main__":
    main()
