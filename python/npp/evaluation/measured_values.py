"""Measurements of all pictures, by arm and quality."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from npp.evaluation.judges import Axis
from npp.evaluation.truth import Matches
from npp.files import write_file
from npp.pchip import Floats

#: Stands in place of a network's label for qualities of the decoded picture itself.
PICTURE = "picture"


@dataclass(frozen=True)
class ArmMeasurements:
    """The measurements of one arm.

    Attributes:
        sizes: (qps, pictures) bytes of the whole files.
        bpp: (qps, pictures) bits per pixel.
        scores: (qps, pictures) by network's label and score's name.
        metrics: (qps,) metrics of all pictures together, by network's label and metric's name.
        sensitivity: (qps, pictures) log2 of the loss of each picture relative to others; ``None`` unless
            the arm's map gives it.
        matches: (qps,) matches with real labels, by network's label.
    """

    sizes: npt.NDArray[np.int64]
    bpp: Floats
    scores: Mapping[tuple[str, str], Floats]
    metrics: Mapping[tuple[str, str], Floats]
    sensitivity: Floats | None = None
    matches: Mapping[str, tuple[Matches, ...]] = field(default_factory=dict)

    def points(self, axis: Axis) -> Floats:
        """(qps,) values of a quality, as they are."""
        key = axis.network, axis.name
        return self.metrics[key] if axis.dataset else self.scores[key].mean(axis=1)


@dataclass(frozen=True)
class Measurements:
    """All arms on the same pictures.

    Attributes:
        qps: the measured qps, rising.
        pictures: the photos' paths below their folder, in the order of the arrays.
        axes: the qualities that were measured.
        arms: the arms by name.
        clean: qualities of the originals against real labels, by network's label and name.
    """

    qps: tuple[int, ...]
    pictures: tuple[str, ...]
    axes: tuple[Axis, ...]
    arms: Mapping[str, ArmMeasurements]
    clean: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def primary(self, network: str) -> Axis:
        """The quality on which comparisons for a network are quoted."""
        return next(axis for axis in self.axes if axis.network == network and axis.primary)

    def logarithmic(self, axis: Axis) -> bool:
        """Whether a quality has a logarithmic axis: lower is better, and all values are above 0."""
        return not axis.higher_is_better and all((arm.points(axis) > 0).all() for arm in self.arms.values())

    def save(self, path: Path) -> None:
        """Writes everything as a compressed .npz; names are ``arm/bpp``, ``arm/network/score``."""
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "qps": np.array(self.qps),
            "pictures": np.array(self.pictures),
        }
        for name, arm in self.arms.items():
            arrays[f"{name}/bytes"], arrays[f"{name}/bpp"] = arm.sizes, arm.bpp
            for (network, score), values in (*arm.scores.items(), *arm.metrics.items()):
                arrays[f"{name}/{network}/{score}"] = values
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        write_file(path, buffer.getvalue(), force=True)
