"""The codec's options of a recipe: checked when it is made, and when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from npp.allocation.allocator import Allocator
from npp.checks import brief
from npp.codec.errors import EncodeError
from npp.codec.options import CodecOptions, ResolvedOptions, resolve_options


def checked_options(options: object) -> CodecOptions:
    """The options without numpy's numbers, which no file could hold.

    Raises:
        TypeError: no mapping, or an unknown option.
        EncodeError, UnsupportedError: a value that the codec refuses.
    """
    if not isinstance(options, Mapping):
        raise TypeError(f"options must be a mapping of npp.CodecOptions or None, not {brief(options)}")
    resolve_options(options)
    plain: Any = {name: one.item() if isinstance(one, np.generic) else one for name, one in options.items()}
    return cast("CodecOptions", plain)


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
    """Refuses lossless where a recipe's map is used.

    Raises:
        EncodeError: the codec has no quantiser then that a map could move.
    """
    if allocator is not None and resolve_options(options).lossless:
        raise EncodeError(
            "lossless must be False with the recipe's map, for nothing is quantised then; "
            "parts=Parts(qp_map=False) leaves the map out"
        )
