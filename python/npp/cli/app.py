"""The application that typer runs, with all commands."""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from npp.cli.command_table import COMMANDS, HELP_OPTIONS, help_text
from npp.cli.exit_codes import EXIT_CODES
from npp.cli.help_panels import PanelledCommand
from npp.cli.near_names import near_commands


def _load(name: str) -> Any:
    """Imports a command as a command of typer."""
    entry = COMMANDS[name]
    loaded = getattr(importlib.import_module(f"npp.cli.{entry.module}"), entry.name)
    if not isinstance(loaded, typer.Typer):
        wrapper = typer.Typer(
            add_completion=False,
            context_settings=HELP_OPTIONS,
            rich_markup_mode=None,
            pretty_exceptions_enable=False,
        )
        wrapper.command(name, cls=PanelledCommand, epilog=EXIT_CODES)(loaded)
        loaded = wrapper
    command = get_command(loaded)
    command.name = name
    return command


class _Commands(TyperGroup):
    """A group that imports a command when it is run or its help is shown."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return _load(cmd_name) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        # typer would look for similar names among the imported commands, and there are none.
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"No such command {args[0]!r}.{near_commands(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def get_help(self, ctx: Any) -> str:
        return help_text().rstrip("\n")


# Plain text: rich takes three times as long to load as all else that help needs.
app = typer.Typer(
    name="npp",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    context_settings=HELP_OPTIONS,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        from npp.codec.build import __version__

        typer.echo(f"npp {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
