"""Checks, as soon as scores are measured, that curves can be drawn of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

from npp.checks import brief
from npp.config.yaml_files import ConfigError
from npp.evaluation.judges import Judge
from npp.evaluation.real_labels import TRUE_NAMES

#: Rounding may bring an error this far below 0.
ROUNDING = 1e-5


def directions(network: Judge) -> dict[str, bool]:
    """Whether higher is better, by name of a network's scores and metrics, also those against real labels.

    Raises:
        ConfigError: the task of the network has no such table.
    """
    table = getattr(network.task, "higher_is_better", None)
    if not isinstance(table, Mapping):
        raise ConfigError(
            f"network {network.label}: higher_is_better of its task must be True or False by name of scores "
            f"and metrics, not {brief(table)}"
        )
    return {**table, **{TRUE_NAMES[name]: up for name, up in table.items() if name in TRUE_NAMES}}


def check_directions(network: Judge, names: Iterable[str]) -> None:
    """Raises ConfigError unless a network's task says which direction of these scores is better.

    Raises:
        ConfigError: it does not; the message names the network, the score and the known names.
    """
    table = directions(network)
    for name in names:
        if not isinstance(table.get(name), bool):
            has = ", ".join(map(repr, table)) or "nothing"
            description = brief(table[name]) if name in table else f"missing; there is {has}"
            raise ConfigError(
                f"network {network.label}: higher_is_better[{name!r}] of its task must be True or False, "
                f"and is {description}"
            )


def check_scores_finite(network: Judge, scores: Mapping[str, Tensor], photos: Sequence[str]) -> None:
    """Raises ConfigError unless a network's scores (N,) by name are finite.

    Raises:
        ConfigError: a score is NaN or infinite; the message names network, score and photo.
    """
    for name, values in scores.items():
        for photo, value in zip(photos, values.tolist(), strict=True):
            if not math.isfinite(value):
                raise ConfigError(
                    f"network {network.label}: the score {name!r} must be finite, not {value} (with {photo})"
                )


def check_scores_floor(network: Judge, scores: Mapping[str, Tensor], photos: Sequence[str]) -> None:
    """Raises ConfigError unless scores (N,) of the original photos of which lower is better are at least 0.

    Raises:
        ConfigError: the mean of a score of which lower is better is below 0.
    """
    table = directions(network)
    for name, values in scores.items():
        mean = float(values.double().mean())
        if not table[name] and mean < -ROUNDING:
            raise ConfigError(
                f"network {network.label}: the score {name!r}, of which less is better, must be 0 or more, "
                f"not {mean:.4g} (with {', '.join(photos)}): curves go by its logarithm; add a constant to it"
            )
