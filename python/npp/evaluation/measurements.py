"""What was measured: values of every picture at every qp in every arm."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from npp.evaluation.networks import Axis
from npp.evaluation.pchip import Floats
from npp.files import write_file

#: In place of a network's label: qualities of the decoded picture itself.
PICTURE = "picture"


@dataclass(frozen=True)
class ArmMeasurements:
    """One arm.

    Attributes:
        sizes: (qps, pictures) bytes of the whole files.
        bpp: (qps, pictures).
        scores: (qps, pictures) by network's label and score's name.
        metrics: (qps,) of all pictures together, by network's label and metric's name.
    """

    sizes: npt.NDArray[np.int64]
    bpp: Floats
    scores: Mapping[tuple[str, str], Floats]
    metrics: Mapping[tuple[str, str], Floats]

    def points(self, axis: Axis) -> Floats:
        """(qps,) values of a quality, as they are."""
        key = axis.network, axis.name
        return self.metrics[key] if axis.dataset else self.scores[key].mean(axis=1)


@dataclass(frozen=True)
class Measurements:
    """All arms on the same pictures.

    Attributes:
        qps: rising.
        pictures: the files' names, in the order of the arrays.
        axes: the qualities that were measured.
        arms: by name.
    """

    qps: tuple[int, ...]
    pictures: tuple[str, ...]
    axes: tuple[Axis, ...]
    arms: Mapping[str, ArmMeasurements]

    def primary(self, network: str) -> Axis:
        """The quality on which a network's comparisons are quoted."""
        return next(axis for axis in self.axes if axis.network == network and axis.primary)

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
