"""Checks of what callers give; every message names the setting, the value and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, TypeGuard

#: HEVC's coarsest quantiser at 8 bits; the finest is 0.
MAX_QP = 51
#: How many quantisers there are.
QP_COUNT = MAX_QP + 1
#: The quantiser of what is coded without a word about it, as bpgenc has it.
DEFAULT_QP = 29
#: Processes that one computer may be asked for: more are a typing error, and would take all its memory.
MOST_PROCESSES = 256
#: Pictures that may be in memory together; more are a typing error.
MOST_PICTURES = 65_536
# Values of more letters are named by their type in messages.
_LONG = 200


class UnknownSettingError(TypeError, ValueError):
    """Settings that a part does not have.

    It is a TypeError, as an unknown keyword gives one, and a ValueError, as wrong values give one.

    Args:
        message: the message up to what is allowed; it names the first unknown setting.
        names: all settings that are unknown, at least one.
        allowed: the settings that there are.

    Attributes:
        names: of the unknown ones.
        allowed: those that there are.
    """

    def __init__(self, message: str, names: Sequence[str], allowed: Sequence[str]) -> None:
        super().__init__(message, names, allowed)  # another process makes it from these
        self.names = names
        self.allowed = allowed

    def __str__(self) -> str:
        return self.message()

    def message(self, beside: Sequence[str] = ()) -> str:
        """The message.

        Args:
            beside: names that are allowed too where the settings stand, though they are none of the part's.
        """
        further = f", and beside these {', '.join(beside)}" if beside else ""
        hint = did_you_mean(self.names[0], [*self.allowed, *beside])
        return f"{self.args[0]}; allowed are {', '.join(self.allowed)}{further}{hint}"


def did_you_mean(name: object, allowed: Iterable[str]) -> str:
    """The end of a message about an unknown name: the closest of those allowed; empty where none is close."""
    import difflib  # for messages alone: every start of a command imports this file

    if not isinstance(name, str):
        return ""
    names = list(allowed)
    near = difflib.get_close_matches(name, names, n=1) or difflib.get_close_matches(name.lower(), names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def check_known_settings(message: str, names: Iterable[str], allowed: Iterable[str], end: str = "") -> None:
    """Refuses settings that are not among those allowed.

    Args:
        message: the message up to the name of the first unknown one.
        names: of the settings that somebody chose.
        allowed: names of those that there are.
        end: what follows the name in the message.

    Raises:
        UnknownSettingError: there are such.
    """
    there_are = tuple(allowed)
    if unknown := [name for name in names if name not in there_are]:
        raise UnknownSettingError(f"{message} {unknown[0]!r}{end}", unknown, there_are)


def kind_of(output: object) -> str:
    """For messages: the type of what a network gave, and its keys where it has some."""
    keys = f" of {', '.join(map(str, output))}" if isinstance(output, Mapping) else ""
    return f"{type(output).__name__}{keys}"


def brief(value: object) -> str:
    """For messages: a value, or its type where the value would fill the screen."""
    kind = type(value).__name__
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python writes
        text = ""
    if text and len(text) <= _LONG and "\n" not in text:
        return text
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def whole(name: str, value: Any, low: int, high: int, error: type[ValueError] = ValueError) -> int:
    """An integer from low to high, both included; anything else raises the error."""
    if not is_int(value) or not low <= value <= high:
        raise error(f"{name} must be an integer from {low} to {high}, not {brief(value)}")
    return int(value)


def typed_whole(name: str, value: object, low: int, high: int | None = None, beside: str = "") -> int:
    """An integer from low on, and to high where that is given.

    Args:
        name: what messages call the value.
        value: that somebody gave.
        low, high: both are allowed.
        beside: what else is allowed, as ``" or None"``.

    Raises:
        TypeError: no integer.
        ValueError: out of range.
    """
    if not is_int(value):
        raise TypeError(f"{name} must be an integer{beside}, not {brief(value)}")
    if value < low:
        raise ValueError(f"{name} must be at least {low}{beside}, not {brief(value)}")
    if high is not None and value > high:
        raise ValueError(f"{name} must be at most {high}{beside}, not {brief(value)}")
    return int(value)


def whole_qp(name: str, value: Any, error: type[ValueError] = ValueError) -> int:
    """A qp that the codec takes, an integer from 0 to 51; anything else raises the error."""
    return whole(name, value, 0, MAX_QP, error)


def fractional_qp(name: str, value: object) -> float:
    """A qp that networks and curves take, a number from 0 to 51; ValueError for anything else."""
    return number(name, value, 0, MAX_QP)


def lowest_and_highest_qp(name: str, values: Sequence[Any] | None, given: object) -> tuple[int, int]:
    """Two qps that bound others, the lower one first; they may be equal.

    Args:
        name: what messages call them.
        values: those that were given, ``None`` for what is no sequence.
        given: as it was given, for the message.

    Raises:
        ValueError: anything but two integers from 0 to 51, the lower one first.
    """
    two = values if values is not None and len(values) == 2 and all(map(is_int, values)) else (1, 0)
    if not 0 <= two[0] <= two[1] <= MAX_QP:
        raise ValueError(
            f"{name} must be the lowest and the highest, integers from 0 to {MAX_QP}, not {brief(given)}"
        )
    return int(two[0]), int(two[1])


def number(name: str, value: object, low: float, high: float, error: type[ValueError] = ValueError) -> float:
    """A finite number from low to high, both included; anything else raises the error."""
    finite = _finite(value)
    if not low <= finite <= high:
        allowed = f"a number from {low:g} to {high:g}"
        if not math.isfinite(high):
            allowed = _any_finite(low, f"from {low:g} on")
        raise error(f"{name} must be {allowed}, not {brief(value)}")
    return finite


def number_above(name: str, value: object, low: float) -> float:
    """A finite number above low; anything else raises ValueError."""
    finite = _finite(value)
    if not low < finite:
        allowed = f"above {low:g}" if math.isfinite(finite) else _any_finite(low, f"above {low:g}")
        raise ValueError(f"{name} must be {allowed}, not {brief(value)}")
    return finite


def _any_finite(low: float, bound: str) -> str:
    """For messages about values that are no finite numbers: the numbers allowed, with their lower bound."""
    return f"a finite number {bound}" if math.isfinite(low) else "a finite number"


def _finite(value: object) -> float:
    """A finite number as a float; NaN, which lies within no limits, for anything else."""
    try:
        as_float = math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    except OverflowError:  # an integer above all floats
        return math.nan
    return as_float if math.isfinite(as_float) else math.nan


def flag(name: str, value: object, error: type[ValueError] = ValueError) -> bool:
    """True or False; anything else raises the error."""
    if not isinstance(value, bool):
        raise error(f"{name} must be True or False, not {brief(value)}")
    return value


def flags(owner: object, *names: str) -> None:
    """Checks attributes of an object that must be True or False."""
    for name in names:
        flag(name, getattr(owner, name))


def table(name: str, value: object, low: float, high: float) -> dict[float, float]:
    """A mapping of qp to numbers from low to high, sorted by qp. Keys may be strings, as in JSON."""
    if not isinstance(value, dict) or not value:
        raise ValueError(f"{name} must be a mapping of qp to numbers, not {brief(value)}")
    entries: dict[float, float] = {}
    for key, entry in value.items():
        try:
            qp = math.nan if isinstance(key, bool) else float(key)
        except (OverflowError, TypeError, ValueError):
            qp = math.nan
        of_qp = fractional_qp(f"a qp in {name}", qp if math.isfinite(qp) else key)
        entries[of_qp] = number(f"{name}[{brief(key)}]", entry, low, high)
    return dict(sorted(entries.items()))


def is_int(value: object) -> TypeGuard[int]:
    """Whether a value is an integer: numpy's integers are, True and False are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def at_least(owner: object, low: float, *names: str) -> None:
    """Checks attributes that must be finite numbers from low on; ``None`` stands for not given."""
    for name in names:
        value = getattr(owner, name)
        finite = low if value is None else _finite(value)
        if not low <= finite:
            allowed = f"at least {low:g}" if math.isfinite(finite) else _any_finite(low, f"from {low:g} on")
            raise ValueError(f"{name} must be {allowed}, not {brief(value)}")


