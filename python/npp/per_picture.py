"""Checks that the values of a task have one entry for each picture: nothing is broadcast in silence."""

from __future__ import annotations

from collections.abc import Mapping, Sized

from torch import Tensor

from npp.checks import kind_of


def check_entries(whose: str, entries: object, count: int) -> None:
    """Refuses values that do not have one entry for each picture.

    Args:
        whose: the beginning of messages, such as ``"the task 'depth': targets"``.
        entries: a sequence, or a tensor (N, ...).
        count: N, how many pictures there are.

    Raises:
        TypeError: no such thing.
        ValueError: there are too few or too many.
    """
    if isinstance(entries, (str, Mapping)) or not isinstance(entries, Sized) or _is_scalar(entries):
        raise TypeError(f"{whose} must be a list with one entry per image, not {kind_of(entries)}")
    if len(entries) != count:
        raise ValueError(f"{whose} must hold one entry per image, {count}, not {len(entries)}")


def values_by_picture(who: str, what: str, values: object, count: int, *, floating: bool = True) -> Tensor:
    """Checks a task's values, one for each picture, and returns them as (N,).

    Args:
        who: who said it, for messages, such as ``"the task 'depth'"``.
        what: how it is called there, such as ``"a loss"``.
        values: a tensor (N,); of one picture alone it may be () too.
        count: N, how many pictures there are.
        floating: whether integers and truth values are refused.

    Returns:
        The same tensor, or that of a single picture with its dimension.

    Raises:
        TypeError: no tensor, or one of another kind of numbers.
        ValueError: a tensor of another shape.
    """
    wanted = "a floating tensor (N,)" if floating else "a tensor (N,)"
    if not isinstance(values, Tensor):
        raise TypeError(f"{who} gave {what} of {kind_of(values)}; {wanted} is needed")
    if values.is_complex() or (floating and not values.is_floating_point()):
        raise TypeError(f"{who} gave {what} of {values.dtype}; {wanted} is needed")
    if count == 1 and values.ndim == 0:
        return values[None]
    if tuple(values.shape) != (count,):
        allowed = "(1,) or ()" if count == 1 else f"({count},)"
        raise ValueError(
            f"{who} gave {what} of shape {tuple(values.shape)}; one per picture, {allowed}, is needed"
        )
    return values


def scores_by_picture(who: str, scores: object, count: int) -> dict[str, Tensor]:
    """Scores by name as (N,) each; see :func:`values_by_picture`.

    Raises:
        TypeError: no tensors by name.
        ValueError: none at all, or a tensor of another shape.
    """
    if not isinstance(scores, Mapping) or not all(isinstance(name, str) for name in scores):
        raise TypeError(f"{who} gave scores of {kind_of(scores)}; a dict of tensors (N,) by name is needed")
    if not scores:
        raise ValueError(f"{who} gave no scores; at least one is needed")
    return {
        name: values_by_picture(who, f"the score {name!r}", values, count, floating=False)
        for name, values in scores.items()
    }


def _is_scalar(entries: object) -> bool:
    return getattr(entries, "ndim", 1) == 0
