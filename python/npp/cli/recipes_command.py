"""The command ``npp recipes``, which lists the recipes for ``npp encode --for``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from npp.batch.recipe_use import RecipeUse
from npp.cli.exit_codes import OK
from npp.cli.file_reports import print_json
from npp.cli.help_panels import REPORT
from npp.cli.recipe_options import named_recipe
from npp.cli.streams import write_output
from npp.codec.build import __version__
from npp.recipes.parts import Parts
from npp.recipes.recipe import Recipe


def _described(name: str) -> dict[str, Any]:
    recipe = named_recipe("RECIPE", name)
    return {
        "name": name,
        "qp": recipe.qp,
        "options": dict(recipe.options),
        "parts": RecipeUse(recipe, Parts(), name).used(),
        "card": recipe.card,
    }


def recipe_lines(recipe: dict[str, Any]) -> list[str]:
    """Lines for people about a recipe.

    Args:
        recipe: its fields of the JSON report.
    """
    options = ", ".join(f"{name} {value}" for name, value in recipe["options"].items())
    parts = ", ".join(recipe["parts"]) or "none"
    head = f"  qp {recipe['qp']}; parts: {parts}; options: {options or 'the usual ones'}"
    return [recipe["name"], head, *(f"  {line}" for line in recipe["card"].splitlines())]


def recipes(
    named: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RECIPE]...", help="Names or files; by default all that come with npp."),
    ] = None,
    json_report: Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=REPORT)] = False,
) -> None:
    """Lists the recipes that come with npp, for npp encode --for, or says what is in files of recipes."""
    described = [_described(name) for name in named or Recipe.available()]
    if json_report:
        print_json({"npp": __version__, "recipes": described})
    elif described:
        write_output("\n".join(line for recipe in described for line in recipe_lines(recipe)) + "\n")
    else:
        write_output("no recipe comes with this version; npp encode --for takes files of npp.Recipe.save\n")
    raise typer.Exit(OK)
