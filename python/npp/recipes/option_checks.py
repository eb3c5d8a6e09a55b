"""Checks of a recipe's arguments and of its codec options, when it is made and when it is used."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import numpy as np

from npp.allocation.allocator import Allocator
from npp.checks import brief, check_known_settings
from npp.codec.errors import EncodeError
from npp.codec.options import CodecOptions, ResolvedOptions, check_known_names, resolve_options

_Init = TypeVar("_Init", bound=Callable[..., None])
#: What a recipe is made of.
RECIPE_ARGUMENTS = ("name", "scale", "preprocessor", "allocator", "restorer", "options", "qp", "card")


def checked_options(options: object) -> CodecOptions:
    """The checked options, with Python's numbers in place of numpy's, which no file could hold.

    Raises:
        TypeError: no mapping, or an unknown option.
        EncodeError, UnsupportedError: a value that the codec refuses.
    """
    if not isinstance(options, Mapping):
        raise TypeError(f"options must be a mapping of npp.CodecOptions or None, not {brief(options)}")
    resolve_options(options)
    plain: Any = {
        name: value.item() if isinstance(value, np.generic) else value for name, value in options.items()
    }
    return cast("CodecOptions", plain)


def check_recipe_arguments(keywords: Mapping[str, object]) -> None:
    """Refuses keywords that a recipe does not have; for the codec's options the message says where they go.

    Raises:
        UnknownSettingError: there are such.
    """
    unknown = {name: value for name, value in keywords.items() if name not in RECIPE_ARGUMENTS}
    options = [name for name in unknown if name in CodecOptions.__annotations__]
    if options:
        listed = ", ".join(f"{name!r}: {brief(unknown[name])}" for name in options)
        end = f": it is an option of the codec, which goes into options={{{listed}}}"
        check_known_settings("a recipe has no argument", options, RECIPE_ARGUMENTS, end)
    check_known_names("a recipe has no argument", unknown, RECIPE_ARGUMENTS)


def explain_unknown_arguments(made: _Init) -> _Init:
    """A decorator for a recipe's constructor, which calls :func:`check_recipe_arguments` first."""

    @functools.wraps(made)
    def init(self: Any, *arguments: Any, **named: Any) -> None:
        check_recipe_arguments(named)
        made(self, *arguments, **named)

    return cast("_Init", init)


def lossy_options(options: Mapping[str, Any]) -> ResolvedOptions:
    """The options with every default filled in.

    Raises:
        EncodeError: lossless, or as :func:`checked_options`.
    """
    resolved = resolve_options(options)
    if resolved.lossless:
        raise EncodeError("lossless must be False with a recipe, which changes what is coded")
    return resolved


def check_lossless(options: Mapping[str, Any], allocator: Allocator | None) -> None:
    """Refuses unknown options of the codec, and ``lossless`` where a recipe's map is used.

    Raises:
        UnknownSettingError, UnsupportedError: as :func:`npp.encode`.
        EncodeError: a value that is not allowed, or the codec has no quantiser then that a map could move.
    """
    if resolve_options(options).lossless and allocator is not None:
        raise EncodeError(
            "lossless must be False with the recipe's map, for nothing is quantised then; "
            "parts=npp.recipes.Parts(qp_map=False) leaves the map out"
        )
