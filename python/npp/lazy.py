"""Exports of a package that are imported when they are first touched."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from npp.extras import MissingPackageError, lacked


def exported_when_touched(
    package: str, names: Mapping[str, str | None]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The functions ``__getattr__`` and ``__dir__`` of a package (PEP 562).

    Type checkers get the same names from an ``if TYPE_CHECKING`` block, and must not see these two functions:
    with them every misspelt name would pass.

    Args:
        package: its full name, ``__name__`` there.
        names: each exported name with the module below the package that has it; ``None`` where the name is
            a module itself.
    """

    def touch(name: str) -> Any:
        if name not in names:
            # With both of them Python itself adds which name was probably meant.
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=sys.modules[package])
        module = names[name]
        try:
            imported = importlib.import_module(f"{package}.{module or name}")
        except ModuleNotFoundError as error:
            missing = lacked(error)
            if missing is None or isinstance(error, MissingPackageError):
                raise
            raise MissingPackageError(f"{package}.{name}", missing) from error
        if module is None:
            return imported
        value = getattr(imported, name)
        setattr(sys.modules[package], name, value)
        return value

    def listed() -> list[str]:
        module = sys.modules[package]
        special = {name for name in vars(module) if name.startswith("__")}
        return sorted({*special, *getattr(module, "__all__", ()), *names})

    return touch, listed
