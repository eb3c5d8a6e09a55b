"""Files with the weights of a preprocessor: safetensors, with what is needed to build the network."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from npp.codec.build import __version__
from npp.files import write_file

_SHIPPED = Path(__file__).parent / "weights"
_SUFFIX = ".safetensors"
_KEY = "npp.preprocessor"
_FORMAT = 1


class Stored(NamedTuple):
    """What a file says, not yet known to be right."""

    network: Any
    settings: dict[str, Any]
    tensors: dict[str, Tensor]

    def copy_into(self, module: nn.Module, path: Path) -> None:
        """Sets a module's weights.

        Raises:
            ValueError: names, shapes or kinds that differ, or values that are not finite; names the file.
        """
        wanted = module.state_dict()
        for name in sorted(wanted.keys() ^ self.tensors.keys()):
            what = "lacks" if name in wanted else "has an unknown"
            raise ValueError(f"{path} {what} tensor {name!r} for network {self.network!r}")
        for name, tensor in self.tensors.items():
            shape = tuple(wanted[name].shape)
            if tuple(tensor.shape) != shape:
                raise ValueError(f"{path}: tensor {name!r} must be {shape}, not {tuple(tensor.shape)}")
            if tensor.is_floating_point() != wanted[name].is_floating_point():
                raise ValueError(f"{path}: tensor {name!r} must be {wanted[name].dtype}, not {tensor.dtype}")
            if not bool(torch.isfinite(tensor).all()):
                raise ValueError(f"{path}: tensor {name!r} has values that are not finite")
        module.load_state_dict(self.tensors)


def shipped_weights() -> dict[str, Path]:
    """Files that come with the package by name."""
    return {path.name.removesuffix(_SUFFIX): path for path in _SHIPPED.glob(f"*{_SUFFIX}")}


def find_weights(name_or_path: str | os.PathLike[str]) -> Path:
    """The file of a name or a path; a name comes first.

    Raises:
        FileNotFoundError: there is none; the message lists the names.
    """
    shipped = shipped_weights()
    path = shipped.get(os.fspath(name_or_path), Path(name_or_path))
    if not path.is_file():
        names = ", ".join(map(repr, sorted(shipped))) or "none in this version"
        raise FileNotFoundError(f"no file {str(path)!r}, and no weights of that name; names are: {names}")
    return path


def write_weights(
    path: str | os.PathLike[str], network: str, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> None:
    """Writes a file whole or not at all; replaces an existing one."""
    description = {"format": _FORMAT, "npp": __version__, "network": network, "settings": settings}
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data: bytes = safetensors.torch.save(ready, metadata={_KEY: json.dumps(description)})
    write_file(path, data, force=True)


def read_weights(path: Path) -> Stored:
    """Reads a file without trusting it.

    Raises:
        ValueError: not a file of :func:`write_weights`, damaged, or of a newer version; names the file.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            description = _description(path, metadata.get(_KEY))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file: {error}") from None
    return Stored(description.get("network"), description["settings"], tensors)


def _description(path: Path, text: str | None) -> dict[str, Any]:
    if text is None:
        raise ValueError(f"{path} holds no npp preprocessor")
    try:
        description = json.loads(text)
    except (ValueError, RecursionError):
        description = None
    if not isinstance(description, dict) or not isinstance(description.get("settings"), dict):
        raise ValueError(f"{path}: the description of its network is damaged")
    if description.get("format") != _FORMAT:
        raise ValueError(
            f"{path} has format {description.get('format')!r}; npp {__version__} reads {_FORMAT} only"
        )
    return description
