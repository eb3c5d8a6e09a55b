"""Converts mappings, as YAML gives them, to dataclasses; errors name key, value and what is allowed."""

from __future__ import annotations

import dataclasses
import functools
import os
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import nn

from npp.checks import UnknownSettingError, brief, did_you_mean
from npp.config.yaml_files import WHOLE, ConfigError

_T = TypeVar("_T")

#: Metadata of the field that takes the keys which no other field has.
REST = {"rest": True}
_PLAIN = {bool: "true or false", int: "an integer", float: "a number", str: "text"}


def _plain(value: Any, kind: type, key: str) -> Any:
    fits = isinstance(value, (int, float) if kind is float else kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{key} must be {_PLAIN[kind]}, not {value!r}")
    try:
        return float(value) if kind is float else value
    except OverflowError:  # an integer above all floats
        raise ConfigError(f"{key} must be a number that a float can hold, not {brief(value)}") from None


def _sequence(value: Any, kind: Any, key: str) -> Any:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{key} must be a list, not {value!r}")
    kinds = get_args(kind)
    if get_origin(kind) is list or kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise ConfigError(f"{key} must be a list of {len(kinds)} entries, not {value!r}")
    return get_origin(kind)(convert(item, kinds[i], f"{key}[{i}]") for i, item in enumerate(value))


def _keyed(value: Any, kinds: Sequence[Any]) -> list[Any]:
    """Those dataclasses of a union whose required keys a mapping has."""
    return [kind for kind in kinds if isinstance(value, Mapping) and _required(kind) <= set(value)]


def _union(value: Any, kind: Any, key: str) -> Any:
    """One of several types. Where several are dataclasses, their required keys tell them apart."""
    classes = [
        member for member in get_args(kind) if isinstance(member, type) and dataclasses.is_dataclass(member)
    ]
    if isinstance(value, tuple(classes)):
        return value
    if matches := _keyed(value, classes):
        return fill(matches[0], value, key)
    problems = []
    for member in get_args(kind):
        if member in classes or (classes and member is types.NoneType and value is not None):
            continue
        try:
            return convert(value, member, key)
        except ConfigError as error:
            if not str(error).startswith(f"{key} "):
                raise  # right as a whole, wrong within
            problems.append(str(error).removeprefix(f"{key} must be ").removesuffix(f", not {value!r}"))
    if classes:
        names = ", ".join(name for member in classes for name in sorted(_required(member)))
        problems.append(f"one of {names} with its value" if names else "keys and values")
    raise ConfigError(f"{key} must be {' or '.join(problems)}, not {value!r}")


def _mapping(value: Mapping[Any, Any], kind: Any, key: str) -> dict[Any, Any]:
    """A mapping; where its keys are numbers, digits are one, for ``--set`` has no other word for it."""
    of_key, of_value = get_args(kind)
    converted: dict[Any, Any] = {}
    for name, item in value.items():
        digits = of_key in (int, float) and isinstance(name, str) and WHOLE.fullmatch(name)
        typed_name = convert(int(name) if digits else name, of_key, f"a key of {key}")
        if typed_name in converted:
            raise ConfigError(f"a key of {key} must be there once, not twice as {typed_name!r}")
        converted[typed_name] = convert(item, of_value, f"{key}.{name}")
    return converted


def convert(value: Any, kind: Any, key: str) -> Any:
    """A value converted to a type: plain ones, None, Literal, unions, lists, tuples, dicts and dataclasses.

    Raises:
        ConfigError: it is of another type.
    """
    origin = get_origin(kind)
    if kind is Any:
        return value
    if kind is types.NoneType:
        if value is not None:
            raise ConfigError(f"{key} must be null, not {value!r}")
        return None
    if origin in (Union, types.UnionType):
        return _union(value, kind, key)
    if origin is Literal:
        if value not in get_args(kind):
            raise ConfigError(f"{key} must be {' or '.join(map(str, get_args(kind)))}, not {value!r}")
        return value
    if dataclasses.is_dataclass(kind):
        return value if isinstance(value, kind) else fill(kind, value, key)  # type: ignore[arg-type]
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{key} must be keys and values, not {value!r}")
        return _mapping(value, kind, key)
    return _sequence(value, kind, key) if origin in (list, tuple) else _plain(value, kind, key)


def explain_unknown_keywords(kind: type[_T]) -> type[_T]:
    """For dataclasses with a field of the metadata :data:`REST`: a TypeError says where unknown keywords go.

    In a file these stand beside the others; from Python they go into that field.
    """
    made = kind.__init__
    rest, names = _rest(kind), [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]

    @functools.wraps(made)
    def init(self: _T, *arguments: Any, **named: Any) -> None:
        for name in named:
            if name not in names:
                raise TypeError(
                    f"{kind.__name__} has no argument {name!r}; further keys go into "
                    f"{rest}={{{name!r}: {brief(named[name])}}}{did_you_mean(name, names)}"
                )
        made(self, *arguments, **named)

    kind.__init__ = init  # type: ignore[assignment,method-assign]
    return kind


def _required(kind: Any) -> set[str]:
    """Fields of a dataclass that have no default."""
    missing = dataclasses.MISSING
    fields = dataclasses.fields(kind)
    return {field.name for field in fields if field.default is missing and field.default_factory is missing}


def _rest(kind: Any) -> str | None:
    """The field of a dataclass that takes the keys which no other field has."""
    return next((field.name for field in dataclasses.fields(kind) if field.metadata.get("rest")), None)


def _unknown(key: str, allowed: Iterable[str]) -> ConfigError:
    names = sorted(set(allowed))
    hint = did_you_mean(key.rpartition(".")[2], names)
    return ConfigError(f"{key} is not known; allowed are {', '.join(names)}{hint}")


def fill(kind: type[_T], values: Any, key: str = "") -> _T:
    """A dataclass from a mapping.

    Args:
        kind: the dataclass. A field with the metadata :data:`REST` takes all keys that are left over.
        values: its fields by name.
        key: where the mapping is, for messages; empty for a whole file.

    Raises:
        ConfigError: unknown or missing keys, wrong types, or what the dataclass itself refuses.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{key or 'the configuration'} must be keys and values, not {values!r}")
    prefix = f"{key}." if key else ""
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    rest = _rest(kind)
    known = [name for name in fields if name != rest]
    left = {str(name): value for name, value in values.items() if name not in known}
    if left and rest is None:
        raise _unknown(f"{prefix}{next(iter(left))}", known)
    arguments = {
        name: convert(values[name], hints[name], f"{prefix}{name}") for name in known if name in values
    }
    for name in known:
        if name not in arguments and name in _required(kind):
            raise ConfigError(f"{prefix}{name} is missing")
    try:
        return kind(**arguments, **({rest: left} if rest else {}))
    except ConfigError:
        raise
    except UnknownSettingError as error:
        if error.names[0] not in left:
            raise ConfigError(f"{prefix}{error}") from None
        raise _unknown(f"{prefix}{error.names[0]}", [*known, *error.allowed]) from None
    except ValueError as error:
        raise ConfigError(f"{prefix}{error}") from None


def message_of(error: Exception) -> str:
    """An error's message; where that is no sentence, as of a KeyError, with the error's class in front."""
    kind, message = type(error).__name__, str(error)
    if message and isinstance(error, (ImportError, OSError, RuntimeError, TypeError, ValueError)):
        return message
    return f"{kind}: {message}" if message else kind


def refusal(error: Exception, section: Any) -> str:
    """The message of a part that refuses the settings of its section.

    A part that does not know a setting lists those that it knows; the section's own keys are allowed too,
    though not further down, as in a task's ``input``.

    Args:
        error: of the part.
        section: the dataclass whose field with the metadata :data:`REST` holds the part's settings.
    """
    rest = _rest(section)
    settings = getattr(section, rest) if rest else {}
    if not isinstance(error, UnknownSettingError) or error.names[0] not in settings:
        return message_of(error)
    return error.message(beside=[field.name for field in dataclasses.fields(section) if field.name != rest])


def fill_sections(config: Any) -> None:
    """Converts sections of a frozen dataclass that were given as mappings, as those of a file are.

    Raises:
        ConfigError: see :func:`convert`.
    """
    hints = get_type_hints(type(config))
    for field in dataclasses.fields(config):
        if _has_sections(hints[field.name]) and not field.metadata.get("rest"):
            value = convert(getattr(config, field.name), hints[field.name], field.name)
            object.__setattr__(config, field.name, value)


def _has_sections(kind: Any) -> bool:
    return dataclasses.is_dataclass(kind) or any(_has_sections(argument) for argument in get_args(kind))


def plain(config: Any) -> Any:
    """The mapping that :func:`fill` makes the same dataclass of; lists instead of tuples.

    What only Python can give, such as a network, is named by its class, for the mapping is written to files.
    """
    if dataclasses.is_dataclass(config):
        values: dict[str, Any] = {}
        for field in dataclasses.fields(config):
            value = plain(getattr(config, field.name))
            values.update(value if field.metadata.get("rest") else {field.name: value})
        return values
    if isinstance(config, Mapping):
        return {name: plain(value) for name, value in config.items()}
    if isinstance(config, (set, frozenset)):
        config = sorted(config, key=repr)
    return [plain(item) for item in config] if isinstance(config, (list, tuple)) else _written(config)


def _written(value: Any) -> Any:
    """A value in a form that YAML and JSON can hold."""
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return str(value)  # nothing of its own kind: files know text alone
    if isinstance(value, (np.ndarray, torch.Tensor)):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (torch.device, torch.dtype)):
        return str(value)
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__} given from Python"


def label_of(settings: Mapping[str, Any], name: str) -> str:
    """The label of a task that has none: its ``model``, or its name where there is none.

    A module that is given from Python has the name of its class.
    """
    model = settings.get("model", name)
    return type(model).__name__ if isinstance(model, nn.Module) else str(model)
