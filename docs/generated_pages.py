"""Pages of the site that are written anew for every build: the API by room, and the help of every command.

They lie in ``docs/generated``, which git ignores. What a room's ``__init__`` exports gets a place, so that a
new public name needs nothing here. ``tests/package/inventory.py`` says which rooms are public.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(__file__).resolve().parent / "generated"
_WIDTH = 100
# Members of these are described where they come from.
_FOREIGN = "Module, tuple, dict, ValueError, RuntimeError, ImageFile, Image, UserWarning"
_TITLES = {
    "npp": "npp: what most programs need",
    "npp.allocation": "Bits over blocks and over sets",
    "npp.batch": "Many files at once",
    "npp.codec": "Files and tensors",
    "npp.config": "Configuration files",
    "npp.evaluation": "Measuring what is saved",
    "npp.files": "Files that are whole or not there",
    "npp.gradient": "The codec with a gradient",
    "npp.gradient.surrogates": "Surrogates",
    "npp.photos": "Finding and loading photos",
    "npp.pillow": "Pillow",
    "npp.preprocessing": "Filters in front of the codec",
    "npp.restoration": "Restorers behind the decoder",
    "npp.recipes": "Recipes",
    "npp.tasks": "Networks that judge",
    "npp.training": "Training",
    "npp.transforms": "Coding as augmentation",
}

# Modules for other people's packages; they are imported on their own, and those packages need not be here.
_INTEGRATIONS = {
    "npp.integrations.lightning_codec": "Lightning",
    "npp.integrations.openmmlab": "MMDetection and MMPretrain",
    "npp.integrations.albumentations_bpg": "albumentations",
    "npp.integrations.ray": "Ray",
}
FOREIGN_PACKAGES = ("albumentations", "mmcv", "mmdet", "mmengine", "mmpretrain", "ray")

# What public names are made of or give back, and is not exported itself.
_ALSO = {
    "npp.allocation": ["npp.allocation.allocator_network.AllocatorSettings"],
    "npp.restoration": ["npp.restoration.restoring_network.RestorerSettings"],
    "npp.preprocessing": [
        "npp.preprocessing.gains.GainsSettings",
        "npp.preprocessing.unet.UNetSettings",
        "npp.preprocessing.blur.BlurSettings",
    ],
    "npp.evaluation": [
        "npp.evaluation.arms.ArmConfig",
        "npp.evaluation.judges.JudgeConfig",
        "npp.evaluation.labelled_photos.LabelledPhotos",
        "npp.evaluation.measured_values.Measurements",
        "npp.evaluation.analysis.Findings",
        "npp.evaluation.report_tables.Table",
        "npp.evaluation.evaluation_run.SharedFindings",
    ],
    "npp.training": [
        "npp.training.recipe_choice.Candidate",
        "npp.training.recipe_choice.Measured",
        "npp.training.baseline.Curve",
        "npp.training.allocator_labels.LabelSettings",
        "npp.training.allocator_config.DistilSettings",
    ],
}


@dataclass(frozen=True)
class Entry:
    """One public name, and where the site describes it: ``home`` is the first room that exports it."""

    name: str
    value: Any
    home: str


def _rooms() -> tuple[str, ...]:
    folder = str(ROOT / "tests" / "package")
    sys.path.insert(0, folder)
    try:
        return tuple(importlib.import_module("inventory").PUBLIC)
    finally:
        sys.path.remove(folder)


def _exported(module: types.ModuleType) -> list[str]:
    return list(sys.modules["inventory"].exported(module))


def public_names() -> dict[str, list[Entry]]:
    """All public names by room."""
    found: dict[str, list[Entry]] = {}
    seen: dict[int, str] = {}
    for room in _rooms():
        module = importlib.import_module(room)
        entries = []
        for name in _exported(module):
            value, full = getattr(module, name), f"{room}.{name}"
            shared = isinstance(value, type | types.FunctionType)
            home = seen.setdefault(id(value), full) if shared else full
            entries.append(Entry(name, value, home))
        found[room] = entries
    return found


def _said_of(entry: Entry) -> list[str]:
    """The comment ``#:`` above a constant, in the module that makes it."""
    pattern = re.compile(rf"((?:^#:.*\n)+){re.escape(entry.name)}\b[^\n]*=", re.MULTILINE)
    for name, module in sorted(sys.modules.items()):
        if name.startswith("npp.") and vars(module).get(entry.name) is entry.value and module.__file__:
            found = pattern.search(Path(module.__file__).read_text(encoding="utf-8", errors="replace"))
            if found is not None:
                return [line.removeprefix("#:").strip() for line in found[1].splitlines()]
    return []


def _directive(room: str, entry: Entry) -> Iterator[str]:
    value = entry.value
    if isinstance(value, type):
        yield f".. autoclass:: {room}.{entry.name}"
        yield "   :members:"
        yield f"   :inherited-members: {_FOREIGN}"
        yield "   :undoc-members:"
    elif callable(value):
        yield f".. autofunction:: {room}.{entry.name}"
    else:
        yield f".. py:data:: {entry.name}"
        yield f"   :type: {type(value).__name__}"
        text = repr(value)
        if len(text) <= _WIDTH and not text.startswith("<"):
            yield f"   :value: {text}"
        yield ""
        yield from (f"   {line}" for line in _said_of(entry))
    yield ""


