"""Loading of a single part of a named recipe."""

from __future__ import annotations

from typing import TypeVar

import torch

from npp.preprocessing.preprocessor import Preprocessor
from npp.recipes.recipe import Recipe
from npp.restoration import Restorer

_Network = TypeVar("_Network")


def _present(network: _Network | None, kind: str, argument: str, recipe: str) -> _Network:
    if network is None:
        raise ValueError(f"{argument} must be a recipe with a {kind}; {recipe} has none")
    return network


def filter_of(argument: str, name_or_path: str) -> Preprocessor:
    """The filter of a recipe.

    Args:
        argument: what a message calls it.
        name_or_path: as :meth:`npp.Recipe.load` takes it.

    Raises:
        FileNotFoundError, ValueError: as :meth:`npp.Recipe.load`, or the recipe has no filter.
    """
    return _present(Recipe.load(name_or_path).preprocessor, "filter", argument, name_or_path)


def restorer_of(argument: str, name_or_path: str, device: torch.device | str | None = None) -> Restorer:
    """The restorer of a recipe, or of a file of its own.

    Args:
        argument: what a message calls it.
        name_or_path, device: as :meth:`npp.Recipe.load` takes them, or what :meth:`npp.Restorer.save` wrote.

    Raises:
        FileNotFoundError, ValueError: as :meth:`npp.Recipe.load`, or the recipe has no restorer.
    """
    if Restorer.is_in(name_or_path):
        return Restorer.load(name_or_path, device)
    return _present(Recipe.load(name_or_path, device).restorer, "restorer", argument, name_or_path)
