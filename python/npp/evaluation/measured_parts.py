"""What is measured of one batch; stored as a dict of its attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from npp.evaluation.measured_values import PICTURE

#: Names of values beside the networks' scores.
SIZES, BPP, SENSITIVITY = (PICTURE, "bytes"), (PICTURE, "bpp"), (PICTURE, "sensitivity")


@dataclass(frozen=True)
class CleanPart:
    """Networks' answers to the originals.

    Attributes:
        scores: (N,) against real labels, by network's label and name.
        predictions: of each picture by network's label, where a metric needs them.
    """

    scores: Mapping[str, Mapping[str, Tensor]]
    predictions: Mapping[str, list[Any]]


@dataclass(frozen=True)
class ArmPart:
    """An arm's files at one qp.

    Attributes:
        sizes: (N,) bytes.
        bpp: (N,).
        scores: (N,) by network's label, or :data:`PICTURE`, and name.
        predictions: of each picture by network's label, where a metric needs them.
        sensitivity: (N,), or ``None`` where no map says it.
    """

    sizes: Tensor
    bpp: Tensor
    scores: Mapping[str, Mapping[str, Tensor]]
    predictions: Mapping[str, list[Any]]
    sensitivity: Tensor | None

    def values_by_name(self) -> dict[tuple[str, str], Tensor]:
        """Everything that each picture has one number of, by network and name."""
        values = {SIZES: self.sizes, BPP: self.bpp}
        if self.sensitivity is not None:
            values[SENSITIVITY] = self.sensitivity
        for network, scores in self.scores.items():
            values |= {(network, name): score for name, score in scores.items()}
        return values
