"""A recipe that is used for many files, with a choice of its parts."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import Any

import torch

from npp.allocation.allocator import Allocator
from npp.allocation.allocator_network import AllocatorNetwork
from npp.allocation.remembering_allocator import RememberingAllocator
from npp.codec.errors import EncodeError
from npp.codec.image_inputs import CodecImage, SingleImage
from npp.codec.metadata import Metadata
from npp.config.digests import hash_state
from npp.recipes.option_checks import RECIPE_ARGUMENTS
from npp.recipes.parts import ALL_PARTS, Parts
from npp.recipes.picture_floats import as_floats
from npp.recipes.recipe import Recipe


@dataclass(frozen=True)
class RecipeUse:
    """A recipe and the parts of it that are used.

    Attributes:
        recipe: the recipe, in evaluation mode and shared by all threads.
        parts: which of its parts are used.
        name: its name in reports.
    """

    recipe: Recipe
    parts: Parts
    name: str

    def used(self) -> list[str]:
        """Names of the parts that the recipe has and that are used."""
        uses = {
            "scale": self.parts.scale and self.recipe.scale is not None,
            "filter": self.parts.filter and self.recipe.preprocessor is not None,
            "qp_map": self.parts.qp_map and self.recipe.allocator is not None,
            "restorer": self.parts.restorer and self.recipe.restorer is not None,
        }
        return [name for name, is_used in uses.items() if is_used]

    def used_in_coding(self) -> list[str]:
        """The used parts that affect the files: all but the restorer, which comes after the decoder."""
        return [name for name in self.used() if name != "restorer"]

    def for_several_qps(self) -> RecipeUse:
        """This use for a search over qps, see :func:`for_several_qps`."""
        return replace(self, recipe=for_several_qps(self.recipe, self.parts))

    def encode(self, frame: SingleImage, qp: int, metadata: Metadata, options: dict[str, Any]) -> bytes:
        """The file of a still."""
        file: bytes = self.recipe.encode(
            frame, qp, parts=self.parts, metadata=metadata, threads=1, errors="raise", **options
        )
        return file

    @torch.no_grad()
    def sensitivity(self, frame: SingleImage) -> float:
        """log2 of the loss, up to a constant, that the recipe's allocator predicts for a picture.

        The allocator is asked at the recipe's own qp, for pictures can only be compared at one qp.
        """
        allocator = self.recipe.allocator
        assert allocator is not None
        x = as_floats(CodecImage(frame, "image"))
        prepared = self.recipe.prepare(x, self.recipe.qp, replace(self.parts, qp_map=False)).x
        sensitivity = float(allocator.sensitivity(prepared, self.recipe.qp))
        if not math.isfinite(sensitivity):
            raise EncodeError(f"the recipe's allocator predicts a sensitivity of {sensitivity}")
        return sensitivity

    def as_json(self) -> dict[str, Any]:
        """The fields of the report about the recipe."""
        return {"recipe": self.name, "parts": self.used_in_coding()}

    def digest(self) -> str:
        """Digest of the recipe's weights and settings and of the parts that are used."""
        description = {
            "scale": None if self.recipe.scale is None else self.recipe.scale.as_mapping(),
            "options": self.recipe.options,
            "allocator": None
            if self.recipe.allocator is None
            else self.recipe.allocator.settings.as_mapping(),
            "parts": self.used(),
        }
        return hash_state(self.recipe, json.dumps(description, sort_keys=True))


def for_several_qps(recipe: Recipe, parts: Parts = ALL_PARTS) -> Recipe:
    """A recipe for a search that codes the same pictures at several qps: its files are the same to the bit.

    Its allocator runs once for each picture and each size at which that is coded. With a filter, whose output
    depends on the qp, the allocator gets another picture at each qp, and the recipe is returned as it is.

    Args:
        recipe: its networks are shared with the new one, which is to be dropped after the search.
        parts: the parts that are used.
    """
    is_filtered = parts.filter and recipe.preprocessor is not None
    allocator = recipe.allocator
    if not parts.qp_map or is_filtered or allocator is None or _is_changed(recipe, allocator):
        return recipe
    arguments: dict[str, Any] = {name: getattr(recipe, name) for name in RECIPE_ARGUMENTS}
    searched = Recipe(**{**arguments, "allocator": RememberingAllocator(allocator)})
    searched.training = recipe.training  # its own flag alone, for the networks belong to the other recipe too
    return searched


def _is_changed(recipe: Recipe, allocator: Allocator) -> bool:
    """Whether a subclass, a replaced method or a hook changes what a recipe or its allocator does."""
    kinds = {recipe: Recipe, allocator: Allocator, allocator.network: AllocatorNetwork}
    return any(
        type(module) is not kind
        or module._forward_hooks
        or module._forward_pre_hooks
        or not vars(module).keys().isdisjoint(("forward", "encode", "prepare"))
        for module, kind in kinds.items()
    )


def asks_allocator(use: RecipeUse | None, asked: bool | None, refusal: str) -> bool:
    """Whether pictures that share bits are weighted by the sensitivity that a recipe's allocator predicts.

    Args:
        use: the recipe, if there is one.
        asked: whether this is wanted; ``None``: if the recipe has an allocator.
        refusal: the message if it is wanted and there is no allocator.

    Raises:
        ValueError: it is wanted and there is no allocator; the message is ``refusal``.
    """
    has_allocator = use is not None and use.recipe.allocator is not None
    if asked and not has_allocator:
        raise ValueError(refusal)
    return has_allocator and asked is not False
