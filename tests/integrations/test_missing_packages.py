"""An integration whose package is missing says what to install, and npp by itself asks for none of them."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys

import pytest

INTEGRATIONS = {
    "npp.integrations.albumentations_bpg": ("albumentations", "pip install albumentations"),
    "npp.integrations.lightning_codec": ("lightning.pytorch", "pip install 'npp[train]'"),
}


@pytest.mark.parametrize("module", INTEGRATIONS)
def test_a_missing_package_is_named_with_what_installs_it(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, hint = INTEGRATIONS[module]
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, module, raising=False)
    text = f"{module} needs the package {package.partition('.')[0]}: {hint}"
    with pytest.raises(ModuleNotFoundError, match=re.escape(text)):
        importlib.import_module(module)


def test_tasks_and_transforms_import_no_framework() -> None:
    script = """
        import sys, torch, npp, npp.tasks, npp.tasks.detection, npp.tasks.hugging_face, npp.tasks.yolo
        npp.tasks.build_task("classification", model=torch.nn.Flatten())
        npp.transforms.BPG(effort=0)(torch.rand(3, 16, 16))
        names = {"albumentations", "datasets", "lightning", "torchvision", "transformers", "ultralytics"}
        print(sorted(names & set(sys.modules)))
    """
    script = "\n".join(line.strip() for line in script.splitlines())
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
