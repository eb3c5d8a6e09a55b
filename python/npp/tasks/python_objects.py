"""Users' own objects by name, ``python:package.module:function``, above all networks."""

from __future__ import annotations

import importlib
from typing import Any

from torch import nn

from npp.torch_defaults import cpu_by_default


def imported(path: str) -> Any:
    """The object that ``package.module:name`` names.

    Raises:
        ValueError: the path has another form, or the module has no such name.
        ModuleNotFoundError: there is no such module, or a package that it imports is missing.
    """
    module, _, name = path.partition(":")
    if not module or not name:
        raise ValueError(f"python:{path} must be python:package.module:name")
    try:
        value = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module exists, but lacks a package that it imports
        message = f"{error}: it is not installed, and in no folder of Python's path or beside the YAML file"
        raise ModuleNotFoundError(message, name=error.name) from error
    if value is None:
        raise ValueError(f"{module} has no {name!r}")
    return value


def names_function(spec: object) -> bool:
    """Whether the name of a network is ``python:`` followed by a function."""
    return isinstance(spec, str) and spec.startswith("python:") and spec != "python:"


def made_by_function(spec: str) -> nn.Module:
    """The network that a user's own function returns, without a copy.

    Args:
        spec: ``python:package.module:function``.

    Raises:
        ValueError, ModuleNotFoundError: as :func:`imported`.
        TypeError: the function does not return a network.
    """
    with cpu_by_default():
        network = imported(spec.removeprefix("python:"))()
    if not isinstance(network, nn.Module):
        raise TypeError(f"{spec} must return a torch.nn.Module, not {type(network).__name__}")
    return network
