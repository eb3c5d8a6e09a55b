"""What files and networks are, as short texts that differ where they differ."""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from torch import nn

from npp.files import named_path

_PART = 1 << 20  # bytes that are hashed at a time
_INSTALLED = {"site-packages", "dist-packages"}  # folders of what has a version
_STANDARD = Path(sysconfig.get_path("stdlib"))  # Python's own library, which has Python's


def hash_state(module: nn.Module, kind: str = "") -> str:
    """SHA-256 of what a network is: its weights, and what the caller says of its kind."""
    digest = hashlib.sha256(kind.encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        # A copy, for a tensor of one number passes as contiguous whatever its stride, and view() refuses it.
        values = tensor.detach().cpu().flatten().clone(memory_format=torch.contiguous_format)
        digest.update(values.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def hash_file(path: Path) -> str:
    """SHA-256 of what is in a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_PART):
            digest.update(part)
    return digest.hexdigest()


def hash_files(settings: Any) -> list[str]:
    """SHA-256 of each file that settings name: weights and graphs, and modules of ``python:module:name``.

    What is given from Python counts too: a network by its structure and the files that define its classes.
    A function, which nobody can compare, has another text each time.
    """
    found = set(hash_structures(settings))
    functions = {uuid4().hex for one in _leaves(settings) if callable(one) and not isinstance(one, nn.Module)}
    return sorted(found | functions | {hash_file(path) for path in _files_of(settings)})


def hash_sources(settings: Any, *, installed: bool) -> list[str]:
    """SHA-256 of each file that :func:`hash_files` looks at, and of nothing else.

    A function from Python has the text of the file that defines it, which is the same in every process.

    Args:
        settings: as there.
        installed: whether files of installed packages count too.
    """
    files = _files_of(settings)
    return sorted({hash_file(path) for path in files if installed or not _is_installed(path)})


def _is_installed(path: Path) -> bool:
    return bool(_INSTALLED & set(path.parts)) or _STANDARD in path.parents


def _files_of(settings: Any) -> set[Path]:
    """What settings name, and what defines those networks and functions that are given from Python."""
    files: set[Path | None] = set()
    for one in _leaves(settings):
        if isinstance(one, str):
            files.add(_file_named(one))
        elif isinstance(one, nn.Module):
            files |= {_source(type(part).__module__) for part in one.modules()}
        elif callable(one):
            while isinstance(one, functools.partial):
                one = one.func
            files.add(_source(getattr(one, "__module__", "")))
    return {path for path in files if path is not None}


def hash_structures(settings: Any) -> list[str]:
    """SHA-256 of the structure of each network that is given among settings from Python."""
    networks = (one for one in _leaves(settings) if isinstance(one, nn.Module))
    return sorted(hashlib.sha256(f"{type(one)} {one!r}".encode()).hexdigest() for one in networks)


def _leaves(settings: Any) -> Iterator[Any]:
    """What settings hold, however deep in mappings and lists."""
    if isinstance(settings, Mapping):
        settings = list(settings.values())
    if isinstance(settings, (list, tuple)):
        for one in settings:
            yield from _leaves(one)
    else:
        yield settings


def _source(module: str) -> Path | None:
    """The file of a module that is imported."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file) if file is not None and Path(file).is_file() else None


def _file_named(text: str) -> Path | None:
    """The file that a setting leads to, behind the words before it such as ``onnx:``."""
    parts = text.split(":")
    if parts[0] == "python" and len(parts) > 1:
        return _source(parts[1])
    paths = (named_path(":".join(parts[i:])) for i in range(len(parts)))
    # Unlike Path.is_file, it says of text that is too long for a name that it is none.
    return next((path for path in paths if os.path.isfile(path)), None)  # noqa: PTH113
