"""A part of a recipe that is named, for what wants nothing else of it."""

from __future__ import annotations

import torch

from npp.preprocessing.preprocessor import Preprocessor
from npp.recipes.recipe import Recipe
from npp.restoration import Restorer


def filter_of(argument: str, name_or_path: str) -> Preprocessor:
    """The filter of a recipe.

    Args:
        argument: what a message calls it.
        name_or_path: as :meth:`npp.Recipe.load` takes it.

    Raises:
        FileNotFoundError, ValueError: as there, or the recipe has no filter.
    """
    found = Recipe.load(name_or_path).preprocessor
    if found is None:
        raise ValueError(f"{argument} must be a recipe with a filter; {name_or_path} has none")
    return found


def restorer_of(argument: str, name_or_path: str, device: torch.device | str | None = None) -> Restorer:
    """The restorer of a recipe.

    Args:
        argument: what a message calls it.
        name_or_path, device: as :meth:`npp.Recipe.load` takes them.

    Raises:
        FileNotFoundError, ValueError: as there, or the recipe has no restorer.
    """
    found = Recipe.load(name_or_path, device).restorer
    if found is None:
        raise ValueError(f"{argument} must be a recipe with a restorer; {name_or_path} has none")
    return found
