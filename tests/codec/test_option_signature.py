"""The codec's options where people look for them: in signatures, and described one by one."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from package.inventory import PUBLIC, exported, own_members

import npp
from npp.codec.options import DEFAULTS, resolve_options

HINTS = get_type_hints(npp.CodecOptions)
#: Ends of what numbers may be.
ENDS = {
    "effort": (0, 9),
    "alpha_qp": (0, 51),
    "deblock": (-6, 6),
    "chroma_qp_offset": (-12, 12),
    "psy_rd": (0, 5),
}


def _takes_options(function: Any) -> bool:
    written = getattr(inspect.unwrap(function), "__annotations__", {})
    return "Unpack[CodecOptions]" in map(str, written.values())


def _public_functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    for room in map(importlib.import_module, PUBLIC):
        for name in exported(room):
            value = getattr(room, name)
            if inspect.isfunction(value):
                yield f"{room.__name__}.{name}", value
            elif isinstance(value, type):
                yield f"{room.__name__}.{name}", value.__init__  # type: ignore[misc]
                methods = (member for _, member in own_members(value) if inspect.isfunction(member))
                yield from ((f"{room.__name__}.{name}.{method.__name__}", method) for method in methods)


def test_every_public_function_that_takes_options_shows_them_by_name() -> None:
    pytest.importorskip("lightning", reason="npp.training needs it")
    found = {name: function for name, function in _public_functions() if _takes_options(function)}
    assert {"npp.encode", "npp.compress", "npp.BPG", "npp.Recipe.encode", "npp.refine"} <= found.keys()
    for name, function in found.items():
        shown = inspect.signature(function).parameters
        assert {option: shown[option].annotation for option in HINTS if option in shown} == HINTS, name
        assert not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in shown.values()), name


def test_the_defaults_that_are_shown_are_those_that_are_used() -> None:
    shown = inspect.signature(npp.encode).parameters
    assert {name: shown[name].default for name in HINTS} == DEFAULTS
    assert resolve_options(DEFAULTS) == resolve_options({})
    own = inspect.signature(npp.Recipe.encode).parameters
    assert {repr(own[name].default) for name in HINTS} == {"..."}  # the recipe's


def _description(option: str) -> str:
    """The part of the docstring of CodecOptions about an option."""
    text = inspect.getdoc(npp.CodecOptions) or ""
    found = re.search(rf"^    {option}: (.*?)(?=^    \w+: |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, option
    return " ".join(found[1].split())


@pytest.mark.parametrize("option", HINTS)
def test_an_option_is_described_with_all_that_it_may_be_and_its_default(option: str) -> None:
    hint, described, default = HINTS[option], _description(option), dict(DEFAULTS)[option]
    if get_origin(hint) is Literal:
        assert re.findall(r"``\"(\w+)\"``", described)
        assert {f'``"{value}"``' for value in get_args(hint)} <= set(re.findall(r"``\"\w+\"``", described))
        assert re.search(rf"``\"{default}\"`` \((the )?default", described)
    elif option in ENDS:
        low, high = ENDS[option]
        assert re.search(rf"(^|\W){low} (\([^)]*\) )?to {high}\b", described)
        for end, beyond in ((low, low - 1), (high, high + 1)):
            resolve_options({option: end})
            with pytest.raises(npp.EncodeError, match=f"{option} must be"):
                resolve_options({option: beyond})
    if default is None or isinstance(default, bool):
        assert f"``{default}`` (default)" in described
    elif isinstance(default, int):
        assert re.search(rf"{default} \(default\)|default {default}\b", described)
