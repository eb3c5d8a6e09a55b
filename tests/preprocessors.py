"""Small preprocessors for the tests, and pictures for them."""

from __future__ import annotations

from typing import Any

import torch

from npp import Preprocessor

SMALL: dict[str, dict[str, Any]] = {
    "gains": {"width": 8, "depth": 4},
    "unet": {"width": 2},
    "unet-adaptive": {"width": 2},
    "blur": {"sigmas": {20: 0.0, 40: 1.5}},
}
LEARNED = ["gains", "unet", "unet-adaptive"]


def make(network: str, strength: float = 0.3, **changes: Any) -> Preprocessor:
    """A small network away from its start, in evaluation mode."""
    preprocessor = Preprocessor(network, **{**SMALL[network], **changes}).eval()
    with torch.no_grad():
        for parameter in preprocessor.parameters():
            parameter += strength * torch.randn_like(parameter)
    return preprocessor


def pictures(count: int = 2, height: int = 40, width: int = 56) -> torch.Tensor:
    return 0.2 + 0.6 * torch.rand(count, 3, height, width)
