"""Bits and losses of a picture at every qp, by the files that were made of it at a few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import Self

from npp.allocation.qp_curves import LEAST_SURE, LossCurve, RateCurve, least_loss
from npp.allocation.sharing import SAMPLED_BELIEF, SAMPLED_QPS, expected_sensitivity
from npp.checks import MAX_QP
from npp.pchip import Floats
from npp.recipes.scale import ScaleRule

_LEAST_SPREAD = 8  # qps between the first and the last that describe a curve


@dataclass(frozen=True)
class CurveSpan:
    """A range of qps in which a picture is coded at one size, and its files at those that describe it.

    Attributes:
        first, last: qps of the range.
        qps: that are encoded, rising.
        sizes: bytes of the files at these; empty before they are made.
        losses: what a network loses in them; empty where none has looked.
    """

    first: int
    last: int
    qps: Sequence[int]
    sizes: Sequence[int] = ()
    losses: Sequence[float] = ()

    def bits(self) -> list[float]:
        """Of the files at every qp of the range."""
        return self._at_every_qp([8 * size for size in self.sizes], RateCurve)

    def losses_from(self, least: float) -> list[float]:
        """What the network loses at every qp of the range, where less than ``least`` counts as that."""
        return self._at_every_qp([max(loss, least) for loss in self.losses], LossCurve)

    def _at_every_qp(self, values: list[float], curve: type[RateCurve] | type[LossCurve]) -> list[float]:
        if len(self.qps) == 1:
            return values
        at = curve(self.qps, values).at
        return [at(qp) for qp in range(self.first, self.last + 1)]

    def as_json(self) -> dict[str, Any]:
        """The fields for JSON; those of losses only where there are any."""
        fields = {"first": self.first, "last": self.last, "qps": list(self.qps), "bytes": list(self.sizes)}
        return {**fields, "losses": list(self.losses)} if self.losses else fields

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """The range of the fields that :meth:`as_json` gives.

        Raises:
            KeyError: a field is missing.
        """
        losses = fields.get("losses", ())
        return cls(fields["first"], fields["last"], fields["qps"], fields["bytes"], losses)


@dataclass(frozen=True)
class PictureCurve:
    """What sampling has shown of a picture.

    Attributes:
        pixels: of all frames.
        spans: one for each range of qps, which follow each other from 0 to 51.
        sensitivity: log2 of what it loses, as a recipe's allocator predicts it; ``None`` without one.
    """

    pixels: int
    spans: Sequence[CurveSpan]
    sensitivity: float | None = None

    def bits(self) -> list[float]:
        """(52,) of the file at every qp."""
        return [bits for span in self.spans for bits in span.bits()]

    def losses_from(self, least: float) -> list[float]:
        """(52,) what the network loses at every qp, where less than ``least`` counts as that."""
        return [loss for span in self.spans for loss in span.losses_from(least)]

    def sampled_losses(self) -> list[float]:
        """What the network loses in each of the files that were made; empty where none has looked."""
        return [loss for span in self.spans for loss in span.losses]

    def as_json(self) -> dict[str, Any]:
        """The fields for JSON; the sensitivity only where there is one."""
        fields = {"pixels": self.pixels, "pieces": [span.as_json() for span in self.spans]}
        return fields if self.sensitivity is None else {**fields, "sensitivity": self.sensitivity}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """The curve of the fields that :meth:`as_json` gives.

        Raises:
            KeyError: a field is missing.
        """
        spans = [CurveSpan.from_json(piece) for piece in fields["pieces"]]
        return cls(fields["pixels"], spans, fields.get("sensitivity"))


def spans_to_sample(
    height: int, width: int, rule: ScaleRule | None, qps: Sequence[int] = SAMPLED_QPS
) -> list[CurveSpan]:
    """The ranges of qps in which a picture is coded at one size, each with the qps that describe it.

    Args:
        height, width: of the picture.
        rule: of the recipe that codes it smaller, if there is one.
        qps: that are encoded where they lie in a range.
    """
    ranges = [(0, MAX_QP)] if rule is None else rule.spans(height, width)
    return [CurveSpan(first, last, _qps_within(first, last, qps)) for first, last in ranges]


def _qps_within(first: int, last: int, qps: Sequence[int]) -> list[int]:
    """Qps that describe a curve from one to another; neighbours alone would say nothing of its ends."""
    within = sorted({min(max(qp, first), last) for qp in qps})
    return within if within[-1] - within[0] >= min(_LEAST_SPREAD, last - first) else sorted({first, last})


def bits_of(curves: Sequence[PictureCurve]) -> Floats:
    """(N, 52) bits of N pictures' files at every qp."""
    return np.array([curve.bits() for curve in curves])


def total_bits(curves: Sequence[PictureCurve], total_bytes: float | None, mean_bpp: float | None) -> float:
    """What the files of all sampled pictures may take together.

    Args:
        curves: of all pictures.
        total_bytes: of all files; ``None`` with ``mean_bpp``.
        mean_bpp: all bits for each pixel of all pictures.
    """
    if total_bytes is not None:
        return 8.0 * total_bytes
    return (mean_bpp or 0.0) * sum(curve.pixels for curve in curves)


def losses_of(curves: Sequence[PictureCurve]) -> Floats:
    """(N, 52) what the network loses at every qp of sampled pictures of one set.

    What is next to nothing against the others' losses is rounding, and counts as that.
    """
    least = least_loss(_sampled_losses(curves))
    return np.array([curve.losses_from(least) for curve in curves])


def _sampled_losses(curves: Sequence[PictureCurve]) -> list[float]:
    return [loss for curve in curves for loss in curve.sampled_losses()]


def arguments_about_losses(curves: Sequence[PictureCurve]) -> dict[str, Any]:
    """What :func:`npp.share_bits` is told of the losses of sampled pictures, all sampled in the same way.

    Nothing where a network lost nothing of any of them: then the sizes alone decide.
    """
    if not curves:
        return {}
    if curves[0].sampled_losses():
        sure = max(_sampled_losses(curves)) > LEAST_SURE
        return {"divergence": losses_of(curves), "belief": SAMPLED_BELIEF} if sure else {}
    predicted = [curve.sensitivity for curve in curves if curve.sensitivity is not None]
    return {"sensitivity": expected_sensitivity(predicted)} if predicted else {}
