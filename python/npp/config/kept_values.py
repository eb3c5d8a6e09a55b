"""Values that networks keep besides weights, and a digest of them that differs where the values differ."""

from __future__ import annotations

import hashlib
import re
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import partial
from pathlib import PurePath
from types import NoneType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from npp.config.digests import add_tensor, leaves

_PLAIN = (NoneType, str, bytes, int, float, complex, torch.dtype, PurePath)  # text says all
_DEVICE = re.compile(r"(cpu|cuda|mps|xpu)(:\d+)?")
# What torch.compile and Lightning note of a process and of the device that a network is on at the time.
_OF_A_PROCESS = re.compile(r"_torchdynamo_.*|_device|_dtype|_trainer|_fabric")
_MOST_VALUES = 2000  # places that are kept; the digest is of all
_LONGEST_TEXT = 60  # letters of a value
_MOST_LEVELS = 100  # of what holds something that holds something: no settings are as deep as lists of nodes
_OF_MODULES = frozenset(vars(nn.Module()))  # parts, hooks, the mode
_OF_PYTHON = (Namespace, SimpleNamespace)  # objects of the standard library that hold settings
# Objects of theirs are of one process, as loggers and trainers are, or change while a network is used.
_OPAQUE = sys.stdlib_module_names | {"lightning", "lightning_fabric", "npp", "pytorch_lightning", "torch"}


class KeptValues(NamedTuple):
    """What a network keeps besides weights.

    Attributes:
        digest: SHA-256 of all of it.
        values: the first 2000 in a short form, by their places, as ``head.scale``, in a fixed order.
    """

    digest: str
    values: dict[str, str]


def hash_values(settings: Any, network: nn.Module) -> str | None:
    """SHA-256 of what :func:`kept_values` finds; ``None`` where that finds nothing to look at."""
    kept = kept_values(settings, network)
    return None if kept is None else kept.digest


def kept_values(settings: Any, network: nn.Module) -> KeptValues | None:
    """What a network keeps besides its weights, unless settings name files that say it all.

    That are attributes of its parts, such as a temperature or a threshold, tensors among them that are in no
    ``state_dict``, and what stands in lists, tables and objects of theirs. Functions and classes count by
    their names; hooks, and objects whose values cannot be read, do not count.

    Args:
        settings: as for :func:`npp.config.digests.hash_files`.
        network: that was made of them, before it is used: it may keep something of what it looks at.

    Returns:
        ``None`` where no setting is a network or names a function of somebody's own, ``python:``.
    """
    if not any(_is_own(leaf) for leaf in leaves(settings)):
        return None
    digest = _ValueDigest(network)
    digest.add("", network)
    return KeptValues(digest.hexdigest(), digest.values)


def first_difference(before: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """The first place that differs in what :func:`kept_values` found of a network, with both values.

    Returns:
        As ``"head.scale 1.0, not 2.0"``, the earlier value first; ``None`` where nothing differs.
    """
    for place in (*now, *before):
        if before.get(place) != now.get(place):
            return f"{place} {before.get(place, 'nothing')}, not {now.get(place, 'nothing')}"
    return None


def _is_own(leaf: Any) -> bool:
    return isinstance(leaf, nn.Module) or (isinstance(leaf, str) and leaf.startswith("python:"))


def _package(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def _name_of(value: Any) -> str:
    """Of a function or class, or an object's class; the same in every process."""
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__qualname__)}"


