"""The parts that a command's help has: what its options are about, under the same names for all commands."""

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
#: In the order in which a help has them.
PANELS = (FILES, RATE, CODEC, RECIPE, SHARING, NETWORK, SETTINGS, MACHINES, REPORT)
#: What stands before a page's title: who has npp installed may have no clone with the pages in it.
PAGE = "npp's documentation, page"
#: Where ``--help`` stands, which typer adds by itself.
_OTHERS = "Help"


class PanelledCommand(TyperCommand):
    """A command whose plain help has a part for each panel: typer has them with rich alone."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        parts: dict[str, list[tuple[str, str]]] = {name: [] for name in ("Arguments", *PANELS, _OTHERS)}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:  # None: it is hidden
                parts[_part_of(parameter)].append(record)
        for name, records in parts.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)


def _part_of(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return "Arguments"
    return getattr(parameter, "rich_help_panel", None) or _OTHERS
