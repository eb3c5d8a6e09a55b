"""What a run needs around its configuration is looked for before the work."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from npp.checks import brief
from npp.config.surroundings import (
    missing_package,
    modules_below,
    resolve_accelerator,
    resolve_device,
)
from npp.config.yaml_files import ConfigError
from npp.extras import need, require


def test_auto_is_a_gpu_where_there_is_one_and_else_the_cpu() -> None:
    wanted = "cuda" if torch.cuda.is_available() else "cpu"
    assert resolve_device("auto").type == resolve_accelerator("auto", "auto") == wanted
    assert resolve_device("cpu").type == resolve_accelerator("cpu", 2) == "cpu"


def test_a_gpu_that_is_not_there_is_named() -> None:
    beyond = torch.cuda.device_count() + 1 if torch.cuda.is_available() else 1
    with pytest.raises(ConfigError, match=r"^device is 'cuda:\d+', but there is .* that torch can use"):
        resolve_device(f"cuda:{beyond}")
    with pytest.raises(
        ConfigError, match=r"^trainer\.accelerator is 'gpu', but there is .* that torch can use"
    ):
        resolve_accelerator("gpu", beyond)
    with pytest.raises(ConfigError, match=r"^device must be auto, cpu, cuda or cuda:NUMBER, not 'quick'"):
        resolve_device("quick")
    with pytest.raises(ConfigError, match=r"^accelerator is 'cuda', but there is"):
        resolve_accelerator("cuda", f"0,{beyond - 1}", section="")


@pytest.mark.parametrize("devices", [0, -2, True, "x", "", "0", "2.5", "-1,0", "1,,2", ",", "²", "9" * 5000])
def test_devices_that_mean_nothing_are_named(devices: Any) -> None:
    said = r"devices must be auto, -1 for all, at least 1, or numbers of GPUs as 0,1, not "
    for accelerator in ("cpu", "cuda", "auto"):
        with pytest.raises(ConfigError, match=rf"^trainer\.{said}{re.escape(brief(devices))}$"):
            resolve_accelerator(accelerator, devices)
    with pytest.raises(ConfigError, match=f"^{said}"):
        resolve_accelerator("cpu", devices, section="")


@pytest.mark.parametrize("devices", [-1, "-1", " -1", "0,1", "0, 1", "0,"])
def test_a_cpu_needs_a_number_of_devices(devices: int | str) -> None:
    with pytest.raises(
        ConfigError, match=rf"^trainer\.devices must be auto or at least 1 on a CPU, not {devices}$"
    ):
        resolve_accelerator("cpu", devices)
    assert resolve_accelerator("tpu", devices) == "tpu"


@pytest.mark.parametrize("devices", [1, 3, "1", "3", "auto"])
def test_devices_that_a_cpu_can_be(devices: int | str) -> None:
    assert resolve_accelerator("cpu", devices) == "cpu"


def test_packages_are_looked_for_and_hints_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    need("a plot", "matplotlib")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"^a plot needs the package matplotlib: pip install 'npp\[eval\]'"
    ):
        need("a plot", "matplotlib")

    def hint(name: str, extra: str) -> str:
        return missing_package(ModuleNotFoundError(f"No module named {name!r}", name=name), extra)

    assert hint("yaml", "eval").endswith("pip install 'npp[eval]'")
    assert hint("yaml", "train").endswith("pip install 'npp[train]'")
    assert hint("lightning.pytorch", "eval") == "needs the package lightning: pip install 'npp[train]'"
    assert hint("rich", "train").endswith("pip install 'npp[cli]'")
    assert hint("my_networks", "train") == "No module named 'my_networks'"


def test_a_command_names_its_own_extra_whoever_found_the_package_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    for look in (lambda: require("torchmetrics", "a metric"), lambda: need("a metric", "torchmetrics")):
        with pytest.raises(ModuleNotFoundError, match=r"torchmetrics: pip install 'npp\[eval\]'$") as missing:
            look()
        assert missing.value.name == "torchmetrics"
        said = "a metric needs the package torchmetrics: pip install 'npp[train]'"
        assert missing_package(missing.value, "train") == said
        assert missing_package(missing.value, "cli") == str(missing.value)


def test_modules_of_a_folder_are_found_within_only(tmp_path: Path) -> None:
    (tmp_path / "beside_the_file.py").write_text("value = 3\n")
    (tmp_path / "json.py").write_text("raise RuntimeError\n")
    before = list(sys.path)
    with modules_below(str(tmp_path)):
        assert importlib.import_module("beside_the_file").value == 3
        assert importlib.reload(sys.modules["json"]).dumps(1) == "1"
    assert sys.path == before
    with pytest.raises(ZeroDivisionError), modules_below(str(tmp_path)):
        raise ZeroDivisionError
    assert sys.path == before


def test_devices_that_would_be_processes_without_an_end_are_refused() -> None:
    for devices in (100_000, "100000"):
        with pytest.raises(
            ConfigError, match=r"^trainer\.devices must be at most 256 on cpu, not 100000: each"
        ):
            resolve_accelerator("cpu", devices)
    assert resolve_accelerator("cpu", 256) == "cpu"
