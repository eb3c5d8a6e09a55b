"""Scores that no curve can be drawn of are told as soon as they are measured, with whose they are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from npp.config.yaml_files import ConfigError
from npp.evaluation.judges import Judge

#: By how much an error may come out below 0.
ROUNDING = 1e-5


def check_finite(network: Judge, scores: Mapping[str, Tensor], paths: Sequence[Path]) -> None:
    """Looks through a network's scores (N,) by name of these photos.

    Raises:
        ConfigError: one is NaN or infinite; it names network, score and photo.
    """
    for name, values in scores.items():
        for path, value in zip(paths, values.tolist(), strict=True):
            if not math.isfinite(value):
                raise ConfigError(
                    f"network {network.label}: the score {name!r} must be finite, not {value} "
                    f"(with {path.name})"
                )


def check_floor(network: Judge, scores: Mapping[str, Tensor], paths: Sequence[Path]) -> None:
    """Looks at a network's scores (N,) by name of the photos as they are, before anything is coded.

    Raises:
        ConfigError: one of which less is better is below 0, where it has no logarithm.
    """
    for name, values in scores.items():
        mean = float(values.double().mean())
        if not network.task.higher_is_better[name] and mean < -ROUNDING:
            photos = ", ".join(path.name for path in paths)
            raise ConfigError(
                f"network {network.label}: the score {name!r}, of which less is better, must be 0 or more, "
                f"not {mean:.4g} (with {photos}): curves go by its logarithm; add a constant to it"
            )
