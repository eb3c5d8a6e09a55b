"""The codec's options one by one in the signatures of the functions that take them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast, get_type_hints

from npp.codec.options import DEFAULTS, CodecOptions

_Function = TypeVar("_Function", bound=Callable[..., Any])


class _Left:
    """In place of a default that depends on other arguments: shown as in stubs, and never passed on."""

    def __repr__(self) -> str:
        return "..."


_LEFT = _Left()


@cache  # for every import of npp asks for each function
def _options(defaults: bool) -> list[inspect.Parameter]:
    """The options as parameters, with their defaults or ``...``."""
    named: Any = DEFAULTS if defaults else dict.fromkeys(DEFAULTS, _LEFT)
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=named[name], annotation=hint)
        for name, hint in get_type_hints(CodecOptions).items()
    ]


def shows_options(*, defaults: bool = True) -> Callable[[_Function], _Function]:
    """For a function with ``**options: Unpack[CodecOptions]``: what help() and completion show of it.

    Type checkers understand the annotation; ``inspect.signature``, which help() and notebooks ask, would show
    no option by its name.

    Args:
        defaults: the function's defaults are those of :func:`npp.encode`; those of others, such as a
            recipe's, are shown as ``...``.
    """

    def shown(function: _Function) -> _Function:
        written = inspect.signature(function)
        own = [one for one in written.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        signed = cast("Any", function)
        signed.__signature__ = written.replace(parameters=[*own, *_options(defaults)])
        return function

    return shown
