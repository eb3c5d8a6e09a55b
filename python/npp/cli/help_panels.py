"""Panels into which help sorts the options, with the same names for all commands."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

FILES = "Files and folders"
RATE = "Rate"
CODEC = "Codec"
RECIPE = "Recipe and maps"
SHARING = "Bits shared over files"
NETWORK = "Network"
SETTINGS = "Settings"
MACHINES = "Machines"
REPORT = "Report"
#: The panels in the order of the help.
PANELS = (FILES, RATE, CODEC, RECIPE, SHARING, NETWORK, SETTINGS, MACHINES, REPORT)
#: Stands before a page's title, for an installation has no files of the documentation.
PAGE = "npp's documentation, page"
#: The panel of ``--help``, which typer adds by itself.
_OTHERS = "Help"


class PanelledCommand(TyperCommand):
    """A command whose plain help has panels, which typer only has with rich."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        parts: dict[str, list[tuple[str, str]]] = {name: [] for name in ("Arguments", *PANELS, _OTHERS)}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:  # None for hidden options
                parts[_part_of(parameter)].append(record)
        for name, records in parts.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)


def _part_of(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return "Arguments"
    return getattr(parameter, "rich_help_panel", None) or _OTHERS
