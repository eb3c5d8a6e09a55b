"""A recipe's parts in the form in which its file stores them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from npp.allocation.allocator import Allocator
from npp.checks import brief, one_of
from npp.preprocessing.preprocessor import Preprocessor
from npp.recipes.parts import ARGUMENTS
from npp.recipes.scale import ScaleRule
from npp.restoration import Restorer
from npp.weight_files import Stored

_KINDS = {"scale": ScaleRule, "preprocessor": Preprocessor, "allocator": Allocator, "restorer": Restorer}

_KIND_NAMES = {
    "scale": "an npp.recipes.ScaleRule, such as ScaleRule({0: 0.5})",
    "preprocessor": "an npp.Preprocessor",
    "allocator": "an npp.Allocator",
    "restorer": "an npp.Restorer",
}


def check_kinds(**parts: object) -> None:
    """Raises TypeError for a part that is not of its kind."""
    for name, part in parts.items():
        kind = _KINDS[name]
        if part is not None and not isinstance(part, kind):
            without = _left_out(name) if part is False else ""
            raise TypeError(f"{name} must be {_KIND_NAMES[name]}, or None, not {brief(part)}{without}")


def _left_out(argument: str) -> str:
    """For messages: how a recipe is made without a part, and how a call does without it."""
    part = next(part for part, name in ARGUMENTS.items() if name == argument)
    return f"; None makes a recipe without it, and parts=npp.recipes.Parts({part}=False) a call"


def part_settings(
    scale: ScaleRule | None,
    preprocessor: Preprocessor | None,
    allocator: Allocator | None,
    restorer: Restorer | None,
) -> dict[str, Any]:
    """The settings of a recipe's parts as a file holds them, for :func:`recipe_arguments`."""
    parts: dict[str, Any] = {"scale": None if scale is None else scale.as_mapping()}
    if preprocessor is not None:
        parts["preprocessor"] = {"network": preprocessor.network, **preprocessor.settings}
    if allocator is not None:
        parts["allocator"] = allocator.settings.as_mapping()
    if restorer is not None:
        parts["restorer"] = restorer.settings
    return parts


def recipe_arguments(stored: Stored) -> dict[str, Any]:
    """The arguments that a stored recipe is built with; weights that it only names are put beside its own."""
    arguments = dict(stored.settings)
    weights = arguments.pop("allocator_weights", None)
    if weights is not None:
        stored.tensors.update(allocator_tensors(weights))
    if not isinstance(arguments.get("options") or {}, dict):
        raise ValueError(
            f"options must be a mapping of the codec's options, not {brief(arguments['options'])}"
        )
    if arguments.get("scale") is not None:
        arguments["scale"] = ScaleRule.from_mapping(arguments["scale"])
    for key, kind in (("preprocessor", Preprocessor), ("allocator", Allocator), ("restorer", Restorer)):
        if arguments.get(key) is not None:
            arguments[key] = kind(**arguments[key])
    return arguments


def leave_out_named(tensors: dict[str, Tensor], weights: str) -> None:
    """Removes a named allocator's weights from those of a recipe.

    Raises:
        ValueError: the recipe's allocator has others, or there is no such name.
    """
    for name, tensor in allocator_tensors(weights).items():
        if name not in tensors or not torch.equal(tensors.pop(name).cpu(), tensor):
            raise ValueError(f"allocator_weights {weights!r} are not the allocator's")


def allocator_tensors(weights: str) -> dict[str, Tensor]:
    """A named allocator's weights as those of a recipe."""
    one_of("allocator_weights", weights, Allocator.available())
    network = Allocator.load(weights).network
    return {f"allocator.network.{name}": tensor for name, tensor in network.state_dict().items()}
