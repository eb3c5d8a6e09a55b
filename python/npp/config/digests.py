"""What files and networks are, as short texts that differ where they differ."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from torch import nn

_PART = 1 << 20  # bytes that are hashed at a time


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
    networks, others = _given(settings)
    kinds = {type(one) for network in networks for one in network.modules()}
    files = {*_files_named(settings), *(source for kind in kinds if (source := _source(kind)) is not None)}
    found = {hash_file(path) for path in files} | {_structure(network) for network in networks}
    return sorted(found | {uuid4().hex for _ in others})


def hash_structures(settings: Any) -> list[str]:
    """SHA-256 of the structure of each network that is given among settings from Python."""
    return sorted(_structure(network) for network in _given(settings)[0])


def _structure(network: nn.Module) -> str:
    return hashlib.sha256(f"{type(network)} {network!r}".encode()).hexdigest()


def _given(settings: Any) -> tuple[list[nn.Module], list[Any]]:
    """Networks, and other things that can be called, among settings from Python."""
    if isinstance(settings, nn.Module):
        return [settings], []
    if isinstance(settings, Mapping):
        settings = list(settings.values())
    if not isinstance(settings, (list, tuple)):
        return [], [settings] if callable(settings) else []
    found = [_given(one) for one in settings]
    return [one for some, _ in found for one in some], [one for _, some in found for one in some]


def _source(kind: type) -> Path | None:
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return Path(file) if file is not None and Path(file).is_file() else None


def _files_named(settings: Any) -> Iterator[Path]:
    if isinstance(settings, Mapping):
        settings = list(settings.values())
    if isinstance(settings, (list, tuple)):
        for one in settings:
            yield from _files_named(one)
    elif isinstance(settings, str):
        parts = settings.split(":")
        if parts[0] == "python" and len(parts) > 1:
            source = getattr(sys.modules.get(parts[1]), "__file__", None)
            parts = [source] if source else []
        for i in range(len(parts)):
            path = Path(os.path.expandvars(":".join(parts[i:]))).expanduser()
            if path.is_file():
                yield path
                return
