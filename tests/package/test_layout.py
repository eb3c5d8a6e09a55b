"""The house keeps its shape: imports go one way, nothing imports the package's own front door."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
PACKAGE = TESTS.parent / "python" / "npp"

# Each room with those that it may import from, itself and the tools at the top of the package apart.
BELOW = {
    "codec": set(),
    "hevc": {"codec"},
    "gradient": {"codec", "hevc"},
    "preprocessing": {"codec", "hevc"},
    "restoration": {"codec", "hevc"},
    "allocation": {"codec", "hevc", "gradient", "tasks"},
    "recipes": {"codec", "hevc", "gradient", "preprocessing", "allocation", "restoration"},
    "batch": {"codec", "gradient", "allocation", "recipes", "photos", "tasks", "config"},
    "tasks": {"codec", "gradient"},
    "photos": {"codec", "config"},
    "config": set(),
    "evaluation": {
        "codec",
        "gradient",
        "preprocessing",
        "restoration",
        "allocation",
        "recipes",
        "tasks",
        "photos",
        "config",
    },
    "training": {
        "codec",
        "hevc",
        "gradient",
        "preprocessing",
        "restoration",
        "allocation",
        "recipes",
        "tasks",
        "photos",
        "config",
        "evaluation",
    },
    "cli": {
        "codec",
        "gradient",
        "preprocessing",
        "restoration",
        "allocation",
        "recipes",
        "batch",
        "tasks",
        "photos",
        "config",
        "evaluation",
        "training",
        "integrations",
    },
    "integrations": {
        "codec",
        "gradient",
        "preprocessing",
        "restoration",
        "allocation",
        "recipes",
        "batch",
        "tasks",
        "photos",
        "config",
        "evaluation",
        "training",
    },
}
# Modules beside the rooms: the tools know none of them, Pillow's plugin and the transforms use the codec.
TOOLS = {
    "checks",
    "extras",
    "file_locks",
    "files",
    "lazy",
    "macs",
    "onnx_writing",
    "pchip",
    "per_picture",
    "progress",
    "torch_defaults",
    "torch_state",
    "weight_files",
    "_bpg",
}
DOORS = {"__init__", "__main__", "pillow", "transforms"}
# npp.BPG is a layer of a network, npp.transforms.BPG the same codec as a step of a dataset: as in torchvision
# and albumentations, whose users write both, the package of the second says which is meant.
SHARED_NAMES = {"BPG": {"gradient/pairing.py", "transforms.py"}}
FILES = sorted(PACKAGE.rglob("*.py"))


def _name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def _as_module(name: str, package: str) -> str:
    """What ``from package import name`` imports: a module of that name, or something of the package's."""
    place = PACKAGE.parent.joinpath(*name.split("."))
    return name if place.is_dir() or place.with_suffix(".py").is_file() else package


def _imported(path: Path) -> Iterator[tuple[int, str]]:
    """Lines and modules of npp that a file imports, those within functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            names = [_as_module(f"{node.module}.{alias.name}", node.module or "") for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from ((node.lineno, name) for name in names if name == "npp" or name.startswith("npp."))


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_room_is_known() -> None:
    found = {_room(path) for path in FILES}
    assert found == set(BELOW) | DOORS | (TOOLS - {"_bpg"})


def test_contributors_are_told_of_every_room() -> None:
    page = (TESTS.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = page.partition("## The rooms")[2].partition("\n\nThe last")[0]
    named = re.findall(r"`(\w+)(?:\.py)?`", " ".join(re.findall(r"^\|([^|]*)\|", table, re.MULTILINE)))
    assert sorted(named) == sorted({*BELOW, *TOOLS, "pillow", "transforms"} - {"_bpg"})


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_imports_go_one_way(path: Path) -> None:
    room = _room(path)
    if room in DOORS:
        return
    allowed = TOOLS | ({room} | BELOW[room] if room in BELOW else set())
    if room in ("cli", "batch"):
        allowed = allowed | {"pillow"}
    if room == "integrations":
        allowed = allowed | {"pillow", "transforms"}
    for line, module in _imported(path):
        assert module != "npp", f"{_name(path)}:{line} imports the package's own front door"
        assert module.split(".")[1] in allowed, f"{_name(path)}:{line} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_what_is_private_stays_in_its_module(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "npp":
            private = [alias.name for alias in node.names if alias.name.startswith("_")]
            assert set(private) <= {"_bpg", "__version__"}, f"{_name(path)}:{node.lineno} imports {private}"


def _cycle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a ring; empty where there is none."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return path[path.index(module) :]
        if module in done:
            return []
        for other in sorted(graph.get(module, ())):
            if ring := visit(other, [*path, module]):
                return ring
        done.add(module)
        return []

    for module in sorted(graph):
        if ring := visit(module, []):
            return ring
    return []


def _module(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(["npp", *(part for part in parts if part != "__init__")])


def test_no_module_waits_for_itself() -> None:
    modules = {_module(path): path for path in FILES}
    graph = {
        name: {module for _, module in _imported(path) if module in modules and module != name}
        for name, path in modules.items()
        if name != "npp"
    }
    assert _cycle(graph) == []


def test_no_name_stands_for_two_modules() -> None:
    names = [path.stem for path in FILES if path.stem not in ("__init__", "__main__")]
    assert sorted(names) == sorted(set(names))


def test_no_name_stands_for_two_files_of_tests() -> None:
    """pytest imports them by their names alone, and passes over the second one's tests with an error."""
    names = Counter(path.name for path in TESTS.rglob("*.py") if path.name != "conftest.py")
    assert [name for name, count in names.items() if count > 1] == []


def test_no_name_stands_for_two_public_classes() -> None:
    found: dict[str, set[str]] = {}
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, set()).add(_name(path))
    several = {name: paths for name, paths in found.items() if len(paths) > 1}
    assert several == SHARED_NAMES


def test_no_test_needs_another_ones_file() -> None:
    """Each test file runs by itself: what several use stands beside the rooms of the tests."""
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").split(".")[-1].startswith("test_"), (
                    f"{path.name}:{node.lineno}"
                )


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
