"""What users may rely on: public names and signatures, their docstrings, and what an import costs."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from doc_pages import PAGES, ROOT, blocks
from package.inventory import PUBLIC, exported, inventory, own_members

import npp

STORED = Path(__file__).with_name("inventory.txt")

# What must not come along with npp's own functions; torch, numpy and Pillow do, and safetensors may.
HEAVY = {
    "albumentations",
    "lightning",
    "matplotlib",
    "onnx",
    "rich",
    "tensorboard",
    "torchmetrics",
    "torchvision",
    "transformers",
    "typer",
    "ultralytics",
    "yaml",
}


def test_public_names_and_signatures_are_as_stored() -> None:
    pytest.importorskip("lightning")
    assert inventory() == STORED.read_text(encoding="utf-8"), (
        "meant? python tests/package/inventory.py > tests/package/inventory.txt, and a line in CHANGELOG.md"
    )


def _public() -> Iterator[tuple[str, object]]:
    for module in map(importlib.import_module, PUBLIC):
        yield module.__name__, module
        for name in exported(module):
            value = getattr(module, name)
            if not isinstance(value, types.ModuleType) and callable(value):
                yield f"{module.__name__}.{name}", value


def _is_described(value: object, name: str) -> bool:
    """Whether a docstring of its own is there; a dataclass without one lists its fields instead."""
    text = vars(value).get("__doc__") if isinstance(value, type) else value.__doc__
    return bool(text) and not text.startswith(f"{name.split('.')[-1]}(")


def test_public_things_say_what_they_are() -> None:
    pytest.importorskip("lightning")
    silent = [name for name, value in _public() if not _is_described(value, name)]
    for name, value in _public():
        for member, found in own_members(value) if isinstance(value, type) else ():
            is_code = inspect.isfunction(found) or isinstance(found, property | staticmethod | classmethod)
            if is_code and not inspect.getdoc(getattr(value, member)):
                silent.append(f"{name}.{member}")
    assert silent == []


def _python_of_pages() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in blocks(page, "python", "py"):
            yield page.name, block.code
    for file in sorted((ROOT / "examples").rglob("*.py")):
        yield file.name, file.read_text(encoding="utf-8")


def _exported_names(module: str) -> list[str]:
    """Public names of a module; of an integration without importing it, for not everyone has its package."""
    if not module.startswith("npp.integrations."):
        return exported(importlib.import_module(module))
    path = (ROOT / "python").joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    if path.is_dir():
        return [alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    kinds = (ast.ClassDef, ast.FunctionDef)
    found = (node for node in tree.body if isinstance(node, kinds))
    return [node.name for node in found if not node.name.startswith("_")]


def _is_public(module: str) -> bool:
    """Whether others may import it: each integration stands alone, and all may."""
    return module in PUBLIC or module.startswith("npp.integrations.")


def test_documentation_imports_from_public_places_only() -> None:
    found = 0
    for page, code in _python_of_pages():
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "npp":
                module = node.module or ""
                assert _is_public(module), f"{page}: from {module} import ..."
                names = _exported_names(module)
                for alias in node.names:
                    assert alias.name in names, f"{page}: {module}.{alias.name} is not exported"
                    found += 1
            if isinstance(node, ast.Import):
                for alias in node.names:
                    assert _is_public(alias.name) or alias.name.split(".")[0] != "npp", (
                        f"{page}: {alias.name}"
                    )
    assert found >= 8


def _run(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "first",
    [
        "npp; npp.compress, npp.encode",
        "npp.training, npp; npp.training.TrainConfig",
        "npp.evaluation, npp.photos",
    ],
)
def test_import_brings_nothing_heavy(first: str) -> None:
    script = f"import {first}; import sys; print(sorted({HEAVY} & set(sys.modules)))"
    assert _run(script) == "[]"


def test_import_costs_little_beside_torch() -> None:
    """CPU time after what npp stands on, as a part of what that takes; both in one process."""
    script = """
import time
start = time.process_time()
import numpy, torch, PIL.Image
middle = time.process_time()
import npp
npp.compress, npp.encode, npp.Preprocessor
print((time.process_time() - middle) / (middle - start))
"""
    assert float(_run(script)) < 0.35


def test_importing_npp_alone_brings_not_even_torch() -> None:
    """The command line answers in a tenth of a second."""
    names = {"numpy", "PIL", "torch"}
    assert _run(f"import npp, npp.cli, sys; print(sorted({names} & set(sys.modules)))") == "[]"


def test_rooms_are_attributes() -> None:
    rooms = [name for name in PUBLIC if name.count(".") == 1]
    attributes = "; ".join(f"assert {room}.__name__ == {room!r}" for room in rooms)
    assert _run(f"import npp; {attributes}; print('all')") == "all"
    assert {room.split(".")[1] for room in rooms} <= set(dir(npp))


@pytest.mark.parametrize("module", [npp, npp.training, npp.evaluation], ids=lambda module: module.__name__)
def test_misspelt_names_are_refused(module: types.ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"module '{module.__name__}' has no attribute 'trainig'"):
        _ = module.trainig
    assert set(module.__all__) <= set(dir(module))


def test_importing_everything_by_star_works() -> None:
    assert _run("from npp import *; print(BPG.__name__, training.TrainConfig.__name__)") == "BPG TrainConfig"
