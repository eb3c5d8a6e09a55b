"""Bits shared over a set of pictures: each one's qp, so that the set loses least at its total bits."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from npp.allocation.qp_curves import doubles, positive_numbers
from npp.checks import MAX_QP, QP_COUNT, brief, lowest_and_highest_qp, number, whole_qp
from npp.pchip import Floats

#: Doublings of a picture's divergence per qp: squared error grows by 2^(1/3), and divergence about alike.
GROWTH = 1 / 3
#: The power that predicted sensitivities are raised to: predictions are poor for the pictures that lose
#: most, and taken as they are they cost more than they save (docs/research/choices.md).
PREDICTED_POWER = 0.4
#: The belief (see :func:`share_bits`) in losses that were measured on quick encodes.
SAMPLED_BELIEF = 0.5
_MOST_DOUBLINGS = 6.0  # beyond these no prediction is believed
_BISECTIONS = 60

#: The qps at which each picture is encoded to know its rate curve and its losses.
SAMPLED_QPS = (24, 34, 44)
#: The qps that :func:`npp.rate_curves` encodes. Beyond the last of the above a curve falls more steeply than
#: a straight line, so that the end is encoded too.
RATE_QPS = (*SAMPLED_QPS, MAX_QP)
SAMPLING_EFFORT = 1


@dataclass(frozen=True)
class SharedBits:
    """The qps that :func:`share_bits` chose.

    Attributes:
        qps: (N,) int64, the qp of each picture.
        bits: (N,) float64, what the rate curves say that it takes.
        slope: divergence that a bit is worth at the margin, the same for every picture.
    """

    qps: Tensor
    bits: Tensor
    slope: float

    @property
    def total_bits(self) -> float:
        """Bits of all pictures together."""
        return float(self.bits.sum())


def _table(name: str, values: Any, shape: tuple[int, ...] | None = None) -> Floats:
    found = doubles(name, values)
    if shape is not None and found.shape != shape:
        raise ValueError(f"{name} has shape {found.shape}; {shape} is needed")
    return positive_numbers(name, found)


def qp_limits(qps: Any) -> tuple[int, int]:
    """The lowest and the highest qp that may be chosen.

    Raises:
        ValueError: not two integers from 0 to 51, the lower one first.
    """
    return lowest_and_highest_qp("qps", _listed(qps), qps)


def sampled_qps(qps: Any) -> list[int]:
    """The qps that pictures are encoded at to know them at all qps, rising.

    Raises:
        ValueError: less than two different ones, or one that is no integer from 0 to 51.
    """
    given = _listed(qps)
    found = sorted({whole_qp(f"qps[{i}]", qp) for i, qp in enumerate(given or [])})
    if len(found) < 2:
        raise ValueError(
            f"qps must be at least two different ones, not {brief(qps if given is None else given)}"
        )
    return found


def _listed(qps: Any) -> list[Any] | None:
    """Several qps as a list; ``None`` where something else was given."""
    values = qps.tolist() if isinstance(qps, (Tensor, np.ndarray)) else qps
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        return None
    return list(values)


def _total(total_bits: Any) -> float:
    """A number of bits from a number or a tensor of one; it may be infinite.

    Raises:
        ValueError: it is something else.
    """
    given = total_bits.item() if isinstance(total_bits, Tensor) and total_bits.numel() == 1 else total_bits
    if isinstance(given, float) and given == math.inf:
        return given
    return number("total_bits", given, 0, math.inf)


def blended(measured: Floats, model: Floats, belief: float) -> Floats:
    """Losses between the measured ones, to the power of the belief, and the model's, to the rest."""
    found: Floats = measured**belief * model ** (1 - belief)
    return found


