"""Builds x265 and a minimal FFmpeg as static libraries, for builds without the system's codecs.

    python packaging/build_codecs.py --out build/codecs              # both
    python packaging/build_codecs.py --out ~/npp-codecs ffmpeg       # FFmpeg's HEVC decoder alone
    pip install . --config-settings=cmake.define.BPG_CODECS=$HOME/npp-codecs

x265 has 8, 10 and 12 bits in one library. FFmpeg has its HEVC decoder and parser and nothing else. CC, CXX,
AR and RANLIB name the tools, as usual; nasm and CMake have to be there.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from bill_of_materials import of_source, write
from codec_sources import HERE, Source, fetch, known_sources, unpack

TOOLS = {"CC": "cc", "CXX": "c++", "AR": "ar", "RANLIB": "ranlib"}
# Depths that the library of 8 bits, the one that is called, hands on to.
FURTHER_BITS = (10, 12)
# The list of what was built, within the folder.
BILL = "share/codecs.cdx.json"


def build_x265(root: Path, work: Path, prefix: Path, jobs: int) -> None:
    """libx265.a with three bit depths, its headers and x265.pc."""
    common = [
        *(("-G", "Ninja") if shutil.which("ninja") else ()),
        *("-DCMAKE_BUILD_TYPE=Release", "-DENABLE_SHARED=OFF", "-DENABLE_CLI=OFF"),
        *("-DENABLE_PIC=ON", "-DENABLE_LIBNUMA=OFF", "-DENABLE_ASSEMBLY=ON"),
        # x265 asks for a CMake that is older than what the newest ones still imitate.
        "-DCMAKE_POLICY_VERSION_MINIMUM=3.5",
        *("-DCMAKE_INSTALL_LIBDIR=lib", f"-DCMAKE_INSTALL_PREFIX={prefix}"),
        # Full paths: a bare name would be looked for within the source tree.
        *(f"-DCMAKE_{key}={shutil.which(_tool(name))}" for key, name in (("AR", "AR"), ("RANLIB", "RANLIB"))),
    ]
    libraries = []
    for bits in FURTHER_BITS:
        only = ["-DHIGH_BIT_DEPTH=ON", "-DEXPORT_C_API=OFF", f"-DMAIN12={'ON' if bits == 12 else 'OFF'}"]
        _cmake(root / "source", work / f"{bits}bit", [*common, *only], jobs)
        libraries.append(work / f"{bits}bit" / "libx265.a")
    # x265 looks at LINKED_... only where it is told of further libraries.
    linked = [f"-DEXTRA_LIB={';'.join(map(str, libraries))}"]
    linked += [f"-DLINKED_{bits}BIT=ON" for bits in FURTHER_BITS]
    _cmake(root / "source", work / "8bit", [*common, *linked], jobs)
    _run("cmake", "--install", work / "8bit")
    _name_common_libraries(prefix / "lib" / "pkgconfig" / "x265.pc")
    whole = prefix / "lib" / "libx265.a"
    libraries.insert(0, work / "8bit" / "libx265.a")
    script = [f"CREATE {whole}", *(f"ADDLIB {library}" for library in libraries), "SAVE", "END"]
    whole.unlink()
    subprocess.run([_tool("AR"), "-M"], input="\n".join(script), text=True, check=True)
    _run(_tool("RANLIB"), whole)


def _name_common_libraries(description: Path) -> None:
    """x265 names what its compiler links by itself: with zig, files of a cache. C++ is ours to link."""
    text = re.sub(r"(?m)^Libs\.private:.*$", "Libs.private: -lm -lpthread -ldl", description.read_text())
    description.write_text(text)


def build_ffmpeg(root: Path, work: Path, prefix: Path, jobs: int) -> None:
    """libavcodec.a and libavutil.a with the HEVC decoder, their headers and .pc files."""
    work.mkdir(parents=True, exist_ok=True)
    _run(
        *(root / "configure", f"--prefix={prefix}", f"--libdir={prefix / 'lib'}"),
        *(f"--cc={_tool('CC')}", f"--cxx={_tool('CXX')}", f"--ar={_tool('AR')}"),
        *(f"--ranlib={_tool('RANLIB')}", "--enable-static", "--disable-shared", "--enable-pic"),
        *("--disable-all", "--disable-autodetect", "--disable-doc", "--disable-debug", "--disable-network"),
        *("--enable-avcodec", "--enable-decoder=hevc", "--enable-parser=hevc"),
        "--extra-cflags=-w",
        cwd=work,
    )
    if sys.platform == "linux":
        _say_no_sysctl(work / "config.h")
    _run("make", f"-j{jobs}", cwd=work)
    _run("make", "install", cwd=work)


def _say_no_sysctl(config: Path) -> None:
    """The function is in the glibc that is linked to, its header went with glibc 2.32; Linux does without."""
    text = config.read_text()
    config.write_text(text.replace("#define HAVE_SYSCTL 1", "#define HAVE_SYSCTL 0"))


BUILDERS = {"x265": build_x265, "ffmpeg": build_ffmpeg}


def build(name: str, source: Source, prefix: Path, sources: Path, work: Path, jobs: int) -> None:
    """One of the two, from its archive to the files within ``prefix``; done once for a version of it."""
    done = _mark(name, prefix)
    wanted = f"{source.version} {source.sha256}\n"
    if done.exists() and done.read_text() == wanted:
        return
    root = unpack(fetch(source, sources), work / name / "source")
    BUILDERS[name](root, work / name / "build", prefix, jobs)
    licences = prefix / "share" / "licenses" / name
    licences.mkdir(parents=True, exist_ok=True)
    for file in source.licence_files:
        shutil.copy(root / file, licences)
    done.parent.mkdir(parents=True, exist_ok=True)
    done.write_text(wanted)


def is_built(name: str, prefix: Path) -> bool:
    """Whether some version of it lies in the folder."""
    return _mark(name, prefix).exists()


def _mark(name: str, prefix: Path) -> Path:
    return prefix / "share" / name / "built"


def _tool(name: str) -> str:
    return os.environ.get(name, TOOLS[name])


def _cmake(source: Path, folder: Path, options: list[str], jobs: int) -> None:
    _run("cmake", "-S", source, "-B", folder, *options)
    _run("cmake", "--build", folder, "--parallel", jobs)


def _run(*command: object, cwd: Path | None = None) -> None:
    subprocess.run([str(word) for word in command], check=True, cwd=cwd)


def main() -> None:
    """Builds what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(BUILDERS), metavar="x265|ffmpeg")
    parser.add_argument("--out", type=Path, required=True, help="folder for the libraries")
    parser.add_argument("--sources", type=Path, default=HERE.parent / "build" / "sources")
    parser.add_argument("--work", type=Path, help="folder for what lies between; OUT with -work behind it")
    parser.add_argument(
        "--jobs", type=int, default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    )
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(BUILDERS)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))} is not one of {', '.join(BUILDERS)}")
    prefix = arguments.out.resolve()
    work = (arguments.work or prefix.with_name(prefix.name + "-work")).resolve()
    for name in arguments.names:
        build(name, known_sources()[name], prefix, arguments.sources.resolve(), work, arguments.jobs)
    write(
        prefix / BILL, (of_source(name, known_sources()[name]) for name in BUILDERS if is_built(name, prefix))
    )


if __name__ == "__main__":
    main()
