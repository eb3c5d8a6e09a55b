"""Scale, filter, map and codec options that belong together, under one name."""

from npp.recipes.recipe import CodecInput, Parts, Recipe
from npp.recipes.scale import ScaleRule

__all__ = ["CodecInput", "Parts", "Recipe", "ScaleRule"]
