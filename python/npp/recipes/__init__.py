"""Scale, filter, map and codec options that belong together, under one name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from npp.lazy import exported_when_touched

if TYPE_CHECKING:
    from npp.recipes.parts import CodecInput, Parts
    from npp.recipes.recipe import Recipe
    from npp.recipes.scale import ScaleRule
else:
    __getattr__, __dir__ = exported_when_touched(
        __name__,
        {
            "CodecInput": "parts",
            "Parts": "parts",
            "Recipe": "recipe",
            "ScaleRule": "scale",
        },
    )

__all__ = ["CodecInput", "Parts", "Recipe", "ScaleRule"]
