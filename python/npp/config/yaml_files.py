"""YAML files that configure a run: reading, overriding, and errors that name the key."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

_T = TypeVar("_T")
_REQUIRED: Any = object()

# PyYAML follows YAML 1.1, where 1e-4 is a string.
_FLOAT = re.compile(r"^[-+]?(?:\d+(?:\.\d*)?|\.\d+)[eE][-+]?\d+$")


class ConfigError(ValueError):
    """A configuration is wrong; the message names the key, the value and what is allowed."""


def _parse(text: str, source: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source} is not YAML: {' '.join(str(error).split())}") from None


def _expanded(value: Any, key: str) -> Any:
    """The same with ``~`` and environment variables filled in, in all strings."""
    if isinstance(value, dict):
        return {name: _expanded(one, f"{key}.{name}" if key else str(name)) for name, one in value.items()}
    if isinstance(value, list):
        return [_expanded(one, f"{key}[{i}]") for i, one in enumerate(value)]
    if isinstance(value, str):
        try:
            return expand(value)
        except ValueError as error:
            raise ConfigError(f"{key}: {error}") from None
    return value


def _step(container: Any, name: str, key: str) -> Any:
    """The entry of a mapping or a list that one part of a dotted key means."""
    if isinstance(container, list):
        if not name.isdigit() or int(name) >= len(container):
            raise ConfigError(f"--set {key}: {name} must be a place in a list of {len(container)}")
        return int(name)
    if not isinstance(container, dict):
        raise ConfigError(f"--set {key}: there is nothing below a plain value, at {name}")
    # Keys such as qps are numbers in YAML.
    return int(name) if name.isdigit() and int(name) in container else name


def override(config: dict[str, Any], assignment: str) -> None:
    """Carries out one ``--set``: ``key=value``, ``section.key=value`` or ``list.0.key=value``.

    Args:
        config: changed in place; sections that are not there are made.
        assignment: the value is read as YAML.

    Raises:
        ConfigError: no ``=``, or a key that leads nowhere.
    """
    key, equals, text = assignment.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set needs key=value, not {assignment!r}")
    *path, last = key.split(".")
    target: Any = config
    for name in path:
        place = _step(target, name, key)
        if isinstance(target, dict) and target.get(place) is None:
            target[place] = {}
        target = target[place]
    target[_step(target, last, key)] = _parse(text, f"--set {key}")


def read_config(path: Path | str, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """A YAML file as a mapping, with ``--set`` carried out and ``~`` and ``${NAME}`` filled in.

    Raises:
        ConfigError: not a YAML mapping, a wrong override, or an environment variable that is not set.
        OSError: the file cannot be read.
    """
    config = _parse(Path(path).read_text(encoding="utf-8"), str(path))
    if not isinstance(config, dict):
        raise ConfigError(f"{path} must hold keys and values, not {type(config).__name__}")
    for assignment in overrides:
        override(config, assignment)
    filled: dict[str, Any] = _expanded(config, "")
    return filled


class Section:
    """A part of a configuration that is read key by key.

    Args:
        values: the part as YAML gave it.
        key: where it is, for messages; empty for the whole file.
    """

    def __init__(self, values: Any, key: str = "") -> None:
        if not isinstance(values, Mapping):
            raise ConfigError(f"{key or 'the configuration'} must hold keys and values, not {values!r}")
        self._values = dict(values)
        self._known: list[str] = []
        self._key = key

    def name(self, key: str) -> str:
        """The whole name of one of its keys."""
        return f"{self._key}.{key}" if self._key else key

    def error(self, key: str, problem: str) -> ConfigError:
        """An exception about one of its keys."""
        return ConfigError(f"{self.name(key)} {problem}")

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def take(self, key: str, default: Any = _REQUIRED) -> Any:
        """A key's value as it is.

        Raises:
            ConfigError: it is not there and has no default.
        """
        self._known.append(key)
        if key not in self._values and default is _REQUIRED:
            raise self.error(key, "is missing")
        return self._values.get(key, default)

    def convert(self, key: str, convert: Callable[[Any], _T], default: Any = _REQUIRED) -> _T:
        """A key's value through a function; its TypeError and ValueError get the key's name."""
        value = self.take(key, default)
        try:
            return convert(value)
        except ConfigError:
            raise
        except (TypeError, ValueError) as error:
            raise self.error(key, f"is {value!r}: {error}") from None

    def text(self, key: str, default: Any = _REQUIRED) -> str:
        """A string."""
        value = self.take(key, default)
        if not isinstance(value, str):
            raise self.error(key, f"must be text, not {value!r}")
        return value

    def integer(self, key: str, default: Any = _REQUIRED, *, low: int = 0) -> int:
        """A whole number of at least ``low``."""
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise self.error(key, f"must be a whole number of at least {low}, not {value!r}")
        return value

    def number(self, key: str, default: Any = _REQUIRED, *, low: float = 0.0) -> float:
        """A number of at least ``low``."""
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= low:
            raise self.error(key, f"must be a number of at least {low:g}, not {value!r}")
        return float(value)

    def flag(self, key: str, default: Any = _REQUIRED) -> bool:
        """True or false."""
        value = self.take(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"must be true or false, not {value!r}")
        return value

    def sequence(self, key: str, default: Any = _REQUIRED) -> Sequence[Any]:
        """A list."""
        value = self.take(key, default)
        if not isinstance(value, list):
            raise self.error(key, f"must be a list, not {value!r}")
        return value

    def section(self, key: str, default: Any = _REQUIRED) -> Section:
        """A part of its own."""
        return Section(self.take(key, default), self.name(key))

    def sections(self, key: str, default: Any = _REQUIRED) -> list[Section]:
        """A list of parts."""
        values = self.sequence(key, default)
        return [Section(value, f"{self.name(key)}[{i}]") for i, value in enumerate(values)]

    def rest(self) -> dict[str, Any]:
        """The keys that nobody took, taken now."""
        rest = {key: value for key, value in self._values.items() if key not in self._known}
        self._known += rest
        return rest

    def finish(self) -> None:
        """Says that everything was taken.

        Raises:
            ConfigError: a key is left over.
        """
        known = ", ".join(sorted(set(self._known)))
        for key in self._values:
            if key not in self._known:
                raise self.error(str(key), f"is not known; allowed are {known}")


_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::-([^}]*))?\})")


def expand(text: str) -> str:
    """Replaces ``~``, ``$NAME``, ``${NAME}`` and ``${NAME:-default}`` as a shell does.

    Raises:
        ValueError: a variable without default is not set.
    """

    def value(match: re.Match[str]) -> str:
        name, default = match[1] or match[2], match[3]
        found = os.environ.get(name) or default
        if found is None:
            raise ValueError(f"{text}: the environment variable {name} is not set")
        return found

    filled = _VARIABLE.sub(value, text)
    return str(Path(filled).expanduser()) if filled.startswith("~") else filled