def _room_page(room: str, entries: list[Entry]) -> str:
    own = [entry for entry in entries if entry.home == f"{room}.{entry.name}"]
    own = [entry for entry in own if not isinstance(entry.value, types.ModuleType)]
    lines = [_TITLES[room], "=" * 60, "", f"``{room}``", ""]
    lines += [f".. py:module:: {room}", "", *inspect.getdoc(importlib.import_module(room)).splitlines(), ""]  # type: ignore[union-attr]
    lines += [f".. py:currentmodule:: {room}", ""]
    for entry in own:
        lines += _directive(room, entry)
    also = _ALSO.get(room, [])
    if also:
        lines += ["Settings and results", "-" * 40, ""]
        lines += ["What the names above take or give back. Import them from the module that is shown.", ""]
        for full in also:
            lines += [f".. autoclass:: {full}", "   :members:", "   :undoc-members:", ""]
    others = [entry for entry in entries if entry.home != f"{room}.{entry.name}"]
    if others:
        lines += ["Described elsewhere", "-" * 40, ""]
        lines += [f"- ``{room}.{entry.name}`` is :py:obj:`{entry.home}`." for entry in others]
    modules = [entry for entry in entries if isinstance(entry.value, types.ModuleType)]
    if modules:
        lines += ["", "Rooms", "-" * 40, ""]
        lines += [
            f"- :py:mod:`{entry.value.__name__}`" for entry in modules if entry.value.__name__ in _rooms()
        ]
        others_of = [entry.value.__name__ for entry in modules if entry.value.__name__ not in _rooms()]
        lines += [f"- ``{name}``" for name in others_of]
    return "\n".join(lines) + "\n"


def _integrations_page() -> str:
    lines = ["In other people's software", "=" * 60, "", "``npp.integrations``", ""]
    lines += [
        "Import these modules by their full names; each needs the package that it is for. The pages on",
        ":doc:`frameworks <../frameworks>` and :doc:`many machines <../many-machines>` show them at work.",
        "",
    ]
    for module, title in _INTEGRATIONS.items():
        lines += [title, "-" * 40, "", f"``{module}``", "", f".. automodule:: {module}", "   :members:", ""]
    return "\n".join(lines) + "\n"


def _index(rooms: list[str]) -> str:
    lines = ["API by room", "=" * 60, ""]
    lines += [
        "The package is divided into rooms. What a room exports is public and stands here; everything else",
        "may change without notice. The names that most programs need are at the top, in ``npp`` itself.",
        "",
        ".. toctree::",
        "   :maxdepth: 1",
        "",
    ]
    lines += [f"   {_file_name(room)}" for room in rooms]
    lines += [f"   {_file_name('npp.integrations')}"]
    return "\n".join(lines) + "\n"


def _file_name(room: str) -> str:
    return "api-" + room.replace(".", "-")


def _help_of(command: Any, path: list[str], parent: Any) -> Iterator[tuple[str, str]]:
    """A command's name with its help, then those of the commands below it."""
    command.rich_markup_mode = None
    context = type(command).context_class(command, info_name=path[-1], parent=parent, terminal_width=_WIDTH)
    yield " ".join(path), command.get_help(context)
    for name in command.list_commands(context) if hasattr(command, "list_commands") else ():
        yield from _help_of(command.get_command(context, name), [*path, name], context)


def command_help() -> dict[str, str]:
    """The help of ``npp`` and of every command below it, as a terminal of 100 columns shows it."""
    import typer

    from npp.cli.app import app

    return dict(_help_of(typer.main.get_command(app), ["npp"], None))


def _help_page() -> str:
    lines = ["Every command's help", "=" * 60, ""]
    lines += ["This page is what ``npp COMMAND --help`` prints. :doc:`../cli` explains it with examples.", ""]
    for name, text in command_help().items():
        lines += [name, "-" * 40, "", ".. code-block:: text", ""]
        lines += [f"   {line}".rstrip() for line in text.splitlines()]
        lines += [""]
    return "\n".join(lines)


def _write(name: str, text: str) -> None:
    """Only what changed is written, so that Sphinx reads only that again."""
    path = FOLDER / f"{name}.rst"
    if not path.is_file() or path.read_text() != text:
        path.write_text(text)


def write() -> None:
    """Writes all pages; those of rooms that are gone are removed."""
    FOLDER.mkdir(exist_ok=True)
    names = public_names()
    pages = {_file_name(room): _room_page(room, entries) for room, entries in names.items()}
    pages[_file_name("npp.integrations")] = _integrations_page()
    pages |= {"api": _index(list(names)), "commands": _help_page()}
    for path in FOLDER.glob("*.rst"):
        if path.stem not in pages:
            path.unlink()
    for name, text in pages.items():
        _write(name, text)
