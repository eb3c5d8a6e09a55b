"""Figures that stand within sentences of the documentation, from docs/results."""

from __future__ import annotations

from typing import Any

from tables import load

_UNSEEN = "efficientnet-lite2"


def _effort(effort: int) -> dict[str, Any]:
    return next(row for row in load("efforts")["rungs"] if row["effort"] == effort)


def effort_1_ms() -> str:
    """Milliseconds a megapixel and thread."""
    return f"{_effort(1)['one_thread_ms_per_mp']:.0f}"


def effort_8_ms() -> str:
    """The same of the default."""
    return f"{_effort(8)['one_thread_ms_per_mp']:.0f}"


def effort_1_time() -> str:
    """Percent of the time that the default effort takes."""
    part = _effort(1)["one_thread_ms_per_mp"] / _effort(8)["one_thread_ms_per_mp"]
    return f"{100 * part:.0f} %"


def effort_1_bits() -> str:
    """Percent more bits than the default effort at equal PSNR of the luma, both against bpgenc's."""
    more = (1 + _effort(1)["bd_rate_y"] / 100) / (1 + _effort(8)["bd_rate_y"] / 100) - 1
    return f"{100 * more:.0f} %"


def _unseen(arm: str) -> dict[str, Any]:
    """What an arm saves a classifier that took no part."""
    for row in load("recipes_classification/summary")["comparisons"]:
        if (row["arm"], row["against"], row["network"], row["quality"]) == (arm, "bpg", _UNSEEN, "kl"):
            return dict(row)
    raise KeyError(arm)


def unseen_classifier() -> str:
    """BD-rate of the recipe."""
    return f"{_unseen('recipe')['bd_rate']:.0f} %"


def unseen_classifier_interval() -> str:
    """Its interval."""
    row = _unseen("recipe")
    return f"{row['low']:.0f} to {row['high']:.0f} %"


def unseen_classifier_settings() -> str:
    """The part of it that is settings of the encoder."""
    return f"{-_unseen('machine')['bd_rate']:.0f} points"


FIGURES = (
    effort_1_ms,
    effort_8_ms,
    effort_1_time,
    effort_1_bits,
    unseen_classifier,
    unseen_classifier_interval,
    unseen_classifier_settings,
)
