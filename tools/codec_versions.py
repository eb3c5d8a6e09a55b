"""Builds libbpg with other releases of x265 and libavcodec and runs its C++ tests with them.

    tools/codec_versions.py --out docs/results/codec_versions.json [SUITE ...]

Every suite of Debian brings a pair of releases. Each is installed into a folder of its own by debootstrap and
entered by chroot, which need root; the mirror is the one that apt uses here. Debian 11 has no libavcodec new
enough: of it only x265 is taken, with this machine's libavcodec.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "benchmarks"))
from result_files import result_file, write_report  # noqa: E402  (reports are written in one way)

SUITES = ("bullseye", "trixie", "forky")
X265_ONLY = ("bullseye",)
BUILD_PACKAGES = (
    "ca-certificates,g++,cmake,ninja-build,pkg-config,libx265-dev,libnuma-dev,libavcodec-dev,libavutil-dev"
)
CONFIGURE = ("-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DBPG_BUILD_TESTS=ON", "-DNPP_BUILD_BINDINGS=OFF")


def run(*command: object, **options: Any) -> str:
    """A command's output; its errors stop the program."""
    words = [str(word) for word in command]
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, **options).stdout


def mirror() -> str:
    """Where apt gets Debian's packages."""
    names = run(
        "apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Component: main"
    )
    return next(name for name in names.splitlines() if name.rstrip("/").endswith("/debian"))


def install(suite: str, folder: Path) -> Path:
    """A Debian of its own in a folder, kept for the next time."""
    root = folder / suite
    if not (root / "usr/include/x265.h").exists():
        packages = "libx265-dev" if suite in X265_ONLY else BUILD_PACKAGES
        # Suites that debootstrap does not know yet are made as unstable is.
        script = [] if Path("/usr/share/debootstrap/scripts", suite).exists() else ["sid"]
        run("debootstrap", "--variant=minbase", f"--include={packages}", suite, root, mirror(), *script)
    return root


def copy_sources(target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    for name in ("CMakeLists.txt", "cpp", "third_party"):
        copy = shutil.copy if (ROOT / name).is_file() else shutil.copytree
        target.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, target / name)


def build_and_test(
    prefix: list[str], source: str, build: str, *options: str, env: dict[str, str]
) -> dict[str, Any]:
    """Versions and outcome of a build; commands run behind a prefix such as ``chroot DIR``."""
    configured = run(*prefix, "cmake", "-S", source, "-B", build, *CONFIGURE, *options, env=env)
    x265, linkage, libavcodec = re.findall(r"x265 (\S+) \((\w+)\), libavcodec (\S+)", configured)[0]
    run(*prefix, "cmake", "--build", build, env=env)
    tested = subprocess.run(
        [*prefix, "ctest", "--test-dir", build, "--output-on-failure"],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if tested.returncode:
        print(tested.stdout)
    failed, count = re.findall(r"(\d+) tests failed out of (\d+)", tested.stdout)[0]
    compiler = run(*prefix, "c++", "-dumpfullversion", env=env).strip()
    return {
        "x265": x265,
        "x265_linkage": linkage,
        "libavcodec": libavcodec,
        "gcc": compiler,
        "programs": int(count),
        "failed": int(failed),
    }


def test_whole_suite(root: Path) -> dict[str, Any]:
    """Both libraries and the compiler of another Debian."""
    copy_sources(root / "src")
    return build_and_test(["chroot", str(root)], "/src", "/build", env=dict(os.environ))


def test_x265_only(root: Path, work: Path) -> dict[str, Any]:
    """Another Debian's x265, as a shared library, with everything else of this machine."""
    place = work / "x265"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for header in (root / "usr/include").glob("x265*.h"):
        shutil.copy(header, place)
    for library in (root / "usr/lib").glob("*/libx265.so*"):
        shutil.copy(library, place, follow_symlinks=False)
    (original,) = (root / "usr/lib").glob("*/pkgconfig/x265.pc")
    version = re.findall(r"^Version: (\S+)", original.read_text(), re.MULTILINE)[0]
    (place / "x265.pc").write_text(
        f"Name: x265\nDescription: x265\nVersion: {version}\nLibs: -L{place} -lx265\nCflags: -I{place}\n"
    )
    env = {**os.environ, "PKG_CONFIG_PATH": str(place), "LD_LIBRARY_PATH": str(place)}
    shared_only = "-DCMAKE_FIND_LIBRARY_SUFFIXES=.so"  # this machine's static x265 is not to be found
    no_static = "-DX265_STATIC_LIBRARY=X265_STATIC_LIBRARY-NOTFOUND"
    return build_and_test([], str(ROOT), str(work / "build"), shared_only, no_static, env=env)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("suites", nargs="*", default=SUITES, metavar="SUITE")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "codec-versions")
    parser.add_argument("--out", type=result_file, help="JSON to write")
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    results = {"this machine": build_and_test([], str(ROOT), str(work / "here"), env=dict(os.environ))}
    for suite in options.suites:
        root = install(suite, work)
        old = suite in X265_ONLY
        results[suite] = test_x265_only(root, work) if old else test_whole_suite(root)
        print(suite, results[suite], flush=True)
    if options.out:
        write_report(options.out, results)
    return int(any(result["failed"] for result in results.values()))


if __name__ == "__main__":
    raise SystemExit(main())
