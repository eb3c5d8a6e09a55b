"""Networks whose weights lie in files: safetensors, with what builds them again, and torch's own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, ClassVar, NamedTuple, TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from typing_extensions import Self

from npp.checks import did_you_mean
from npp.files import atomic_write, write_file
from npp.macs import count_macs_per_pixel
from npp.torch_state import in_plain_torch

_SUFFIX = ".safetensors"
_FORMAT = 1
_WORDS = {"preprocessor": "a filter", "allocator": "an allocator"}  # as the command line calls them
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)  # what networks can be saved in
_Module = TypeVar("_Module", bound=nn.Module)


def read_torch_file(path: str | os.PathLike[str]) -> Any:
    """What ``torch.save`` wrote, on the CPU: tensors and plain values, never code.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged or something else; says what torch says, of an empty file nothing.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise  # which are not what the file holds
    except Exception as error:  # of damaged files torch says anything, from KeyError to UnpicklingError
        raise ValueError(str(error)) from error


def write_torch_file(path: str | os.PathLike[str], value: Any) -> None:
    """Writes what ``torch.save`` writes, whole or not at all; replaces an existing file.

    Raises:
        OSError: it cannot be written, as on a full disk; the error names the file.
    """
    with atomic_write(path, force=True) as file:
        _save(value, file)


def _save(value: Any, file: IO[bytes]) -> None:
    """``torch.save`` with the system's OSError where the file cannot take it: torch raises a RuntimeError."""
    try:
        torch.save(value, file)
    except RuntimeError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        raise cause from None


class Stored(NamedTuple):
    """The content of a file of weights, not yet checked."""

    network: Any
    settings: dict[str, Any]
    tensors: dict[str, Tensor]

    def check(self, wanted: Mapping[str, Tensor], path: Path) -> None:
        """Checks that the tensors are those of a network.

        Args:
            wanted: tensors of the right shapes and kinds by name, whose values do not matter.
            path: the file, for messages.

        Raises:
            ValueError: names, shapes or kinds that differ, or values that are not finite; names the file.
        """
        for name in sorted(wanted.keys() ^ self.tensors.keys()):
            what = "lacks" if name in wanted else "has an unknown"
            raise ValueError(f"{path} {what} tensor {name!r} for network {self.network!r}")
        for name, tensor in self.tensors.items():
            shape, kind = tuple(wanted[name].shape), wanted[name].dtype
            if tuple(tensor.shape) != shape:
                raise ValueError(f"{path}: tensor {name!r} must be {shape}, not {tuple(tensor.shape)}")
            if tensor.dtype not in (_FLOATS if kind.is_floating_point else (kind,)):
                raise ValueError(f"{path}: tensor {name!r} must be {kind}, not {tensor.dtype}")
            if not bool(torch.isfinite(tensor).all()):
                raise ValueError(f"{path}: tensor {name!r} has values that are not finite")


