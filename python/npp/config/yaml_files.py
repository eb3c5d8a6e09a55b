"""YAML files that configure a run: reading, overriding, and errors that name the key."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from npp.checks import brief
from npp.extras import MissingPackageError
from npp.files import write_file

# PyYAML follows YAML 1.1, where 1e-4 is a string.
_FLOAT = re.compile(r"^[-+]?(?:\d+(?:\.\d*)?|\.\d+)[eE][-+]?\d+$")


#: A number in a dotted key, as in ``list.0.key``.
WHOLE = re.compile(r"[0-9]{1,9}")


class ConfigError(ValueError):
    """A configuration is wrong; the message names the key, the value and what is allowed."""


def _parse(text: str, source: str) -> Any:
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise MissingPackageError(f"{source}, which is YAML,", "yaml") from error

    class Loader(yaml.SafeLoader):
        def construct_object(self, node: Any, deep: bool = False) -> Any:
            line = node.start_mark.line + 1
            if node in self.recursive_objects:
                raise ConfigError(f"{source} refers to itself in line {line}")
            try:  # always to the bottom, for else a list that holds itself would pass
                return super().construct_object(node, deep=True)
            except (ConfigError, RecursionError, yaml.YAMLError):
                raise
            except Exception:  # whatever PyYAML's own conversions bring out, which say no line
                kind = node.tag.rpartition(":")[2]
                raise ConfigError(
                    f"{source} is not YAML: {brief(node.value)} in line {line} is no {kind}; text that looks"
                    " like one needs quotes"
                ) from None

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            direct = [key for key, _ in node.value if not key.tag.endswith(":merge")]
            keys = [self.construct_object(key, deep=True) for key in direct]
            twice = [key for index, key in enumerate(keys) if key in keys[:index]]
            if twice:
                raise ConfigError(f"{source} has the key {twice[0]!r} twice in one section")
            mapping: dict[Any, Any] = super().construct_mapping(node, deep)
            return mapping

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
    try:
        return yaml.load(text, Loader)
    except RecursionError:
        raise ConfigError(f"{source} is nested too deeply") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{source} is not YAML: {' '.join(str(error).split())}") from None


def _expanded(value: Any, key: str) -> Any:
    """A value of a configuration with ``~`` and environment variables filled in, in all strings."""
    if isinstance(value, dict):
        return {name: _expanded(item, f"{key}.{name}" if key else str(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [_expanded(item, f"{key}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, str):
        try:
            return expand(value)
        except ValueError as error:
            raise ConfigError(f"{key}: {error}") from None
    return value


def _step(container: Any, name: str, key: str) -> Any:
    """The entry of a mapping or a list that one part of a dotted key means."""
    if isinstance(container, list):
        if not WHOLE.fullmatch(name) or int(name) >= len(container):
            raise ConfigError(f"--set {key}: {name} must be a place in a list of {len(container)}")
        return int(name)
    if not isinstance(container, dict):
        raise ConfigError(f"--set {key}: there is nothing below a plain value, at {name}")
    # Keys such as qps are numbers in YAML.
    return int(name) if WHOLE.fullmatch(name) and int(name) in container else name


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
        step = _step(target, name, key)
        if isinstance(target, dict) and target.get(step) is None:
            target[step] = {}
        target = target[step]
    # A pattern of file names is no alias, which a single value could not have.
    value = text if text.startswith("*") else _parse(text, f"--set {key}")
    target[_step(target, last, key)] = value


def read_config(path: Path | str, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """A YAML file as a mapping, with ``--set`` carried out and ``~`` and ``${NAME}`` filled in.

    Raises:
        ConfigError: not a YAML mapping, a wrong override, or an environment variable that is not set.
        OSError: the file cannot be read.
    """
    config = _parse(_text(path), str(path))
    if not isinstance(config, dict):
        raise ConfigError(f"{path} must hold keys and values, not {type(config).__name__}")
    for assignment in overrides:
        override(config, assignment)
    try:
        filled: dict[str, Any] = _expanded(config, "")
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply after its --set") from None
    return filled


def _text(path: Path | str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not YAML: it is no text in UTF-8, at byte {error.start}") from None


class Filled(str):
    """Text that :func:`expand` has filled in, and takes as it is: its ``$`` and ``~`` are a name's own."""

    __slots__ = ()


_VARIABLE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)(?::-([^}]*))?\})")


def expand(text: str | os.PathLike[str]) -> str:
    """Replaces ``~``, ``$NAME``, ``${NAME}`` and ``${NAME:-default}`` as a shell does after ``set -u``.

    A variable that is set to nothing is the empty string, and with a default it is the default. ``$$`` stands
    for ``$``, and ``$~`` at the beginning for ``~``. What is a :class:`Filled` stays as it is, so that
    nothing is replaced twice.

    Raises:
        ValueError: a variable without default is not set, or there is no such user's home.
    """
    raw = os.fspath(text)
    if isinstance(raw, Filled):
        return raw

    def value(match: re.Match[str]) -> str:
        if match[1]:
            return "$"
        name, default = match[2] or match[3], match[4]
        variable = os.environ.get(name)
        if default is not None:
            return variable or default.replace("$$", "$")
        if variable is None:
            raise ValueError(f"{raw}: the environment variable {name} is not set; $$ stands for $")
        return variable

    literal_tilde = raw.startswith("$~")
    filled = _VARIABLE.sub(value, raw[1:] if literal_tilde else raw)
    try:
        at_home = filled.startswith("~") and not literal_tilde
        return _as_filled(str(Path(filled).expanduser()) if at_home else filled)
    except RuntimeError:
        raise ValueError(f"{raw}: there is no home folder of that user; $~ stands for ~") from None


def _as_filled(text: str) -> str:
    """Filled-in text, marked as such where filling it in a second time would change it."""
    return Filled(text) if "$" in text or text.startswith("~") else text


def fill_in(owner: object, *names: str) -> None:
    """Puts what :func:`expand` makes of a frozen dataclass's attributes in their places.

    Args:
        owner: the dataclass.
        names: of attributes that are text, several or ``None``.

    Raises:
        ValueError: see :func:`expand`; the message begins with the attribute's name.
    """
    for name in names:
        value = getattr(owner, name)
        try:
            if isinstance(value, (str, os.PathLike)):
                object.__setattr__(owner, name, expand(value))
            elif isinstance(value, (list, tuple)):
                object.__setattr__(owner, name, type(value)(expand(item) for item in value))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


def as_yaml(config: Mapping[str, Any]) -> str:
    """A mapping as a file that :func:`read_config` makes the same of."""
    import yaml

    text: str = yaml.safe_dump(_escaped(config), sort_keys=False, allow_unicode=True)
    return text


def write_yaml(path: Path, config: Mapping[str, Any]) -> None:
    """Writes :func:`as_yaml` of a mapping whole, in place of an earlier file; folders are made.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, as_yaml(config).encode(), force=True)


def _escaped(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _escaped(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    if not isinstance(value, str):
        return value
    return ("$" if value.startswith("~") else "") + value.replace("$", "$$")
