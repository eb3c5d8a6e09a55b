"""docs/frameworks.md: each section's Python runs, where the packages that it imports are installed."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
from pathlib import Path

import pytest
import torch

PAGE = Path(__file__).resolve().parents[2] / "docs" / "frameworks.md"
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What Ultralytics and albumentations read when they are imported: nothing is asked of the net.
os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("YOLO_AUTOINSTALL", "false")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")


def _sections() -> dict[str, list[str]]:
    """Blocks of Python by heading."""
    _, *parts = _SECTION.split(PAGE.read_text(encoding="utf-8"))
    found = {title: _BLOCK.findall(text) for title, text in zip(parts[::2], parts[1::2], strict=True)}
    return {title: blocks for title, blocks in found.items() if blocks}


def _packages(code: str) -> set[str]:
    """What a block imports, and what the names of its models need."""
    found: set[str] = set(re.findall(r'"(transformers|ultralytics|torchvision|timm|mmdet):', code))
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_every_framework_has_its_section() -> None:
    wanted = {"transformers", "Ultralytics", "torchvision and timm", "Your own loop", "Data sources"}
    assert wanted <= set(_sections())


@pytest.mark.filterwarnings("default")  # the packages' own
@pytest.mark.parametrize("section", _sections())
def test_a_section_runs(section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One block after another in one namespace and an empty folder, those whose packages are there.

    A section none of whose blocks can run is skipped.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    namespace: dict[str, object] = {"__name__": "__main__"}
    missing: set[str] = set()
    ran = 0
    for number, code in enumerate(_sections()[section]):
        absent = {name for name in _packages(code) if importlib.util.find_spec(name) is None}
        missing |= absent
        if absent:
            continue
        torch.manual_seed(0)
        exec(compile(code, f"{PAGE.name}, {section}, block {number}", "exec"), namespace)
        ran += 1
    if not ran:
        pytest.skip(f"not installed: {', '.join(sorted(missing))}")