class WeightFiles(NamedTuple):
    """The files of one kind of network.

    Attributes:
        kind: what they hold, as ``"preprocessor"``; a file of another kind is refused.
        shipped: folder of those that come with the package.
    """

    kind: str
    shipped: Path

    def named(self) -> dict[str, Path]:
        """Files that come with the package by name."""
        return {path.name.removesuffix(_SUFFIX): path for path in self.shipped.glob(f"*{_SUFFIX}")}

    def find(self, name_or_path: str | os.PathLike[str]) -> Path:
        """The file of a name or a path; a name comes first.

        Raises:
            FileNotFoundError: there is none; the message lists the names.
        """
        named = self.named()
        path = named.get(os.fspath(name_or_path), Path(name_or_path))
        if path.is_dir():
            inside = path / f"{self.kind}{_SUFFIX}"
            hint = f"; its {self.kind} is {inside}" if inside.is_file() else f", and has no {inside.name}"
            raise FileNotFoundError(f"{path} is a folder{hint}")
        if not path.is_file():
            names = ", ".join(map(repr, sorted(named))) or "none in this version"
            hint = did_you_mean(os.fspath(name_or_path), named)
            raise FileNotFoundError(
                f"no file {str(path)!r}, and no {self.kind} of that name; names are: {names}{hint}"
            )
        return path

    def load(
        self,
        name_or_path: str | os.PathLike[str],
        device: torch.device | str | None,
        build: Callable[[Stored], _Module],
        weighted: Callable[[_Module], nn.Module],
    ) -> _Module:
        """A module of a file, in evaluation mode and float32, whatever state torch is in.

        Args:
            name_or_path: as of :meth:`find`.
            device: where to put it, default the CPU.
            build: makes the module that a file describes, with any weights.
            weighted: the part of it whose weights the file has.

        Raises:
            FileNotFoundError: see :meth:`find`.
            ValueError: see :meth:`read` and :meth:`Stored.check`, or it cannot be built; names the file.
        """
        path = self.find(name_or_path)

        def read() -> _Module:
            stored = self.read(path)
            try:
                # A network takes memory only once the file is known to have all of its weights.
                with torch.device("meta"):
                    described = build(stored).float()
            except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{path}: {error}") from None
            stored.check(weighted(described).state_dict(), path)
            module = build(stored).float()
            weighted(module).load_state_dict(stored.tensors)
            return module

        return in_plain_torch(read).to(device).eval()

    def write(
        self,
        path: str | os.PathLike[str],
        network: str,
        settings: Mapping[str, Any],
        tensors: Mapping[str, Tensor],
    ) -> None:
        """Writes a file whole or not at all; replaces an existing one."""
        description = {"format": _FORMAT, "npp": version("npp"), "network": network, "settings": settings}
        ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        metadata = {f"npp.{self.kind}": json.dumps(description)}
        write_file(path, safetensors.torch.save(ready, metadata=metadata), force=True)

    def are_in(self, path: str | os.PathLike[str]) -> bool:
        """Whether a file is there that says it holds this kind of network."""
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                return f"npp.{self.kind}" in (file.metadata() or {})
        except (OSError, safetensors.SafetensorError):
            return False

    def read(self, path: Path) -> Stored:
        """Reads a file without trusting it.

        Raises:
            ValueError: not a file of :meth:`write`, of another kind, damaged, or of a newer version; names
                the file.
        """
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                description = self._description(path, metadata)
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        except safetensors.SafetensorError as error:
            raise ValueError(f"{path} is not a safetensors file: {error}") from None
        return Stored(description.get("network"), description["settings"], tensors)

    def _held(self, path: Path, metadata: Mapping[str, str]) -> str:
        """For messages: what of npp's a file of another kind holds, and which file beside it is meant."""
        kinds = [name.removeprefix("npp.") for name in metadata if name.startswith("npp.")]
        if not kinds:
            return ""
        sibling = path.parent / f"{self.kind}{_SUFFIX}"
        beside = f"; the {self.kind} beside it is {sibling}" if sibling.is_file() and sibling != path else ""
        return f", it is {_WORDS.get(kinds[0], f'a {kinds[0]}')} alone{beside}"

    def _description(self, path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
        text = metadata.get(f"npp.{self.kind}")
        if text is None:
            raise ValueError(f"{path} holds no npp {self.kind}{self._held(path, metadata)}")
        try:
            description = json.loads(text)
        except (ValueError, RecursionError):
            description = None
        if not isinstance(description, dict) or not isinstance(description.get("settings"), dict):
            raise ValueError(f"{path}: the description of its network is damaged")
        if description.get("format") != _FORMAT:
            raise ValueError(
                f"{path} has format {description.get('format')!r}; npp {version('npp')} reads {_FORMAT} only"
            )
        return description


class StoredNetwork(nn.Module):
    """A network of pictures that one file can hold: its name, its settings and its weights.

    A subclass sets :attr:`_FILES` and defines :meth:`_weighted`, :meth:`_description` and
    :meth:`_described`.
    """

    #: The files of its kind.
    _FILES: ClassVar[WeightFiles]
    #: Whether the part with the weights takes qps (N,) beside the pictures.
    _TAKES_QP: ClassVar[bool] = True

    def _weighted(self) -> nn.Module:
        """The part whose weights a file holds; no property, for torch.jit.trace compiles those."""
        raise NotImplementedError

    def _description(self) -> tuple[str, Mapping[str, Any]]:
        """The network's name in files, and its settings as JSON has them."""
        raise NotImplementedError

    @classmethod
    def _described(cls, stored: Stored) -> Self:
        """The network that a file describes, with any weights.

        Raises:
            KeyError, TypeError, ValueError: the description fits no network of this kind.
        """
        raise NotImplementedError

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a safetensors file with the weights, the settings and which network they are of.

        An existing file is replaced, once the new one is complete.

        Raises:
            OSError: it cannot be written.
        """
        self._FILES.write(path, *self._description(), self._weighted().state_dict())

    @classmethod
    def load(cls, name_or_path: str | os.PathLike[str], device: torch.device | str | None = None) -> Self:
        """Reads what :meth:`save` wrote, or weights that come with the package.

        Args:
            name_or_path: a name of weights that come with the package, or a file.
            device: where to put the network, default the CPU.

        Returns:
            The network in evaluation mode and float32; it can be trained later even if it was read in
            inference_mode.

        Raises:
            FileNotFoundError: neither a name nor a file.
            ValueError: not such a file, damaged, of a newer version, or weights that do not fit.
        """
        return cls._FILES.load(name_or_path, device, cls._described, lambda network: network._weighted())

    def macs_per_pixel(self) -> float:
        """Multiply-accumulates for each pixel of one picture of 1024x1024.

        Those in convolutions and matrix products count.
        """
        return count_macs_per_pixel(self._weighted(), takes_qp=self._TAKES_QP)

    def parameter_count(self) -> int:
        """Number of trained values."""
        return sum(parameter.numel() for parameter in self.parameters())
