"""Suggestions for names of networks that have no known form."""

from __future__ import annotations

import difflib
import importlib.util
import re
from collections.abc import Collection, Sequence

from npp.checks import did_you_mean
from npp.extras import require
from npp.tasks.name_prefixes import FORMS

_SUFFIXES = {".onnx": "onnx", ".pt": "ultralytics"}
_NEAR = 0.85  # similarity: a letter or two may differ, not half of a short word
_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def form_suggestion(spec: str, names: Sequence[str]) -> str:
    """The end of a message about a name of no known form: a suggestion, or empty if nothing is similar.

    Args:
        spec: the name of the network.
        names: the names that need no prefix.
    """
    normalised = spec.lower().replace("_", "-")
    form = normalised if normalised in names else _with_prefix(spec) or _with_right_prefix(spec)
    return f"; did you mean {form!r}?" if form else did_you_mean(spec, names)


def _with_prefix(spec: str) -> str | None:
    """The name with the missing prefix, found by its suffix or a package's list of models."""
    name = spec.partition(":")[0]
    for suffix, prefix in _SUFFIXES.items():
        if spec.lower().endswith(suffix) and name not in FORMS:
            return f"{prefix}:{spec}"
    return next(
        (f"{package}:{spec}" for package in ("torchvision", "timm") if name in _model_names(package)), None
    )


def _with_right_prefix(spec: str) -> str | None:
    """The name with its prefix spelt correctly, or with the prefix for a user's own function."""
    prefix, _, rest = spec.partition(":")
    if not rest or prefix in FORMS:
        return None
    if near := difflib.get_close_matches(prefix, FORMS, n=1, cutoff=_NEAR):
        return f"{near[0]}:{rest}"
    return f"python:{spec}" if _FUNCTION.fullmatch(spec) else None


def _model_names(package: str) -> Collection[str]:
    """Names of a package's networks; empty if it is not installed or cannot be imported."""
    if importlib.util.find_spec(package) is None:
        return ()
    try:
        library = require("torchvision.models" if package == "torchvision" else package, "a name's form")
    except (ImportError, RuntimeError):  # e.g. built for another torch; the message is about the name
        return ()
    names: list[str] = library.list_models()
    return names
