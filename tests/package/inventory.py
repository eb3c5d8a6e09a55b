"""The public names of npp with their signatures, as text: what test_inventory.py guards.

    python tests/package/inventory.py > tests/package/inventory.txt

after a change that is meant; the difference of the file then shows what users will see of it. What a room's
``__init__`` exports is public, and so is what modules beside the rooms define without a leading underscore.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import types
from collections.abc import Iterator
from typing import Any, is_typeddict

from npp.codec.options import CodecOptions

PUBLIC = (
    "npp",
    "npp.allocation",
    "npp.batch",
    "npp.codec",
    "npp.config",
    "npp.evaluation",
    "npp.files",
    "npp.gradient",
    "npp.gradient.surrogates",
    "npp.photos",
    "npp.pillow",
    "npp.preprocessing",
    "npp.recipes",
    "npp.restoration",
    "npp.tasks",
    "npp.training",
    "npp.transforms",
)


def exported(module: types.ModuleType) -> list[str]:
    """Names that a module gives to the outside, sorted."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    own = (
        name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__
    )
    return sorted(name for name in own if not name.startswith("_"))


def _own_classes(kind: type) -> list[type]:
    return [base for base in kind.__mro__ if base.__module__.split(".")[0] == "npp"]


def own_members(kind: type) -> Iterator[tuple[str, Any]]:
    """Public methods, properties and attributes that npp's own classes define, inherited ones too."""
    names = {name for base in _own_classes(kind) for name in vars(base)}
    for name in sorted(name for name in names if not name.startswith("_") or name == "__call__"):
        yield name, inspect.getattr_static(kind, name)


def _written(annotation: Any) -> str:
    text = getattr(annotation, "__forward_arg__", annotation)
    return text if isinstance(text, str) else inspect.formatannotation(annotation)


def _default(value: Any) -> str:
    if inspect.isfunction(value):
        return value.__name__
    return f"{type(value).__name__}(...)" if dataclasses.is_dataclass(value) else repr(value)


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    text = stars.get(parameter.kind, "") + parameter.name
    if parameter.annotation is not inspect.Parameter.empty:
        text += f": {_written(parameter.annotation)}"
    if parameter.default is not inspect.Parameter.empty:
        text += f" = {_default(parameter.default)}"
    return text


def _as_written(function: Any) -> inspect.Signature:
    """The codec's options in one, as the source has them: one by one they are in ``npp.CodecOptions``."""
    found = inspect.signature(function)
    kept = [one for name, one in found.parameters.items() if name not in CodecOptions.__annotations__]
    if len(found.parameters) - len(kept) < len(CodecOptions.__annotations__):
        return found
    together = inspect.Parameter(
        "options", inspect.Parameter.VAR_KEYWORD, annotation=f"Unpack[{CodecOptions.__name__}]"
    )
    return found.replace(parameters=[*kept, together])


def signature(function: Any) -> str:
    """A signature with its annotations as they are written, without ``self`` and ``cls``."""
    found = _as_written(function)
    parts: list[str] = []
    for parameter in found.parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not any(part[0] == "*" for part in parts):
            parts.append("*")
        if parameter.name not in ("self", "cls"):
            parts.append(_parameter(parameter))
    result = found.return_annotation
    arrow = "" if result is inspect.Signature.empty else f" -> {_written(result)}"
    return f"({', '.join(parts)}){arrow}"


def _member(name: str, value: Any) -> str:
    if isinstance(value, property):
        return f"{name}: property"
    if isinstance(value, staticmethod | classmethod):
        return f"{type(value).__name__} {name}{signature(value.__func__)}"
    if inspect.isfunction(value):
        return f"{name}{signature(value)}"
    return f"{name}: attribute"


def _class(kind: type) -> Iterator[str]:
    bases = ", ".join(base.__name__ for base in kind.__bases__ if base is not object)
    yield f"class({bases})" if bases else "class"
    fields = set(getattr(kind, "_fields", ()))
    if is_typeddict(kind) or fields:
        defaults = getattr(kind, "_field_defaults", {})
        for key, annotation in kind.__annotations__.items():
            yield f"    {key}: {_written(annotation)}" + (f" = {defaults[key]!r}" if key in defaults else "")
    if dataclasses.is_dataclass(kind):
        fields = {field.name for field in dataclasses.fields(kind)}
    is_protocol = getattr(kind, "_is_protocol", False)
    if not is_protocol and any("__init__" in vars(base) for base in _own_classes(kind)):
        yield f"    {signature(kind.__init__)}"  # type: ignore[misc]
    for name, value in own_members(kind):
        if name not in fields:
            yield f"    {_member(name, value)}"


def describe(value: Any) -> Iterator[str]:
    """One line or more about a public thing."""
    if isinstance(value, types.ModuleType):
        yield "module"
    elif isinstance(value, type):
        yield from _class(value)
    elif callable(value):
        yield signature(value)
    else:
        yield f": {type(value).__name__}"


def inventory() -> str:
    """The whole list. What several rooms export is described where it comes first."""
    lines: list[str] = []
    seen: dict[int, str] = {}
    for module in map(importlib.import_module, PUBLIC):
        for name in exported(module):
            value, full = getattr(module, name), f"{module.__name__}.{name}"
            if isinstance(value, type | types.FunctionType) and id(value) in seen:
                lines.append(f"{full} is {seen[id(value)]}")
                continue
            seen[id(value)] = full
            first, *rest = describe(value)
            lines += [full + ("" if first[0] in "(:" else " ") + first, *rest]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(inventory(), end="")
