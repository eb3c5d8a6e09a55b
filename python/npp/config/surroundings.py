"""What a run needs around its configuration: packages, modules of one's own, a device."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from npp.checks import MOST_PROCESSES, brief
from npp.config.yaml_files import ConfigError
from npp.extras import MissingPackageError, how_to_install, lacked

_GPU = ("cuda", "gpu")


def missing_package(error: ModuleNotFoundError, extra: str) -> str:
    """The message about a package that is not installed.

    Args:
        error: what importing it raised.
        extra: of npp, where several bring the package.
    """
    if isinstance(error, MissingPackageError):
        return error.message(extra)
    name = lacked(error)
    if name is None or "pip install" in str(error):
        return str(error)
    return f"needs the package {name}: {how_to_install(name, extra=extra)}"


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
    """The absolute path of the folder of a configuration file."""
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


def resolve_accelerator(name: str, devices: int | str, section: str = "trainer.") -> str:
    """Lightning's accelerator; ``auto`` means what it means for :func:`resolve_device`.

    Args:
        name: as Lightning takes it, or ``auto``.
        devices: how many, -1 or ``auto``; of GPUs also their numbers as in ``0,1``. Each is a process: of no
            other kind there may be more than 256.
        section: what stands before the two settings' names in messages.

    Raises:
        ConfigError: fewer GPUs than asked for, too many others, devices that mean nothing, or all of a CPU.
    """
    wanted = _gpus_wanted(devices, section)
    accelerator = resolve_device(name).type if name == "auto" else name
    if accelerator == "cpu" and (str(devices).strip() == "-1" or "," in str(devices)):
        raise ConfigError(f"{section}devices must be auto or at least 1 on a CPU, not {devices}")
    if accelerator in _GPU:
        asked = f"{section}devices is {devices!r}" if name == "auto" else f"{section}accelerator is {name!r}"
        _check_gpus(asked, wanted)
    elif wanted > MOST_PROCESSES:
        raise ConfigError(
            f"{section}devices must be at most {MOST_PROCESSES} on {accelerator}, not {devices}: "
            "each is a process"
        )
    return accelerator


def _gpus_wanted(devices: int | str, section: str) -> int:
    """How many GPUs there must be for these devices to be among them, at least 1."""
    text = "".join(str(devices).split())
    if text in ("auto", "-1"):
        return 1
    if re.fullmatch(r"[1-9][0-9]{0,8}", text):
        return int(text)
    if re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})+|[0-9]{1,9},", text):
        return 1 + max(int(index) for index in text.split(",") if index)
    raise ConfigError(
        f"{section}devices must be auto, -1 for all, at least 1, or numbers of GPUs as 0,1,"
        f" not {brief(devices)}"
    )


def _check_gpus(asked: str, wanted: int) -> None:
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if available < wanted:
        there = "no GPU" if not available else f"only {available} of {wanted} GPUs"
        raise ConfigError(f"{asked}, but there is {there} that torch can use; auto takes what there is")