def losses_at(
    count: int,
    *,
    sensitivity: Tensor | npt.ArrayLike | None = None,
    divergence: Tensor | npt.ArrayLike | None = None,
    belief: float = 1.0,
    growth: float = GROWTH,
) -> Floats:
    """The loss (N, 52) of each of N pictures at each qp; the arguments are those of :func:`share_bits`."""
    if sensitivity is not None and divergence is not None:
        raise ValueError("sensitivity and divergence exclude each other")
    curve: Floats = np.exp2(number("growth", growth, 0.01, 4) * np.arange(QP_COUNT))
    believed = number("belief", belief, 0, 1)
    if divergence is not None:
        measured = _table("divergence", divergence, (count, QP_COUNT))
        losses = blended(measured, curve, believed)
    elif believed != 1:
        raise ValueError(f"belief is about divergence, which is not given; got {belief}")
    else:
        factor = np.ones(count) if sensitivity is None else _table("sensitivity", sensitivity, (count,))
        losses = factor[:, None] * curve
    return losses


class SharingTables(NamedTuple):
    """The checked tables by which the qps of a set are chosen.

    Attributes:
        bits: (N, 52) of each picture's file at every qp.
        losses: (N, 52) of each picture there.
        low, high: the qps that may be chosen.
    """

    bits: Floats
    losses: Floats
    low: int
    high: int


def sharing_tables(
    bits: Tensor | npt.ArrayLike,
    qps: tuple[int, int],
    *,
    sensitivity: Tensor | npt.ArrayLike | None,
    divergence: Tensor | npt.ArrayLike | None,
    belief: float,
    growth: float,
) -> SharingTables:
    """Makes tables of the arguments of :func:`share_bits`, without the total.

    Raises:
        ValueError: wrong shapes or values.
    """
    low, high = qp_limits(qps)
    rates = _table("bits", bits)
    if rates.ndim != 2 or rates.shape[1] != QP_COUNT or not len(rates):
        raise ValueError(f"bits has shape {rates.shape}; (N, {QP_COUNT}), one at each qp, is needed")
    losses = losses_at(
        len(rates), sensitivity=sensitivity, divergence=divergence, belief=belief, growth=growth
    )
    return SharingTables(rates, losses, low, high)


def expected_sensitivity(predicted: Tensor | npt.ArrayLike) -> Floats:
    """The factors by which pictures of a set are expected to lose more than others, for :func:`share_bits`.

    Args:
        predicted: (N,) log2 of what an allocator predicts, :meth:`npp.Allocator.sensitivity`; not believed
            altogether.

    Returns:
        (N,) factors, 1 for the middle one.

    Raises:
        ValueError: not one finite number for each picture.
    """
    logarithms = doubles("predicted", predicted)
    if logarithms.ndim != 1 or not np.isfinite(logarithms).all():
        raise ValueError(f"predicted must hold a finite number for each picture, not {logarithms.tolist()}")
    doublings = np.clip(logarithms - np.median(logarithms), -_MOST_DOUBLINGS, _MOST_DOUBLINGS)
    found: Floats = np.exp2(PREDICTED_POWER * doublings)
    return found


def _choice(losses: Floats, bits: Floats, slope: float) -> npt.NDArray[np.int64]:
    """The index for each picture where loss + slope * bits is least; of equals the one of fewest bits."""
    cost = losses + slope * bits
    # Bits fall with the qp, so the last of equal costs is the cheapest.
    found: npt.NDArray[np.int64] = losses.shape[1] - 1 - np.argmin(cost[:, ::-1], axis=1)
    return found


def _spend_rest(
    places: npt.NDArray[np.int64], losses: Floats, bits: Floats, budget: float
) -> npt.NDArray[np.int64]:
    """Takes single steps to lower qps, best value first, as long as they fit into the budget."""
    places = places.copy()
    rows = np.arange(len(places))
    left = budget - bits[rows, places].sum()
    while True:
        lower = np.maximum(places - 1, 0)
        price = bits[rows, lower] - bits[rows, places]
        gain = losses[rows, places] - losses[rows, lower]
        possible = (places > 0) & (price <= left) & (gain > 0)
        if not possible.any():
            return places
        value = np.where(possible, gain / np.maximum(price, 1e-9), -math.inf)
        best = int(value.argmax())
        places[best] -= 1
        left -= price[best]


