"""Measurements of one batch, which are stored as dicts of their attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from npp.evaluation.measured_values import PICTURE

#: Names of values that are no scores of networks.
SIZES, BPP, SENSITIVITY = (PICTURE, "bytes"), (PICTURE, "bpp"), (PICTURE, "sensitivity")


@dataclass(frozen=True)
class CleanPart:
    """Outputs of the networks for the originals.

    Attributes:
        scores: (N,) scores against real labels, by network's label and score's name.
        predictions: one for each picture, by network's label, if a metric needs them.
    """

    scores: Mapping[str, Mapping[str, Tensor]]
    predictions: Mapping[str, list[Any]]


@dataclass(frozen=True)
class ArmPart:
    """An arm's files at one qp.

    Attributes:
        sizes: (N,) bytes of the files.
        bpp: (N,) bits per pixel.
        scores: (N,) scores by network's label, or :data:`PICTURE`, and name.
        predictions: one for each picture, by network's label, if a metric needs them.
        sensitivity: (N,) sensitivities, or ``None`` if no map gives them.
    """

    sizes: Tensor
    bpp: Tensor
    scores: Mapping[str, Mapping[str, Tensor]]
    predictions: Mapping[str, list[Any]]
    sensitivity: Tensor | None

    def values_by_name(self) -> dict[tuple[str, str], Tensor]:
        """All values that are one number for each picture, by network and name."""
        values = {SIZES: self.sizes, BPP: self.bpp}
        if self.sensitivity is not None:
            values[SENSITIVITY] = self.sensitivity
        for network, scores in self.scores.items():
            values |= {(network, name): score for name, score in scores.items()}
        return values
