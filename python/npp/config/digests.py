"""What files and networks are, as short texts that differ where they differ."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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
    """SHA-256 of each file that settings name: weights and graphs, and modules of ``python:module:name``."""
    return sorted({hash_file(path) for path in _files_named(settings)})


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