def _own_bits(places: npt.NDArray[np.int64], bits: Floats) -> npt.NDArray[np.int64]:
    """Moves each place to the first one of as many bits, which loses no more.

    Bits were made to fall with the qp, so that this is the qp whose file really takes them.
    """
    same = bits == bits[np.arange(len(places)), places][:, None]
    found: npt.NDArray[np.int64] = np.argmax(same, axis=1)
    return found


def share_bits(
    bits: Tensor | npt.ArrayLike,
    total_bits: float | Tensor,
    *,
    sensitivity: Tensor | npt.ArrayLike | None = None,
    divergence: Tensor | npt.ArrayLike | None = None,
    belief: float = 1.0,
    growth: float = GROWTH,
    qps: tuple[int, int] = (0, MAX_QP),
) -> SharedBits:
    """Chooses the qp of each picture of a set, so that their mean divergence is least at their bits.

    Each picture gets the qp at which one bit more would save as much divergence as in every other picture.
    How much a picture loses at a qp is best measured (``divergence``, see :func:`npp.loss_curves`); otherwise
    it is modelled as ``sensitivity * 2^(growth * qp)``, and without ``sensitivity`` all pictures are taken to
    be alike, so that only the rate curves decide.

    Args:
        bits: (N, 52) bits of each picture's file at qp 0 to 51; see :func:`npp.rate_curves`.
        total_bits: the most that all files may take together.
        sensitivity: (N,) how much more than others a picture loses, on any scale. Of values measured at one
            qp take the square root, for the extreme ones are partly extreme by chance; for predicted ones
            there is :func:`npp.allocation.expected_sensitivity`.
        divergence: (N, 52) measured loss at each qp instead.
        belief: from 0, the model alone, to 1, the measured loss alone: that loss is raised to this power and
            the model to the rest. 1 where the very files were looked at by the network that counts; one half
            where it was other files of these pictures, or another network (docs/research/choices.md).
        growth: doublings of the divergence a qp, in the model.
        qps: lowest and highest that may be chosen.

    Returns:
        :class:`SharedBits`; its total is at most ``total_bits``.

    Raises:
        ValueError: wrong shapes or values, or not even the highest qp fits; the message says what is needed.
    """
    total = _total(total_bits)
    tables = sharing_tables(
        bits, qps, sensitivity=sensitivity, divergence=divergence, belief=belief, growth=growth
    )
    low, high = tables.low, tables.high
    rates = np.minimum.accumulate(tables.bits[:, low : high + 1], axis=1)
    losses = tables.losses[:, low : high + 1]
    scale = float(losses.max())  # so that no scale of losses is too large or too small
    losses = np.maximum(np.maximum.accumulate(losses / scale, axis=1), np.finfo(np.float64).tiny)
    least = float(rates[:, -1].sum())
    if total < least:
        raise ValueError(
            f"total_bits must be at least {least:.0f}, what qp {high} takes by these bits, not {total:g}"
        )
    slope = _slope(losses, rates, total)
    rows = np.arange(len(rates))
    places = _own_bits(_spend_rest(_choice(losses, rates, slope), losses, rates, total), rates)
    taken = torch.from_numpy(rates[rows, places].copy())
    return SharedBits(torch.from_numpy(places + low), taken, slope * scale)


def _slope(losses: Floats, bits: Floats, budget: float) -> float:
    """The least slope whose choice fits into the budget, by bisection over its logarithm."""
    rows = np.arange(len(bits))

    def fits(log_slope: float) -> bool:
        return bool(bits[rows, _choice(losses, bits, math.exp(log_slope))].sum() <= budget)

    spread = np.log(losses.max()) - np.log(bits.min())
    low, high = float(np.log(losses.min()) - np.log(bits.max())) - 20, float(spread) + 20
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return math.exp(high)
