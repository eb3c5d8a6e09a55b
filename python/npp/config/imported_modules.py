"""The files of imported modules, as long as a file still holds the code that runs."""

from __future__ import annotations

import hashlib
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

from npp.config.yaml_files import ConfigError

# The import that was looked at, and its file's digest then, by the module's name. A module that is imported
# anew or reloaded has another specification.
_looked_at: dict[str, tuple[ModuleSpec | None, str]] = {}


def module_file(name: str) -> Path | None:
    """The file of a module that is imported; ``None`` where it has none, or nothing imported it.

    From the first look on, which is best right after the import, a change is noticed. One between the import
    and that look is not: what tells of it, such as the times of compiled files, tells of files too that were
    only touched or could not be written.

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
    else:
        _looked_at[name] = specification, digest
    return path


def _changed(name: str) -> ConfigError:
    return ConfigError(f"module {name} has changed since it was imported: start a new process")
