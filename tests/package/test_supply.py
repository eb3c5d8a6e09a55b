"""What a user's build starts from: the sdist, and the releases of x265 and libavcodec that are let in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path

import pytest

import npp

ROOT = Path(__file__).resolve().parents[2]
LIBBPG = ROOT / "third_party" / "libbpg"


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as an sdist, made without a network."""
    pytest.importorskip("scikit_build_core")
    folder = tmp_path_factory.mktemp("sdist")
    script = f"from scikit_build_core.build import build_sdist; print(build_sdist({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True)
    (file,) = folder.iterdir()
    return file


def _tracked(*folders: str) -> set[str]:
    command = ["git", "-C", str(ROOT), "ls-files", *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a git repository")
    return {name for name in done.stdout.splitlines() if (ROOT / name).exists()}


def test_sdist_has_all_sources_and_no_build(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = _tracked(
        "CMakeLists.txt", "pyproject.toml", "README.md", "cpp", "docs", "python", "third_party", "tests"
    )
    assert wanted <= names
    assert {"LICENSE", "THIRD_PARTY.md", "SECURITY.md", "PKG-INFO"} <= names
    built = re.compile(r"\.(so|pyd|dylib|o|a|pyc|whl)$|(^|/)(build|dist|\.venv|runs|lightning_logs)/")
    assert not [name for name in names if built.search(name)]
    assert not [name for name in names if name.startswith(("shared/", ".git/", ".hypothesis/"))]
    assert sdist.stat().st_size < 20 << 20  # most of it weights and measured curves


def test_licences_are_named() -> None:
    licence = (ROOT / "LICENSE").read_text()
    assert "GNU GENERAL PUBLIC LICENSE" in licence and "END OF TERMS AND CONDITIONS" in licence
    others = (ROOT / "THIRD_PARTY.md").read_text()
    for name in ("x265", "libavcodec", "pybind11", "libnuma"):
        assert name in others


def _offline() -> list[str]:
    """A command without any network, where that is allowed."""
    command = ["unshare", "-rn"] if os.geteuid() else ["unshare", "-n"]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return command


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_sdist_installs_without_a_network(sdist: Path, tmp_path: Path) -> None:
    pytest.importorskip("pybind11")
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    # torch, numpy and the build tools are there already; npp itself is found in the new place first.
    site = next((tmp_path / "venv" / "lib").glob("python3*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    install = ["-m", "pip", "install", "--no-index", "--no-build-isolation", "--no-cache-dir"]
    build = ["--ignore-installed", "--no-deps", str(sdist)]
    done = subprocess.run(
        [*_offline(), str(python), *install, *build],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    script = """
import importlib.metadata, numpy, npp
files = [str(file) for file in importlib.metadata.files("npp")]
assert any(file.endswith("licenses/LICENSE") for file in files), files
assert any(file.endswith("licenses/THIRD_PARTY.md") for file in files), files
picture = numpy.zeros((16, 16, 3), numpy.uint8)
assert npp.decode(npp.encode(picture, effort=0)).shape == (3, 16, 16)
print(npp.__file__)
"""
    checks = [str(python), "-m", "pip", "check"]
    used = subprocess.run(
        [str(python), "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert Path(used.stdout.strip()).is_relative_to(tmp_path)
    assert "npp 0" not in subprocess.run(checks, env=environment, capture_output=True, text=True).stdout


def _configure(
    folder: Path, x265: str | None, libavcodec: str | None, *options: str, said: Path | None = None
) -> str:
    """What CMake says where pkg-config finds only these versions; empty when it is content.

    ``said`` gets its other words."""
    if shutil.which("cmake") is None or shutil.which("pkg-config") is None:
        pytest.skip("cmake or pkg-config is absent")
    found = {"x265": x265, "libavcodec": libavcodec, "libavutil": "57.0.0" if libavcodec else None}
    for name, version in found.items():
        if version is not None:
            (folder / f"{name}.pc").write_text(f"Name: {name}\nDescription: {name}\nVersion: {version}\n")
    module = LIBBPG / "cmake" / "FindCodecs.cmake"
    (folder / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.20)\nproject(test LANGUAGES CXX)\ninclude({module})\n"
    )
    done = subprocess.run(
        ["cmake", "-S", str(folder), "-B", str(folder / "build"), *options],
        env={**os.environ, "PKG_CONFIG_LIBDIR": str(folder), "PKG_CONFIG_PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    if said is not None:
        said.write_text(done.stdout)
    return " ".join(done.stderr.split()) if done.returncode else ""


@pytest.mark.parametrize(
    ("x265", "libavcodec", "message"),
    [
        (None, "59.37.100", "The development files of x265 are missing"),
        ("3.5", None, "The development files of libavcodec are missing"),
        ("3.3", "59.37.100", "x265 3.4 to 4.2 is supported, 3.3 was found. It is too old"),
        ("3.5", "58.134.100", "libavcodec 59 to 63 is supported, 58.134.100 was found. It is too old"),
        ("5.0", "59.37.100", "x265 3.4 to 4.2 is supported, 5.0 was found. It is newer than what was tested"),
        ("4.1", "64.1.100", "libavcodec 59 to 63 is supported, 64.1.100 was found. It is newer than"),
    ],
)
def test_releases_outside_the_range_are_refused(
    tmp_path: Path, x265: str | None, libavcodec: str | None, message: str
) -> None:
    assert message in _configure(tmp_path, x265, libavcodec)


@pytest.mark.parametrize(("x265", "libavcodec"), [("3.4", "59.37.100"), ("4.2.1", "63.5.100")])
def test_releases_of_the_range_are_let_in(tmp_path: Path, x265: str, libavcodec: str) -> None:
    assert _configure(tmp_path, x265, libavcodec) == ""


def test_a_newer_release_can_be_tried(tmp_path: Path) -> None:
    assert _configure(tmp_path, "5.0", "64.0.0", "-DBPG_ANY_CODEC_VERSION=ON") == ""


def _own_codecs(folder: Path) -> Path:
    """A folder as packaging/build_codecs.py makes it, with an FFmpeg that is none."""
    own = folder / "codecs"
    (own / "lib" / "pkgconfig").mkdir(parents=True)
    for name, version in (("libavcodec", "60.31.102"), ("libavutil", "58.29.100")):
        (own / "lib" / f"{name}.a").touch()
        text = f"Name: {name}\nDescription: {name}\nVersion: {version}\n"
        (own / "lib" / "pkgconfig" / f"{name}.pc").write_text(text)
    return own


def test_codecs_of_a_folder_come_before_the_systems(tmp_path: Path) -> None:
    """Also in a build folder that has found the others already, and back again."""
    said = tmp_path / "said.txt"
    own = str(_own_codecs(tmp_path))
    for option, found in (
        ("", "59.37.100 (shared)"),
        (own, "60.31.102 (static)"),
        ("", "59.37.100 (shared)"),
    ):
        assert _configure(tmp_path, "3.5", "59.37.100", f"-DBPG_CODECS={option}", said=said) == ""
        assert f"libavcodec {found}" in said.read_text()


def test_a_folder_without_codecs_is_refused(tmp_path: Path) -> None:
    assert "has put no library" in _configure(tmp_path, "3.5", "59.37.100", "-DBPG_CODECS=nothing")


def _compile(source: str, headers: Path | None = None, *defines: str) -> str:
    """The compiler's errors about a source of libbpg with other headers before the system's."""
    compiler = shutil.which("c++")
    if compiler is None or shutil.which("pkg-config") is None:
        pytest.skip("a compiler or pkg-config is absent")
    flags = subprocess.run(
        ["pkg-config", "--cflags", "x265", "libavcodec"], capture_output=True, text=True, check=True
    ).stdout.split()
    first = ["-I", str(headers)] if headers else []
    warnings = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    own = ["-I", str(LIBBPG / "include"), "-I", str(LIBBPG / "src")]
    command = [compiler, *warnings, *defines, *first, *own, *flags, str(LIBBPG / "src" / source)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


def _x265_headers(folder: Path) -> str:
    """This machine's x265 headers, copied to be changed."""
    where = subprocess.run(
        ["pkg-config", "--variable=includedir", "x265"], capture_output=True, text=True, check=True
    ).stdout.strip()
    for name in ("x265.h", "x265_config.h"):
        shutil.copy(Path(where) / name, folder / name)
    return (folder / "x265.h").read_text()


def test_compiles_with_text_arrays_of_later_x265(tmp_path: Path) -> None:
    text = _x265_headers(tmp_path)
    for name in ("numaPools", "scalingLists"):
        text = re.sub(rf"const char ?\* ?{name};", f"char {name}[256];", text)
        assert f"char {name}[" in text
    (tmp_path / "x265.h").write_text(text)
    assert _compile("x265_settings.cpp", tmp_path) == ""


def test_compiles_with_the_picture_list_of_x265_4_0(tmp_path: Path) -> None:
    text = _x265_headers(tmp_path)
    text, changed = re.subn(r"(\(\*encoder_encode\)\([^)]*x265_picture\*)\)", r"\1*)", text)
    assert changed == 1
    (tmp_path / "x265.h").write_text(text)
    assert _compile("hevc_encoder.cpp", tmp_path) == ""


def test_older_headers_stop_the_compiler(tmp_path: Path) -> None:
    _x265_headers(tmp_path)
    (tmp_path / "x265_config.h").write_text("#define X265_BUILD 191\n")
    assert "x265 3.4 or later is needed" in _compile("x265_settings.cpp", tmp_path)
    (tmp_path / "libavcodec").mkdir()
    header = "#include_next <libavcodec/avcodec.h>\n#undef LIBAVCODEC_VERSION_MAJOR\n"
    header += "#define LIBAVCODEC_VERSION_MAJOR 58\n"
    (tmp_path / "libavcodec" / "avcodec.h").write_text(header)
    (tmp_path / "x265_config.h").unlink()
    assert "libavcodec 59 (FFmpeg 5.0) or later is needed" in _compile("hevc_decoder.cpp", tmp_path)


def test_build_config_names_the_versions() -> None:
    config = npp.build_config()
    x265 = tuple(int(part) for part in re.findall(r"\d+", config["x265_version"])[:2])
    libavcodec = int(config["libavcodec_version"].split(".")[0])
    assert (3, 4) <= x265 <= (4, 2)
    assert 59 <= libavcodec <= 63
