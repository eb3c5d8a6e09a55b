"""A recipe's parts as its file has them."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from npp.allocation.allocator import Allocator
from npp.preprocessing.preprocessor import Preprocessor
from npp.recipes.scale import ScaleRule
from npp.restoration import Restorer
from npp.weight_files import Stored


def recipe_arguments(stored: Stored) -> dict[str, Any]:
    """What a stored recipe is built with; weights that it only names are put beside its own."""
    found = dict(stored.settings)
    weights = found.pop("allocator_weights", None)
    if weights is not None:
        stored.tensors.update(allocator_tensors(weights))
    if found.get("scale") is not None:
        found["scale"] = ScaleRule.from_mapping(found["scale"])
    for key, kind in (("preprocessor", Preprocessor), ("allocator", Allocator), ("restorer", Restorer)):
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
