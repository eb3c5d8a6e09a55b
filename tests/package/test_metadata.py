"""What pyproject.toml says is so: requirements, extras, licence, and the tools that read it."""

from __future__ import annotations

import ast
import json
import re
import runpy
import subprocess
import sys
from importlib.metadata import metadata, requires
from pathlib import Path

import pytest
from safetensors import safe_open

from npp import _bpg

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python" / "npp"
# Distributions whose name is not that of their module.
_DISTRIBUTIONS = {"PIL": "pillow", "yaml": "pyyaml", "typing_extensions": "typing-extensions"}
# Named in the errors of what needs them; there is no extra that has them.
_BY_THEIR_OWN_NAME = {"efficientnet_lite_pytorch", "IPython"}


def _requirements(extra: str | None = None) -> set[str]:
    """Names of the distributions that npp, or one of its extras, asks for."""
    found = set()
    for text in requires("npp") or ():
        name, _, marker = text.partition(";")
        wanted = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        if (wanted[1] if wanted else None) == extra:
            found.add(re.split(r"[^\w.-]", name.strip())[0].lower().replace("_", "-"))
    return found


def _extras() -> set[str]:
    return set(metadata("npp").get_all("Provides-Extra") or ())


def _imports(path: Path, top_only: bool) -> set[str]:
    """Modules of others that a file imports; ``top_only``: when it is imported itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found - sys.stdlib_module_names - {"npp"}


def _distribution(module: str) -> str:
    return _DISTRIBUTIONS.get(module, module).lower()


@pytest.mark.parametrize(
    "room", ["codec", "hevc", "gradient", "preprocessing", "restoration", "allocation", "tasks"]
)
def test_core_rooms_import_what_is_always_installed(room: str) -> None:
    for path in sorted((PACKAGE / room).rglob("*.py")):
        for module in _imports(path, top_only=True):
            assert _distribution(module) in _requirements(), f"{path.name} imports {module}"


def test_every_import_is_declared() -> None:
    declared = _requirements().union(*(_requirements(extra) for extra in _extras() - {"test", "dev"}))
    for path in sorted(PACKAGE.rglob("*.py")):
        for module in _imports(path, top_only=False) - _BY_THEIR_OWN_NAME:
            assert _distribution(module) in declared, f"{path.name} imports {module}"


def test_extras_that_are_named_exist() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *PACKAGE.rglob("*.py")]
    named = {
        extra.strip()
        for page in pages
        for group in re.findall(r"npp\[([\w, -]+)\]", page.read_text(encoding="utf-8"))
        for extra in group.split(",")
    }
    assert {"cli", "train", "eval", "tasks", "onnx"} <= named
    assert named <= _extras()


def test_licence_is_said_once_and_the_same() -> None:
    facts = metadata("npp")
    assert facts["License-Expression"] == "GPL-2.0-or-later AND Apache-2.0"
    assert {"LICENSE", "THIRD_PARTY.md"} < set(facts.get_all("License-File") or ())
    assert any(name.endswith("Apache-2.0.txt") for name in facts.get_all("License-File") or ())
    assert not [line for line in facts.get_all("Classifier") or () if line.startswith("License")]
    assert "GPL" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_weights_that_are_shipped_are_accounted_for() -> None:
    page = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")
    weights = [path for kind in ("pt", "safetensors") for path in PACKAGE.rglob(f"*.{kind}")]
    assert len(weights) >= 3
    for path in weights:
        (row,) = [line for line in page.splitlines() if f"`{path.relative_to(PACKAGE).as_posix()}`" in line]
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as stored:
                assert ("they hold settings" in row) == (not stored.keys())


def _tool(name: str, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "tools" / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_lowest_versions_are_those_of_the_metadata() -> None:
    found = dict(pin.split("==") for pin in _tool("lowest_versions.py").split())
    assert set(found) == _requirements() >= {"torch", "numpy", "pillow"}
    assert {f"{name}>={bound}" for name, bound in found.items()} <= set(requires("npp") or ())


def test_lowest_versions_are_those_of_the_build_too() -> None:
    found = {pin.split("==")[0] for pin in _tool("lowest_versions.py", "--build").split()}
    assert found - _requirements() == {"scikit-build-core", "pybind11", "setuptools-scm"}


def test_lowest_versions_are_those_of_extras_too() -> None:
    core = _tool("lowest_versions.py").split()
    found = _tool("lowest_versions.py", "cli").split()
    assert found[: len(core)] == core
    assert {pin.split("==")[0] for pin in found[len(core) :]} == _requirements("cli") == {"typer", "rich"}
    assert "lowest_versions.py --build cli" in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", ["Makefile", "tools/test_pythons.py", "pyproject.toml"])
def test_what_is_installed_for_tests_has_the_bounds_of_the_project(file: str) -> None:
    asked, _, _ = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[tool.")
    pattern = r"[\"']([\w.-]+>=[0-9.]+)[\"']"
    named = set(re.findall(pattern, (ROOT / file).read_text(encoding="utf-8")))
    assert named
    assert named <= set(re.findall(pattern, asked))


def test_coverage_is_counted_by_room(tmp_path: Path) -> None:
    report = tmp_path / "coverage.json"
    names = ("a/npp/codec/x.py", "a/npp/codec/y.py", "a/npp/files.py")
    ran = {"summary": {"covered_lines": 3, "num_statements": 4}}
    report.write_text(json.dumps({"files": dict.fromkeys(names, ran)}))
    rows = [line.split() for line in _tool("coverage_by_room.py", str(report)).splitlines()]
    assert rows == [
        ["room", "lines", "ran"],
        ["codec", "8", "75.0%"],
        ["npp", "4", "75.0%"],
        ["all", "12", "75.0%"],
    ]


def test_the_extension_that_is_used_alone_on_other_pythons_is_used_rightly() -> None:
    """The tool's script runs in other environments, where a mistake would only show in a release."""
    script = runpy.run_path(str(ROOT / "tools" / "test_pythons.py"))["ALONE"]
    command = [sys.executable, "-c", script, _bpg.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch("[0-9a-f]{12}", done.stdout.strip())


def test_pythons_are_found() -> None:
    """The running one is, and a name that is not there is refused with those that are."""
    command = [sys.executable, str(ROOT / "tools" / "test_pythons.py"), "--only", "2.7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no Python 2.7 here" in done.stderr
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in done.stderr
