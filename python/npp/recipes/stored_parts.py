"""A recipe's parts as its file has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from npp.allocation.allocator import Allocator
from npp.preprocessing.preprocessor import Preprocessor
from npp.recipes.scale import ScaleRule


def recipe_arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a stored recipe is built with."""
    found = dict(settings)
    if found.get("scale") is not None:
        found["scale"] = ScaleRule.from_mapping(found["scale"])
    for key, kind in (("preprocessor", Preprocessor), ("allocator", Allocator)):
        if found.get(key) is not None:
            found[key] = kind(**found[key])
    return found


def allocator_tensors(weights: str) -> dict[str, Tensor]:
    """A named allocator's weights as those of a recipe."""
    if weights not in Allocator.available():
        known = ", ".join(Allocator.available())
        raise ValueError(f"allocator_weights must be one of {known}, not {weights!r}")
    network = Allocator.load(weights).network
    return {f"allocator.network.{name}": tensor for name, tensor in network.state_dict().items()}
