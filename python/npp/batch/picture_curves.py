"""Bits and losses of a picture at every qp, interpolated from files at a few qps."""

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
    """A range of qps in which a picture is coded at one size, and the files at a few of these qps.

    Attributes:
        first, last: the ends of the range.
        qps: those at which the picture is encoded, rising.
        sizes: bytes of the files at ``qps``; empty before they are made.
        losses: losses of a network in these files; empty without a network.
    """

    first: int
    last: int
    qps: Sequence[int]
    sizes: Sequence[int] = ()
    losses: Sequence[float] = ()

    def bits(self) -> list[float]:
        """Bits of the file at every qp of the range."""
        return self._at_every_qp([8 * size for size in self.sizes], RateCurve)

    def losses_from(self, least: float) -> list[float]:
        """Loss of the network at every qp of the range; losses below ``least`` count as ``least``."""
        return self._at_every_qp([max(loss, least) for loss in self.losses], LossCurve)

    def _at_every_qp(self, values: list[float], curve: type[RateCurve] | type[LossCurve]) -> list[float]:
        if len(self.qps) == 1:
            return values
        at = curve(self.qps, values).at
        return [at(qp) for qp in range(self.first, self.last + 1)]

    def as_json(self) -> dict[str, Any]:
        """The fields for JSON; the losses only if there are some."""
        fields = {"first": self.first, "last": self.last, "qps": list(self.qps), "bytes": list(self.sizes)}
        return {**fields, "losses": list(self.losses)} if self.losses else fields

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """The span from the fields that :meth:`as_json` returns.

        Raises:
            KeyError: a field is missing.
        """
        losses = fields.get("losses", ())
        return cls(fields["first"], fields["last"], fields["qps"], fields["bytes"], losses)


@dataclass(frozen=True)
class PictureCurve:
    """Bits and losses of a picture, sampled at a few qps.

    Attributes:
        pixels: number of pixels of all frames.
        spans: one for each range of qps; together they cover 0 to 51.
        sensitivity: log2 of the loss that a recipe's allocator predicts; ``None`` without an allocator.
    """

    pixels: int
    spans: Sequence[CurveSpan]
    sensitivity: float | None = None

    def bits(self) -> list[float]:
        """Bits (52,) of the file at every qp."""
        return [bits for span in self.spans for bits in span.bits()]

    def losses_from(self, least: float) -> list[float]:
        """Loss (52,) of the network at every qp; losses below ``least`` count as ``least``."""
        return [loss for span in self.spans for loss in span.losses_from(least)]

    def sampled_losses(self) -> list[float]:
        """Loss of the network in each file that was made; empty without a network."""
        return [loss for span in self.spans for loss in span.losses]

    def as_json(self) -> dict[str, Any]:
        """The fields for JSON; the sensitivity only if there is one."""
        fields = {"pixels": self.pixels, "pieces": [span.as_json() for span in self.spans]}
        return fields if self.sensitivity is None else {**fields, "sensitivity": self.sensitivity}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """The curve from the fields that :meth:`as_json` returns.

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
        height, width: size of the picture in pixels.
        rule: the recipe's rule for coding it smaller, if there is one.
        qps: those that are encoded, each in the range that it lies in.
    """
    ranges = [(0, MAX_QP)] if rule is None else rule.spans(height, width)
    return [CurveSpan(first, last, _qps_within(first, last, qps)) for first, last in ranges]


def _qps_within(first: int, last: int, qps: Sequence[int]) -> list[int]:
    """The qps that describe a curve between two; if they lie too close together, both ends instead."""
    within = sorted({min(max(qp, first), last) for qp in qps})
    return within if within[-1] - within[0] >= min(_LEAST_SPREAD, last - first) else sorted({first, last})


def bits_of(curves: Sequence[PictureCurve]) -> Floats:
    """Bits (N, 52) of the files of N pictures at every qp."""
    return np.array([curve.bits() for curve in curves])


def total_bits(curves: Sequence[PictureCurve], total_bytes: float | None, mean_bpp: float | None) -> float:
    """The most bits that the files of all sampled pictures may have together.

    Args:
        curves: one for each picture.
        total_bytes: total size of the files; ``None`` if ``mean_bpp`` is given.
        mean_bpp: total bits divided by the total number of pixels.
    """
    if total_bytes is not None:
        return 8.0 * total_bytes
    return (mean_bpp or 0.0) * sum(curve.pixels for curve in curves)


def losses_of(curves: Sequence[PictureCurve]) -> Floats:
    """Loss (N, 52) of the network at every qp, for the sampled pictures of one set.

    Losses that are tiny against those of the others are rounding, and are raised to a common least loss.
    """
    least = least_loss(_sampled_losses(curves))
    return np.array([curve.losses_from(least) for curve in curves])


def _sampled_losses(curves: Sequence[PictureCurve]) -> list[float]:
    return [loss for curve in curves for loss in curve.sampled_losses()]


def arguments_about_losses(curves: Sequence[PictureCurve]) -> dict[str, Any]:
    """Arguments of :func:`npp.share_bits` about the losses of pictures that were sampled in the same way.

    Empty if a network has no losses for any of them, so that the sizes alone decide.
    """
    if not curves:
        return {}
    if curves[0].sampled_losses():
        sure = max(_sampled_losses(curves)) > LEAST_SURE
        return {"divergence": losses_of(curves), "belief": SAMPLED_BELIEF} if sure else {}
    predicted = [curve.sensitivity for curve in curves if curve.sensitivity is not None]
    return {"sensitivity": expected_sensitivity(predicted)} if predicted else {}
