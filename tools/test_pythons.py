"""Builds npp for every Python on the machine and tests it there, each in an environment of its own.

    python tools/test_pythons.py                                # all that are found
    python tools/test_pythons.py --only 3.13 --torch torch==2.13.0

The extension is built, loaded by itself and used: a round trip of a picture, equal bytes from every Python.
The Python that runs this script gets PyTorch too, and the quick tests run there; so do all others with
`--torch`, which downloads gigabytes for each. The end is a table, and an exit status of 1 if one failed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST = (3, 10)
QUICK = ("tests/codec", "tests/gradient", "tests/preprocessing", "tests/package/test_inventory.py")
BUILD = ("scikit-build-core>=0.11", "pybind11>=2.13", "setuptools-scm>=8.0.1", "numpy>=1.26")
TEST = (
    "pytest>=8",
    "pytest-timeout>=2.3",
    "hypothesis>=6.100",
    "scikit-image>=0.22",
    "pyyaml>=6",
    "typer>=0.16",
)

# Run with nothing but numpy: the extension from its file, without npp's __init__ and so without torch.
ALONE = """
import hashlib, importlib.util, sys, numpy
spec = importlib.util.spec_from_file_location("npp._bpg", sys.argv[1])
bpg = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bpg)
options = bpg.EncodeOptions(chroma=1, color_space=0, bit_depth=8, limited_range=False, lossless=False,
                            premultiplied=False, effort=2, machine=False, psy_rd=0.0, deblock=None,
                            chroma_qp_offset=None, x265="")
picture = numpy.add.outer(numpy.arange(64), 2 * numpy.arange(96)).astype(numpy.uint8) // 2
picture = numpy.stack([picture, picture // 2, 127 - picture])
(coded,) = bpg.start_encode([picture], bpg.BatchQps([24], [24]), [options], [], 2).result()
assert coded.error is None, coded.error
(decoded,) = bpg.start_decode([coded.file], numpy.dtype(numpy.uint8), None, 1 << 20, 2).result()
assert decoded.error is None, decoded.error
assert decoded.picture.shape == picture.shape
assert abs(decoded.picture.astype(int) - picture).mean() < 3
print(hashlib.sha256(coded.file).hexdigest()[:12])
"""


def find_pythons() -> dict[str, Path]:
    """Interpreters of 3.10 or later by name ("3.13", "3.14t"): those of PATH and of pyenv."""
    roots = [Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"]
    candidates = [path for root in roots for path in sorted(root.glob("*/bin/python3"))]
    names = [f"python3.{minor}{kind}" for minor in range(OLDEST[1], 20) for kind in ("", "t")]
    candidates += [Path(found) for name in names if (found := shutil.which(name))]
    script = "import sys; print('%d.%d' % sys.version_info[:2] + getattr(sys, 'abiflags', ''))"
    pythons: dict[str, Path] = {}
    for path in candidates:
        done = subprocess.run([path, "-c", script], capture_output=True, text=True, check=False)
        match = re.match(r"(\d+)\.(\d+)", done.stdout)
        if match and (int(match[1]), int(match[2])) >= OLDEST:
            pythons.setdefault(done.stdout.strip(), path)
    return dict(sorted(pythons.items(), key=lambda item: [int(part) for part in re.findall(r"\d+", item[0])]))


def _pip(python: Path, *arguments: str) -> None:
    command = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-q", *arguments]
    subprocess.run(command, cwd=ROOT, check=True)


def _extension(python: Path) -> Path:
    script = "import sysconfig; print(sysconfig.get_paths()['platlib'])"
    place = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    (file,) = (path for path in (Path(place) / "npp").glob("_bpg.*") if path.suffix != ".pyi")
    return file


def test_one(python: Path, folder: Path, torch: str | None) -> Iterator[str]:
    """Builds and tests npp with one interpreter; yields what was found, word by word.

    Raises:
        subprocess.CalledProcessError: a step failed.
    """
    subprocess.run([python, "-m", "venv", folder], check=True)
    own = folder / "bin" / "python"
    _pip(own, *BUILD)
    build = ("--no-build-isolation", f"--config-settings=build-dir={folder}-cmake")
    _pip(own, "--no-deps", *build, "--config-settings=cmake.define.BPG_WERROR=ON", ".")
    yield "built"
    command = [own, "-c", ALONE, _extension(own)]
    yield subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if torch:
        _pip(own, torch, *TEST)
        _pip(own, *build, ".")
        subprocess.run([own, "-m", "pytest", "-q", "-p", "no:cacheprovider", *QUICK], cwd=ROOT, check=True)
        yield "quick tests passed"
    else:
        yield "no torch, quick tests not run"


def main() -> None:
    """Tests each Python and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="*", help="names such as 3.13")
    parser.add_argument("--torch", help="what pip installs for every Python, such as torch==2.13.0")
    parser.add_argument(
        "--local-torch", default="torch==2.13.0", help="the same for the Python that runs this"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "pythons")
    arguments = parser.parse_args()
    pythons = find_pythons()
    missing = set(arguments.only or ()) - set(pythons)
    if missing or not pythons:
        parser.error(f"no Python {', '.join(sorted(missing))} here; found: {', '.join(pythons)}")
    own = f"{sys.version_info[0]}.{sys.version_info[1]}{sys.abiflags}"
    results: dict[str, list[str]] = {}
    for name in arguments.only or pythons:
        torch = arguments.torch or (arguments.local_torch if name == own else None)
        results[name] = []
        try:
            results[name].extend(test_one(pythons[name], arguments.out / name, torch))
        except subprocess.CalledProcessError as error:
            print(error.stderr or "", file=sys.stderr)
            results[name].append(
                f"FAILED: {Path(error.cmd[0]).name} {' '.join(map(str, error.cmd[1:4]))[:60]}"
            )
    for name, found in results.items():
        print(f"{name:<6} {', '.join(found)}")
    hashes = {found[1] for found in results.values() if len(found) > 2}
    failed = any("FAILED" in word for found in results.values() for word in found)
    sys.exit(failed or len(hashes) > 1)


if __name__ == "__main__":
    main()
