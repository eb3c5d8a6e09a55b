"""A recipe for transforms of datasets, which are copied into the workers of a DataLoader."""

from __future__ import annotations

import os
from typing import Any

from npp.checks import brief
from npp.recipes.recipe import Recipe, recipe_file


class LazyRecipe:
    """A recipe that is loaded by its name when it is first used, so that each worker loads its own.

    Args:
        recipe: name or path of one, or a recipe.

    Raises:
        FileNotFoundError: there is none of that name.
        TypeError: neither a name, a path nor a recipe.
    """

    def __init__(self, recipe: str | os.PathLike[str] | Recipe) -> None:
        if not isinstance(recipe, (str, os.PathLike, Recipe)):
            raise TypeError(f"recipe must be an npp.Recipe, a name or a path of one, not {brief(recipe)}")
        if not isinstance(recipe, Recipe):
            try:
                recipe_file(recipe)
            except FileNotFoundError as error:
                raise FileNotFoundError(f"recipe: {error}") from None
        self._given = recipe
        self._loaded: Recipe | None = None

    def get(self) -> Recipe:
        """The recipe."""
        if isinstance(self._given, Recipe):
            return self._given
        if self._loaded is None:
            self._loaded = Recipe.load(self._given)
        return self._loaded

    def __getstate__(self) -> dict[str, Any]:
        """The state without a recipe that was loaded by its name."""
        return {**self.__dict__, "_loaded": None}

    def __repr__(self) -> str:
        return repr(self._given.name if isinstance(self._given, Recipe) else os.fspath(self._given))
