"""Scale, filter, map and codec options that belong together, under one name."""

from npp.recipes.recipe import Parts, Prepared, Recipe
from npp.recipes.scale import ScaleRule

__all__ = ["Parts", "Prepared", "Recipe", "ScaleRule"]
