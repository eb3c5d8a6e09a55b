"""Digests of files and networks: short texts that differ where the contents differ."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import pickle
import sysconfig
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, TypeAlias
from uuid import uuid4

import torch
from safetensors import safe_open
from torch import Tensor, nn

from npp.config.imported_modules import module_file
from npp.files import named_path

_Add: TypeAlias = Callable[[Any, str, Any], None]
_CHUNK = 1 << 20  # bytes that are hashed at a time
_OF_TORCH = {".pt", ".pth", ".bin", ".ckpt"}  # weights as torch.save writes them, or something else
_PLAIN = (NoneType, str, bytes, int, float, complex, torch.dtype, torch.device)  # whose text says all
_INSTALLED = {"site-packages", "dist-packages"}  # folders of what has a version
_STANDARD = Path(sysconfig.get_path("stdlib"))  # Python's own library, which has Python's


def hash_state(module: nn.Module, kind: str = "") -> str:
    """SHA-256 of what a network is: its weights, and what the caller says of its kind."""
    digest = hashlib.sha256(kind.encode())
    for name, value in sorted(module.state_dict().items(), key=lambda pair: pair[0]):
        _add_value(digest, name, value, _add_object)
    return digest.hexdigest()


def add_tensor(digest: Any, name: str, tensor: Tensor) -> None:
    """Adds a tensor's name, type, shape and values to a digest of hashlib; RuntimeError where it has none."""
    digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    # A copy, for a tensor of one number passes as contiguous whatever its stride, and view() refuses it.
    values = tensor.detach().cpu().flatten().clone(memory_format=torch.contiguous_format)
    digest.update(values.view(torch.uint8).numpy().tobytes())


def _hash_source(path: Path) -> str:
    """SHA-256 of the tensors in a file of weights and of all that stands beside them; else of the file.

    The same weights that are saved again are the same, though their file may have other bytes: torch writes
    its name into it, and safetensors its fields in any order.
    """
    try:
        if path.suffix == ".safetensors":
            held: Any = _in_safetensors(path)
        elif path.suffix in _OF_TORCH:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of TorchScript, which is refused and hashed as a file
                held = torch.load(path, map_location="cpu", weights_only=True)
        else:
            return hash_file(path)
        digest = hashlib.sha256()
        _add_value(digest, "", held)
    except MemoryError:
        raise  # which is not the file's fault, and no reason for another kind of digest
    except Exception:  # damaged, of another kind, or of tensors that have no bytes of their own
        return hash_file(path)
    return digest.hexdigest()


def _in_safetensors(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
        return {"metadata": file.metadata(), "tensors": tensors}


def _refuse(digest: Any, name: str, value: Any) -> None:
    raise TypeError(f"{name} is a {type(value).__name__}, whose text may differ from process to process")


def _add_object(digest: Any, name: str, value: Any) -> None:
    """Adds what a user's own module keeps beside tensors; what cannot be compared equals nothing else."""
    try:
        digest.update(f"{name} ".encode() + pickle.dumps(value, protocol=4))
    except Exception:  # whatever the pickling code of somebody else raises
        digest.update(uuid4().bytes)


def _add_value(digest: Any, name: str, value: Any, add_other: _Add = _refuse) -> None:
    """A tensor, or what holds some; names in any order, for networks take them in any."""
    if isinstance(value, Tensor):
        add_tensor(digest, name, value)
    elif isinstance(value, (Mapping, list, tuple)):
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        digest.update(f"{name} holds {len(value)}\n".encode())
        for key, item in sorted(pairs, key=lambda pair: repr(pair[0])):
            _add_value(digest, f"{name}/{key!r}", item, add_other)
    elif isinstance(value, (set, frozenset)):  # in an order that each process chooses for itself
        digest.update(f"{name} {sorted(map(repr, value))}\n".encode())
    elif isinstance(value, _PLAIN):
        digest.update(f"{name} {value!r}\n".encode())
    else:
        add_other(digest, name, value)


def digest_of(value: Any, letters: int = 64) -> str:
    """SHA-256 of a value as JSON has it; what JSON has no form for counts by its text.

    Args:
        value: mappings count the same in any order of their keys.
        letters: as many of the digest's 64 are given.
    """
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:letters]


def hash_file(path: Path) -> str:
    """SHA-256 of what is in a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def note_modules(settings: Any) -> None:
    """Remembers the files of modules that settings name, which may be edited while this process runs.

    Args:
        settings: as for :func:`hash_files`, right after what they name was imported.

    Raises:
        ConfigError: a module's file has changed since it was imported.
    """
    _files_of(settings)


def hash_files(settings: Any) -> list[str]:
    """SHA-256 of each file that settings name: weights and graphs, and modules of ``python:module:name``.

    What is given from Python counts too: a network by its structure and the files that define its classes.
    A function, which nobody can compare, has another text each time.

    Raises:
        ConfigError: a module's file has changed since it was imported.
    """
    structures = set(hash_structures(settings))
    functions = {
        uuid4().hex for leaf in leaves(settings) if callable(leaf) and not isinstance(leaf, nn.Module)
    }
    return sorted(structures | functions | {hash_file(path) for path in _files_of(settings)})


def hash_sources(settings: Any, *, installed: bool) -> list[str]:
    """SHA-256 of each file that :func:`hash_files` looks at, and of nothing else.

    Weights that were saved again are the same, whatever the bytes of their file.

    A function from Python has the text of the file that defines it, which is the same in every process.

    Args:
        settings: as for :func:`hash_files`.
        installed: whether files of installed packages count too.

    Raises:
        ConfigError: a module's file has changed since it was imported.
    """
    files = _files_of(settings)
    return sorted({_hash_source(path) for path in files if installed or not _is_installed(path)})


def _is_installed(path: Path) -> bool:
    return bool(_INSTALLED & set(path.parts)) or _STANDARD in path.parents


def _files_of(settings: Any) -> set[Path]:
    """What settings name, and what defines those networks and functions that are given from Python."""
    files: set[Path | None] = set()
    for leaf in leaves(settings):
        if isinstance(leaf, str):
            files.add(_file_named(leaf))
        elif isinstance(leaf, nn.Module):
            files |= {module_file(type(module).__module__) for module in leaf.modules()}
        elif callable(leaf):
            while isinstance(leaf, functools.partial):
                leaf = leaf.func
            files.add(module_file(getattr(leaf, "__module__", "")))
    return {path for path in files if path is not None}


def hash_structures(settings: Any) -> list[str]:
    """SHA-256 of the structure of each network that is given among settings from Python."""
    networks = (network for network in leaves(settings) if isinstance(network, nn.Module))
    return sorted(hashlib.sha256(f"{type(network)} {network!r}".encode()).hexdigest() for network in networks)


def leaves(settings: Any) -> Iterator[Any]:
    """What settings hold, however deep in mappings and lists."""
    if isinstance(settings, Mapping):
        settings = list(settings.values())
    if isinstance(settings, (list, tuple)):
        for item in settings:
            yield from leaves(item)
    else:
        yield settings


def _file_named(text: str) -> Path | None:
    """The file that a setting leads to, behind the words before it such as ``onnx:``."""
    parts = text.split(":")
    if parts[0] == "python" and len(parts) > 1:
        return module_file(parts[1])
    paths = (named_path(":".join(parts[i:])) for i in range(len(parts)))
    # Unlike Path.is_file, it says of text that is too long for a name that it is none.
    return next((path for path in paths if os.path.isfile(path)), None)  # noqa: PTH113
