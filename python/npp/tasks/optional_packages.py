"""Packages that are not npp's own: imported when needed, and named with what installs them."""

from __future__ import annotations

import importlib
from typing import Any

from npp.extras import MissingPackageError
from npp.torch_defaults import cpu_by_default


def require(module: str, purpose: str, install: str = "") -> Any:
    """The imported module.

    Args:
        module: with its package, as in ``torchmetrics.detection``.
        purpose: what needs it, the start of the message.
        install: arguments of ``pip install``, for packages that go by another name than they import as.

    Raises:
        MissingPackageError: it or something that it needs is missing; the message tells what to install. It
            is a ModuleNotFoundError.
    """
    try:
        # Some packages make tensors when they are imported, which then stay.
        with cpu_by_default():
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or module).partition(".")[0]
        raise MissingPackageError(purpose, missing, install) from error
