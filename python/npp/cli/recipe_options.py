"""The options of ``npp encode`` about a recipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from npp.batch.outcomes import describe
from npp.batch.recipe_use import RecipeUse
from npp.cli.exit_codes import UsageError
from npp.codec.limits import usable_cores
from npp.recipes.parts import Parts
from npp.recipes.recipe import Recipe


def parts_of(*, qp_map_only: bool, no_scale: bool, no_filter: bool, no_map: bool) -> Parts:
    """The parts of a recipe that the options leave on.

    Raises:
        UsageError: the map alone and no map are asked for together.
    """
    if qp_map_only and no_map:
        raise UsageError("--qp-map-only and --no-map exclude each other")
    return Parts(
        scale=not (no_scale or qp_map_only), filter=not (no_filter or qp_map_only), qp_map=not no_map
    )


def named_recipe(argument: str, name_or_path: str) -> Recipe:
    """Loads a recipe that the command line names.

    Args:
        argument: the argument that names it, for messages.
        name_or_path: name or path of the recipe.

    Raises:
        UsageError: there is no recipe of that name, or it cannot be read.
    """
    try:
        return Recipe.load(name_or_path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{argument}: {describe(error)}") from None


def load_recipe(name_or_path: str, parts: Parts) -> RecipeUse:
    """Loads a recipe for a whole run.

    Raises:
        UsageError: there is no recipe of that name, or it cannot be read.
    """
    recipe = named_recipe("--for", name_or_path)
    return RecipeUse(recipe, parts, recipe.name or Path(name_or_path).stem)


@contextmanager
def shared_cores(workers: int) -> Iterator[None]:
    """Divides the cores among the networks of several threads, which would each take all of them."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, usable_cores() // workers)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
