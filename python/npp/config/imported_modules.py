"""Files of modules that are imported, as long as they hold what runs."""

from __future__ import annotations

import hashlib
import os
import struct
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from typing import Any

from npp.config.yaml_files import ConfigError

# The import that was looked at, and its file's digest then, by the module's name. A module that is imported
# anew or reloaded has another specification.
_looked_at: dict[str, tuple[ModuleSpec | None, str]] = {}


def module_file(name: str) -> Path | None:
    """The file of a module that is imported; ``None`` where it has none, or nothing imported it.

    The first look is best right after the import: from then on a change is noticed.

    Args:
        name: as in ``sys.modules``.

    Raises:
        ConfigError: the file is not what was imported.
    """
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if file is None:
        return None
    path, specification = Path(file), getattr(module, "__spec__", None)
    known = _looked_at.get(name)
    is_known = known is not None and known[0] is specification
    if not path.is_file():
        if is_known:
            raise _changed(name)
        return None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if known is not None and is_known:
        if digest != known[1]:
            raise _changed(name)
    elif _is_newer_than_import(specification, path):
        raise _changed(name)
    else:
        _looked_at[name] = specification, digest
    return path


def _changed(name: str) -> ConfigError:
    return ConfigError(f"module {name} has changed since it was imported: start a new process")


def _is_newer_than_import(specification: Any, path: Path) -> bool:
    """Whether a module's compiled file, which every import brings up to date, is of another source."""
    cached = getattr(specification, "cached", None)
    if type(getattr(specification, "loader", None)) is not SourceFileLoader or cached is None:
        return False  # what compiles in a way of its own may keep nothing, or something else
    if sys.dont_write_bytecode or not os.access(Path(cached).parent, os.W_OK):
        return False
    try:
        with Path(cached).open("rb") as file:
            _, flags, seconds, size = struct.unpack("<4sIII", file.read(16))
    except (OSError, struct.error):
        return False
    found = path.stat()
    whole = 0xFFFFFFFF  # of time and size the file has 32 bits each
    return flags == 0 and (seconds, size) != (int(found.st_mtime) & whole, found.st_size & whole)
