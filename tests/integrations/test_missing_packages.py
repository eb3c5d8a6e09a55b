"""Nothing of npp imports a framework unasked, and one that is missing is named with what installs it."""

from __future__ import annotations

import importlib.util
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import npp.integrations
from npp.lazy import exported_when_touched

FRAMEWORKS = (
    *("albumentations", "datasets", "fiftyone", "mmcv", "mmdet", "mmengine", "mmpretrain", "onnx2torch"),
    *("pycocotools", "ray", "timm", "torchvision", "transformers", "ultralytics", "webdataset"),
)
#: Each way to ask for a framework, with the end of what is said where it is missing.
USES = {
    "import npp.integrations.albumentations_bpg": "the package albumentations: pip install albumentations",
    "import npp.integrations.lightning_codec": "the package lightning: pip install 'npp[train]'",
    "import npp.integrations.openmmlab": "the package mmcv: pip install 'npp[openmmlab]' "
    "after mmcv built for your torch (npp's documentation, page 'In the framework you train in')",
    "import npp.integrations.ray; npp.integrations.ray.encode('a', 'b')": "the package ray: pip "
    "install 'npp[ray]'",
    "npp.tasks.load_network('timm:resnet18')": "the package timm: pip install 'npp[tasks]'",
    "npp.tasks.load_network('torchvision:resnet18')": "the package torchvision: pip install 'npp[tasks]'",
    "npp.tasks.load_network('ultralytics:a')": "the package ultralytics: pip install 'npp[ultralytics]'",
    "npp.tasks.load_network('transformers:a')": "the package transformers: pip install 'npp[transformers]'",
    "npp.tasks.load_network('mmdet:a:none')": "the package mmdet: pip install 'npp[openmmlab]'",
    "npp.training.train_recipe": "the package lightning: pip install 'npp[train]'",
    "npp.training.distil_allocator": "the package lightning: pip install 'npp[train]'",
    "npp.evaluation.load_evaluation('a.yaml')": "the package yaml: pip install 'npp[train]'",
}


def _run(code: str, folder: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=540, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_module_imports_a_framework() -> None:
    """All of npp's modules but the integrations, and a task of a network that needs nobody's package.

    Training is with Lightning, and what that imports is its own affair.
    """
    files = {path.relative_to(folder) for folder in npp.__path__ for path in Path(folder).rglob("*.py")}
    modules = [
        ".".join(["npp", *path.with_suffix("").parts]).removesuffix(".__init__")
        for path in sorted(files)
        if path.stem != "__main__" and path.parts[0] not in ("integrations", "training")
    ]
    assert len(modules) > 100
    code = f"""
import importlib, sys, torch, npp, npp.integrations, npp.tasks
for module in {modules!r}:
    importlib.import_module(module)
npp.tasks.build_task("classification", model=torch.nn.Flatten())
npp.transforms.BPG(effort=0)(torch.rand(3, 16, 16))
print(sorted(set({(*FRAMEWORKS, "lightning")!r}) & set(sys.modules)))
"""
    assert _run(code).strip() == "[]"


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each use says where the packages are hidden, as if they were not installed."""
    code = f"""
import json, sys
for name in {(*FRAMEWORKS, "lightning", "yaml")!r}:
    sys.modules[name] = None
import npp, npp.evaluation, npp.tasks, npp.training
found = {{}}
for use in {list(USES)!r}:
    try:
        exec(use)
    except ModuleNotFoundError as error:
        found[use] = str(error)
print(json.dumps(found))
"""
    folder = tmp_path_factory.mktemp("missing")
    (folder / "a.yaml").write_text("name: a\n")
    found: dict[str, str] = json.loads(_run(code, folder))
    return found


@pytest.mark.parametrize("use", USES)
def test_a_missing_package_is_named_with_what_installs_it(use: str, said: dict[str, str]) -> None:
    assert said[use].endswith(f" needs {USES[use]}")


def test_another_module_that_is_missing_is_no_cause_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What prints an error with its causes would never end."""
    (tmp_path / "lazily.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    touch, _ = exported_when_touched("lazily", {"gone": None})
    with pytest.raises(ModuleNotFoundError) as error:
        touch("gone")
    assert error.value.__cause__ is None and error.value.name is not None


@pytest.mark.skipif("NPP_FRAMEWORKS" not in os.environ, reason="for `make test-frameworks`")
def test_the_environment_of_frameworks_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else tests would be skipped there that run nowhere else.

    torchvision may be built for another torch than the one that pip finds; then it is not installed.
    """
    absent = set()
    if importlib.util.find_spec("torchvision") is None:
        absent = {"torchvision", "timm", "onnx2torch", "ultralytics"}
    for name, value in (
        ("FIFTYONE_DISABLE_SERVICES", "1"),
        ("FIFTYONE_DO_NOT_TRACK", "1"),
        ("NO_ALBUMENTATIONS_UPDATE", "1"),
        ("YOLO_OFFLINE", "true"),
    ):
        monkeypatch.setenv(name, value)
    _run(f"import moto.server, ray.data, {', '.join(sorted(set(FRAMEWORKS) - absent))}")


def test_no_integration_is_forgotten() -> None:
    uses = " ".join(USES)
    for module in pkgutil.iter_modules(npp.integrations.__path__):
        assert f"import npp.integrations.{module.name}" in uses
