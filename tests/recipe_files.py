"""A recipe for tests: no trained networks, but each part does something."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch

import npp
from npp.allocation import Allocator
from npp.recipes import Recipe, ScaleRule


@cache
def made_recipe() -> Recipe:
    """Half size from qp 30 on, a blur, a map that varies; qp 36."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        allocator = Allocator(width=16, depth=1, strength=3.0)
        torch.nn.init.normal_(allocator.network.leave.weight, std=0.5)
        torch.nn.init.normal_(allocator.network.level.weight, std=20)
    return Recipe(
        "test",
        scale=ScaleRule({30: 0.5}),
        preprocessor=npp.Preprocessor("blur", sigmas={22: 0.5, 44: 1.0}),
        allocator=allocator,
        options={"effort": 1, "tune": "machine"},
        qp=36,
        card="For tests.\nTwo lines.",
    ).eval()


def saved_recipe(folder: Path) -> str:
    """The path of its file."""
    path = folder / "test.safetensors"
    made_recipe().save(path)
    return str(path)
