"""What a run needs around its configuration: packages, modules of one's own, a device."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch

from npp.config.yaml_files import ConfigError
from npp.extras import PACKAGES, MissingPackageError, how_to_install

_GPU = ("cuda", "gpu")


def missing_package(error: ModuleNotFoundError, extra: str) -> str:
    """What to say about a package that is not there.

    Args:
        error: what importing it raised.
        extra: of npp, where several bring the package.
    """
    if isinstance(error, MissingPackageError):
        return error.told(extra)
    name = (error.name or "").partition(".")[0]
    if name not in PACKAGES or "pip install" in str(error):
        return str(error)
    return f"needs the package {name}: {how_to_install(name, extra=extra)}"


def need(purpose: str, *packages: str) -> None:
    """Looks for packages that are only imported after hours of work.

    Raises:
        MissingPackageError: one is missing; the message tells what to install. It is a ModuleNotFoundError.
    """
    for package in packages:
        if find_spec(package) is None:
            raise MissingPackageError(purpose, package)


@contextmanager
def modules_below(folder: str | None) -> Iterator[None]:
    """Lets ``python:module:name`` find modules of a folder; what is installed comes first."""
    if folder is None or folder in sys.path:
        yield
        return
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def folder_of(path: Path | str) -> str:
    """The folder of a configuration file, whole."""
    return str(Path(path).resolve().parent)


def resolve_device(name: str) -> torch.device:
    """The device of ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ...: ``auto`` is a GPU where there is one.

    Raises:
        ConfigError: no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device must be auto, cpu, cuda or cuda:NUMBER, not {name!r}") from None
    if device.type == "cuda":
        _check_gpus(f"device is {name!r}", 1 + (device.index or 0))
    elif device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError(f"device is {name!r}, but torch finds none; auto takes what there is")
    return device


def resolve_accelerator(name: str, devices: int | str) -> str:
    """Lightning's accelerator; ``auto`` means what it means for :func:`resolve_device`.

    Raises:
        ConfigError: fewer GPUs than asked for, or a number of devices that means nothing.
    """
    if isinstance(devices, int) and not isinstance(devices, bool) and devices < 1 and devices != -1:
        raise ConfigError(f"trainer.devices must be auto, -1 for all, or at least 1, not {devices}")
    if name == "auto":
        return resolve_device(name).type
    if name in _GPU:
        wanted = devices if isinstance(devices, int) and devices > 0 else 1
        _check_gpus(f"trainer.accelerator is {name!r}", wanted)
    return name


def _check_gpus(asked: str, wanted: int) -> None:
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if found < wanted:
        there = "no GPU" if not found else f"only {found} of {wanted} GPUs"
        raise ConfigError(f"{asked}, but there is {there} that torch can use; auto takes what there is")
