"""Exceptions of the codec, and the outcomes of a batch: for each picture its result or its error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, TypeVar

from npp._bpg import BPGError, DecodeError, EncodeError, UnsupportedError

__all__ = ["BPGError", "DecodeError", "EncodeError", "UnsupportedError"]
OnError: TypeAlias = Literal["raise", "return"]
_Error = TypeVar("_Error", bound=BPGError)
_Met = TypeVar("_Met", bound=BPGError | MemoryError)


def check_on_error(errors: object) -> None:
    """Raises ValueError for anything but "raise" and "return"."""
    if errors not in ("raise", "return"):
        raise ValueError(f"errors must be 'raise' or 'return', not {errors!r}")


def picture_name(base: str, index: int, is_batch: bool) -> str:
    """What messages call a picture: ``image``, in a batch ``image[3]``."""
    return f"{base}[{index}]" if is_batch else base


def indexed(kind: type[_Error], message: str, index: int | None) -> _Error:
    """An error that says which picture of a batch it was."""
    error = kind(message)
    error.index = index
    return error


def named(error: _Met, base: str, index: int, is_batch: bool) -> _Met:
    """An error of a picture; in a batch its message, and the codec's ``index``, say which picture it was."""
    return in_words(error, f"{base}[{index}]: {error}", index) if is_batch else error


def in_words(error: _Met, message: str, index: int | None) -> _Met:
    """An error like another with a message and, if it is the codec's, its picture's place in a batch."""
    copy = type(error)(message)
    if isinstance(copy, BPGError):
        copy.index = index
    return copy


def _copy(error: BPGError, results: Sequence[Any] | None) -> BPGError:
    copy = indexed(type(error), str(error), error.index)
    copy.results = None if results is None else list(results)
    return copy


def raise_first(outcomes: Sequence[object], results: Sequence[Any] | None) -> None:
    """Raises the first error among the outcomes, if there is one: a BPGError, OSError or MemoryError.

    What is raised is a copy without a name here: an error that its own results or its own traceback refer to
    would keep all pictures until the garbage collector runs.

    Args:
        outcomes: a result or an error for each picture.
        results: what the error offers as ``results``: one entry a picture. None outside batches, and where
            nothing had been worked on.
    """
    for outcome in outcomes:
        if isinstance(outcome, BPGError):
            raise _copy(outcome, results)
        if isinstance(outcome, OSError):
            raise OSError(str(outcome))
        if isinstance(outcome, MemoryError):
            raise MemoryError(str(outcome))


def given_back(outcomes: list[Any], is_batch: bool, errors: OnError) -> Any:
    """The outcome of a picture, or a list of a batch's; raises the first error with ``errors="raise"``."""
    if errors == "raise":
        raise_first(outcomes, outcomes if is_batch else None)
    return outcomes if is_batch else outcomes[0]
