"""The settings that may be chosen for a recipe after its training, as YAML gives them (docs/training.md)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import npp.checks as checks
from npp.config.typed import fill_sections
from npp.recipes import ScaleRule
from npp.recipes.scale import LEAST_FACTOR


@dataclass(frozen=True)
class ScaleChoices:
    """Sizes that pictures may be coded at.

    Attributes:
        factors: factors that shrink both sides, at least one, 0.1 to 1; 1 is tried in any case.
        input_size, least: those of the rule, see :class:`npp.recipes.ScaleRule`.
    """

    factors: tuple[float, ...] = (1.0, 0.75, 0.5)
    input_size: int | None = None
    least: float = 0.75

    def __post_init__(self) -> None:
        if not self.factors:
            raise ValueError(
                f"factors must hold a number from {LEAST_FACTOR:g} to 1, not []; without scales the recipe's "
                "own size stays"
            )
        for factor in self.factors:
            checks.number("factors", factor, LEAST_FACTOR, 1)
        object.__setattr__(self, "factors", tuple(sorted({1.0, *self.factors}, reverse=True)))
        self._empty()

    def _empty(self) -> ScaleRule:
        """The rule without factors."""
        return ScaleRule({}, self.input_size, self.least)

    def rule(self, factors: dict[float, float]) -> ScaleRule | None:
        """The rule with these factors by qp; ``None`` where all pictures keep their size."""
        return replace(self._empty(), factors=factors) if min(factors.values(), default=1.0) < 1 else None


@dataclass(frozen=True)
class ChoiceConfig:
    """The choices for a recipe after its training, of which the best is found on the validation photos.

    Attributes:
        strengths: strengths of the map, at least one, 0 to 16; no map at all is tried too. They mean nothing
            without an allocator.
        limits: greatest offsets of the map, 0 to 51; ``None`` keeps the allocator's own.
        scales: sizes to choose from for each qp; ``None`` keeps the recipe's own.
        qps: the qps to measure at, at least two, kept rising and each once; ``None`` for those of the
            validation.
        photos: the greatest number of photos; ``None`` for all that validate.
    """

    strengths: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    limits: tuple[float, ...] | None = None
    scales: ScaleChoices | None = None
    qps: tuple[int, ...] | None = None
    photos: int | None = None

    def __post_init__(self) -> None:
        fill_sections(self)
        if not self.strengths:
            raise ValueError("strengths must hold a number from 0 to 16, not []; 0 alone is no map")
        for strength in self.strengths:
            checks.number("strengths", strength, 0, 16)
        for limit in self.limits or ():
            checks.number("limits", limit, 0, checks.MAX_QP)
        if self.limits == ():
            raise ValueError("limits must hold a number, or be null for the allocator's own; not []")
        if self.qps is not None:
            object.__setattr__(self, "qps", checks.qps("qps", self.qps, fewest=2))
        checks.whole_at_least(self, 1, "photos")
