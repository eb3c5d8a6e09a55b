"""Imports of packages that only some tasks need."""

from __future__ import annotations

import importlib
from typing import Any


def require(module: str, purpose: str, install: str = "'npp[tasks]'") -> Any:
    """The imported module.

    Raises:
        ModuleNotFoundError: it or something that it needs is missing; the message tells what to install.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        message = f"{purpose} needs the package {error.name}: pip install {install}"
        raise ModuleNotFoundError(message, name=error.name) from error
