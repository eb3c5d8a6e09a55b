"""Table of the commands with their modules and one line of help each; it imports none of them."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from npp.cli.exit_codes import EXIT_CODES

#: The options that show help, for every command; typer's default has the long one only.
HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}


@dataclass(frozen=True)
class CommandPlace:
    """Where a command is, before it is imported.

    Attributes:
        module: name of its module in ``npp.cli``.
        name: name of its function there, or of a :class:`typer.Typer` with several commands.
        about: its line in the list of commands.
    """

    module: str
    name: str
    about: str


#: The commands in the order in which help lists them.
COMMANDS = {
    "encode": CommandPlace("encode_command", "encode", "Encodes pictures and animations as BPG files."),
    "decode": CommandPlace("decode_command", "decode", "Decodes BPG files."),
    "verify": CommandPlace(
        "verify_command", "verify", "Checks files against the manifest that npp encode --manifest wrote."
    ),
    "info": CommandPlace("info_command", "info", "Shows what BPG files say about themselves."),
    "recipes": CommandPlace("recipes_command", "recipes", "Lists the recipes that come with npp."),
    "train": CommandPlace("train_command", "app", "Trains the networks of npp (needs npp[train])."),
    "evaluate": CommandPlace(
        "evaluate_command", "evaluate", "Measures what recipes save for a network (needs npp[eval])."
    ),
}

_WIDTH = 80


def help_text() -> str:
    """The text of ``npp --help``."""
    about = textwrap.fill(
        f"Encodes and decodes BPG pictures. {EXIT_CODES}",
        _WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
    )
    wide = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{wide}}  {command.about}" for name, command in COMMANDS.items())
    return f"""Usage: npp [OPTIONS] COMMAND [ARGS]...

{about}

Options:
  --version  Print the version.
  --help     Show this message and exit.

Commands:
{rows}
"""