def wholes(owner: object, low: int, high: int, *names: str) -> None:
    """Checks attributes of an object that must be integers from low to high, both included.

    They are replaced by Python's own integers, for numpy's could not be written as JSON or YAML.
    """
    for name in names:
        object.__setattr__(owner, name, whole(name, getattr(owner, name), low, high))


def whole_at_least(owner: object, low: int, *names: str) -> None:
    """Checks attributes that must be integers from low on; ``None`` stands for not given.

    They are replaced by Python's own integers, as in :func:`wholes`.
    """
    for name in names:
        value = getattr(owner, name)
        if value is None:
            continue
        if not is_int(value):
            raise ValueError(f"{name} must be an integer from {low} on, not {brief(value)}")
        if value < low:
            raise ValueError(f"{name} must be at least {low}, not {value}")
        object.__setattr__(owner, name, int(value))


def positive(owner: object, *names: str) -> None:
    """Checks attributes of an object that must be finite numbers above 0."""
    for name in names:
        number_above(name, getattr(owner, name), 0)


def one_of(
    name: str, value: object, allowed: Collection[str | int], error: type[ValueError] = ValueError
) -> None:
    """Checks a value that must be one of several words or integers; anything else raises the error."""
    # An array or a tensor may be equal to one of them, too, but is none; nor is True, which is equal to 1.
    if not (isinstance(value, str) or is_int(value)) or value not in allowed:
        hint = did_you_mean(value, [word for word in allowed if isinstance(word, str)])
        raise error(f"{name} must be one of {', '.join(map(repr, allowed))}, not {brief(value)}{hint}")


def qps(name: str, values: Collection[int], fewest: int = 1) -> tuple[int, ...]:
    """The given qps without repetitions, in rising order.

    Args:
        name: what messages call them.
        values: integers from 0 to 51.
        fewest: how many different ones there must be at least.

    Raises:
        ValueError: no collection of such integers, or fewer of them.
    """
    if not isinstance(values, Collection) or isinstance(values, (str, bytes, Mapping)):
        raise ValueError(f"{name} must be a list of integers from 0 to {MAX_QP}, not {brief(values)}")
    for qp in values:
        if not is_int(qp) or not 0 <= qp <= MAX_QP:
            raise ValueError(f"{name} must be integers from 0 to {MAX_QP}, not {brief(qp)}")
    different = tuple(sorted({int(qp) for qp in values}))
    if len(different) < fewest:
        raise ValueError(f"{name} must be at least {fewest} different ones, not {list(values)}")
    return different
