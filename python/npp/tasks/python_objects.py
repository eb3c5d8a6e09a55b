"""Networks and tasks that a function of somebody's own makes, by ``python:package.module:function``."""

from __future__ import annotations

import importlib
from typing import Any

from torch import nn

from npp.torch_defaults import cpu_by_default


def imported(path: str) -> Any:
    """What ``package.module:name`` names.

    Raises:
        ValueError: not of that form, or the module has no such name.
        ModuleNotFoundError: there is no such module, or a package that it imports is missing.
    """
    module, _, name = path.partition(":")
    if not module or not name:
        raise ValueError(f"python:{path} must be python:package.module:name")
    try:
        value = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there, and lacks a package that it imports
        message = f"{error}: it is not installed, and in no folder of Python's path or beside the YAML file"
        raise ModuleNotFoundError(message, name=error.name) from error
    if value is None:
        raise ValueError(f"{module} has no {name!r}")
    return value


def names_function(spec: object) -> bool:
    """Whether a network is given as ``python:`` and what names a function."""
    return isinstance(spec, str) and spec.startswith("python:") and spec != "python:"


def made_by_function(spec: str) -> nn.Module:
    """The network that a function of somebody's own gives, as it is.

    Args:
        spec: ``python:package.module:function``.

    Raises:
        ValueError, ModuleNotFoundError: as :func:`imported`.
        TypeError: what it gives is no network.
    """
    with cpu_by_default():
        network = imported(spec.removeprefix("python:"))()
    if not isinstance(network, nn.Module):
        raise TypeError(f"{spec} must return a torch.nn.Module, not {type(network).__name__}")
    return network