def _text(value: Any) -> str:
    """Of a key or a set's item, the same in every process."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_text, value))})"
    return repr(value) if isinstance(value, _PLAIN) else _name_of(value)


class _ValueDigest:
    """Walks through values and what they hold.

    Args:
        network: whose weights are known.
    """

    def __init__(self, network: nn.Module) -> None:
        self._sha = hashlib.sha256()
        self._registered = {id(part) for part in network.modules()}
        self._met: dict[int, Any] = {}  # kept, for a number of what is gone may be given to another
        self._level = 0
        self.values: dict[str, str] = {}

    def hexdigest(self) -> str:
        """The digest of all values that were added."""
        return self._sha.hexdigest()

    def _say(self, name: str, text: str) -> None:
        self._sha.update(f"{name} {text}\n".encode())
        self._tell(name, text)

    def _tell(self, name: str, text: str) -> None:
        """Notes a place's value; a module's class is that of the place where the module stands."""
        if len(self.values) < _MOST_VALUES:
            self.values.setdefault(name.lstrip("/").replace("/", ".") or "the network", _short(text))

    def add(self, name: str, value: Any) -> None:
        """Adds a value under the name of its place."""
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, Enum):
            self._say(name, f"{_name_of(type(value))}.{value.name}")
        elif isinstance(value, torch.device) or (isinstance(value, str) and _DEVICE.fullmatch(value)):
            self._say(name, "a device")  # a run may go on with another one
        elif isinstance(value, _PLAIN):
            self._say(name, repr(value))
        elif isinstance(value, Tensor):
            self._add_tensor(name, value)
        elif isinstance(value, np.ndarray):
            self._add_array(name, value)
        elif isinstance(value, tuple) and all(isinstance(item, _PLAIN) for item in value):
            self._say(name, _text(value))  # where Python keeps one of several equal ones, it may be one
        elif id(value) in self._met:
            self._say(name, "again")
        elif self._level == _MOST_LEVELS:
            self._say(name, _name_of(value))
        else:
            self._met[id(value)] = value
            self._level += 1
            self._add_new(name, value)
            self._level -= 1

    def _add_new(self, name: str, value: Any) -> None:
        """What may hold itself, for the first time."""
        if isinstance(value, nn.Module):
            self._add_module(name, value)
        elif isinstance(value, Mapping):
            self._add_items(name, _read(lambda: sorted(map(_by_text, value.items()), key=_first)))
        elif isinstance(value, (list, tuple)):
            self._add_items(name, enumerate(value))
        elif isinstance(value, (set, frozenset)):
            self._say(name, str(sorted(map(_text, value))))
        elif isinstance(value, partial):
            self._add_items(name, [("function", value.func), *enumerate(value.args), *value.keywords.items()])
        else:
            self._say(name, _name_of(value))
            self._add_items(name, _read(lambda: sorted(vars(value).items()) if _has_state(value) else []))

    def _add_items(self, name: str, items: Iterable[tuple[Any, Any]]) -> None:
        for key, item in items:
            self.add(f"{name}/{key}", item)
        self._sha.update(f"{name} ends\n".encode())

    def _add_tensor(self, name: str, tensor: Tensor) -> None:
        try:
            add_tensor(self._sha, name, tensor)
            alone = hashlib.sha256()
            add_tensor(alone, "", tensor)
            self._tell(name, f"a tensor {tuple(tensor.shape)} {alone.hexdigest()[:8]}")
        except (NotImplementedError, RuntimeError, TypeError):  # of a kind that has no values to read
            self._say(name, _name_of(type(tensor)))

    def _add_array(self, name: str, array: np.ndarray[Any, Any]) -> None:
        if array.dtype.hasobject:
            self.add(name, array.tolist())
        else:
            data = array.tobytes()
            self._tell(name, f"an array {array.shape} {hashlib.sha256(data).hexdigest()[:8]}")
            self._say(name, f"{array.dtype} {array.shape}")
            self._sha.update(data)

    def _add_module(self, name: str, part: nn.Module) -> None:
        """What a network's part and those in it keep: attributes, and tensors that are no known weights."""
        self._say(name, _name_of(type(part)))
        left_out: set[str] = getattr(part, "_non_persistent_buffers_set", set())
        is_registered = id(part) in self._registered
        tensors = dict(part.named_buffers(recurse=False))
        if is_registered:
            tensors = {key: tensor for key, tensor in tensors.items() if key in left_out}
        else:
            tensors |= part.named_parameters(recurse=False)
        # What npp's own parts keep follows from their settings, or is learned from pictures.
        own = {} if _package(type(part)) == "npp" else vars(part)
        attributes = {
            key: value
            for key, value in own.items()
            if key not in _OF_MODULES and not _OF_A_PROCESS.fullmatch(key)
        }
        self._add_items(name, sorted((attributes | tensors).items()))
        self._add_items(name, sorted(part.named_children()))


def _short(text: str) -> str:
    """A text; of a long one how it begins, and a digest that differs where the rest does."""
    if len(text) <= _LONGEST_TEXT:
        return text
    return f"{text[:_LONGEST_TEXT]}... ({hashlib.sha256(text.encode()).hexdigest()[:8]})"


def _read(items: Callable[[], Iterable[tuple[Any, Any]]]) -> Iterable[tuple[Any, Any]]:
    """What an object holds; nothing of one that does not let itself be read, as of a file that was closed."""
    try:
        return items()
    except MemoryError:
        raise
    except Exception:  # whatever somebody's class raises
        return ()


def _by_text(pair: tuple[Any, Any]) -> tuple[str, Any]:
    return _text(pair[0]), pair[1]


def _first(pair: tuple[str, Any]) -> str:
    return pair[0]


def _has_state(value: Any) -> bool:
    """Whether an object holds values that can be read and compared."""
    if isinstance(value, type) or not hasattr(value, "__dict__"):
        return False
    return isinstance(value, _OF_PYTHON) or _package(type(value)) not in _OPAQUE
