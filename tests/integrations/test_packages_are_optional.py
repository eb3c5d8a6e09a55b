"""Nothing of other people's frameworks is imported before it is asked for, and what is missing is named."""

from __future__ import annotations

import subprocess
import sys

import pytest

FRAMEWORKS = ("mmengine", "mmcv", "mmdet", "mmpretrain", "transformers", "ultralytics", "timm", "torchvision")


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )


def test_npp_imports_none_of_them() -> None:
    code = f"""
import sys
import npp, npp.allocation, npp.preprocessing, npp.recipes, npp.tasks, npp.integrations
from npp.tasks import build_task, load_network
import npp.tasks.detectors, npp.tasks.mmdet_detector, npp.tasks.openmmlab_models
print(sorted(set({FRAMEWORKS!r}) & set(sys.modules)))
"""
    done = _run(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "use",
    [
        "import npp.integrations.openmmlab",
        "from npp.tasks import build_task; build_task('detection', model='mmdet:fcos/some:none')",
    ],
)
def test_a_missing_package_names_the_extra(use: str) -> None:
    """Packages are hidden, as where they are not installed."""
    hidden = "".join(f"sys.modules[{name!r}] = None; " for name in FRAMEWORKS)
    done = _run(f"import sys; {hidden}{use}")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: ")
    assert "pip install 'npp[openmmlab]'" in last
