"""A total shared over pictures that are coded a few at a time, and met whatever the files really take."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from npp.allocation.qp_curves import doubles
from npp.allocation.sharing import GROWTH, losses_at, qp_range, share_bits
from npp.checks import MAX_QP, number
from npp.pchip import Floats

_FIRST = 8  # pictures that tell how the curves relate to the files
_PART = 8  # then an eighth of what is left at a time
_CLOSE = 0.003  # of the total may be left
_FAR = 0.02  # of the total: worth coding many pictures once more
_TRIES = 24  # encodes to use the rest


class SharedStep(NamedTuple):
    """A picture to encode.

    Attributes:
        picture: its place in the set.
        qp: at which qp.
        most_bits: the file is kept if it takes no more; mostly infinite.
    """

    picture: int
    qp: int
    most_bits: float


class SharedBudget:
    """Chooses qps for a set as :func:`npp.share_bits` does while its files are written.

    The sizes that files really have correct the qps of those that follow, so that rate curves of a low effort
    are good enough; in the end single pictures are coded again a qp higher or lower until the total is met.
    The files of one :meth:`next` may be made in any order. It holds 52 numbers for each picture, and no
    pictures::

        budget = SharedBudget(npp.rate_curves(images), total_bits)
        while steps := budget.next():
            for step in steps:
                file = npp.encode(images[step.picture], step.qp)
                if budget.record(step, 8 * len(file)):
                    files[step.picture] = file

    Args:
        bits: (N, 52) as :func:`npp.rate_curves` gives them, right up to one factor for all.
        total_bits: the most that all files may take together.
        sensitivity, divergence, belief, growth, qps: as in :func:`npp.share_bits`.

    Raises:
        ValueError: wrong shapes or values.
    """

    def __init__(
        self,
        bits: Tensor | npt.ArrayLike,
        total_bits: float,
        *,
        sensitivity: Tensor | npt.ArrayLike | None = None,
        divergence: Tensor | npt.ArrayLike | None = None,
        belief: float = 1.0,
        growth: float = GROWTH,
        qps: tuple[int, int] = (0, MAX_QP),
    ) -> None:
        curves = doubles("bits", bits)
        total = number("total_bits", total_bits, 0, math.inf)
        self._low, self._high = qp_range(qps)
        given: dict[str, Any] = {
            "sensitivity": sensitivity,
            "divergence": divergence,
            "belief": belief,
            "growth": growth,
        }
        # This checks all; a total that is too small is only found out by the files themselves.
        share_bits(curves, max(total, float(curves.sum())), qps=qps, **given)
        self._losses = losses_at(len(curves), **given)
        chosen = slice(self._low, self._high + 1)
        self._losses[:, chosen] = np.maximum.accumulate(self._losses[:, chosen], axis=1)
        self._curves: Floats = np.minimum.accumulate(curves, axis=1)
        self._total = total
        # A part of any list of files is not like the rest of it: folders are sorted by something.
        self._rest: list[int] = np.random.default_rng(0).permutation(len(curves)).tolist()
        self._known: dict[tuple[int, int], float] = {}
        self._kept: dict[int, int] = {}
        self._last: dict[int, int] = {}  # qp of each picture's last file, kept or not
        self._begun = False
        self._reviews = 2
        self._tries = _TRIES

    @property
    def total_bits(self) -> float:
        """Bits of the files that are kept."""
        return sum(self._known[index, qp] for index, qp in self._kept.items())

    @property
    def qps(self) -> dict[int, int]:
        """The qp of each file that is kept, by picture."""
        return dict(self._kept)

    @property
    def left(self) -> int:
        """How many pictures have no file yet and were not dropped."""
        return len(self._rest)

    @property
    def least_bits(self) -> float:
        """What all pictures that were not dropped take at the highest qp, as far as is known.

        Files of that qp count as they are, those of other qps tell where their pictures' curves lie, and all
        of them how the curves of the rest do.
        """
        return float(self._expected([*self._rest, *self._kept])[:, self._high].sum())

    def next(self) -> list[SharedStep]:
        """What to encode, and to :meth:`record` or :meth:`drop` before the next call; empty at the end."""
        if not self._begun:
            self._begun = True
            return self._steps(self._rest[:_FIRST])
        # The first pictures were planned by the curves alone; much is left or lacking where pictures are
        # dropped late, or the last ones are not like the others.
        if self._reviews == 2 or (self._reviews and not self._rest and self._is_far()):
            self._reviews -= 1
            self._review()
        if self._rest:
            return self._steps(self._rest[: max(_FIRST, len(self._rest) // _PART)])
        return self._corrections()

    def record(self, step: SharedStep, bits: float) -> bool:
        """Takes note of a file's bits; says whether it is to be kept, in place of the picture's last one."""
        self._known[step.picture, step.qp] = float(bits)
        self._last[step.picture] = step.qp
        if bits > step.most_bits:
            return False
        self._kept[step.picture] = step.qp
        if step.picture in self._rest:
            self._rest.remove(step.picture)
        return True

    def drop(self, step: SharedStep) -> None:
        """The picture cannot be encoded: the others share what there is."""
        self._kept.pop(step.picture, None)
        if step.picture in self._rest:
            self._rest.remove(step.picture)
        if math.isfinite(step.most_bits):
            self._tries = 0

    def _ratio(self) -> float:
        """Bits of files for each bit of the curves."""
        if not self._known:
            return 1.0
        return sum(self._known.values()) / float(sum(self._curves[place] for place in self._known))

    def _expected(self, rows: list[int]) -> Floats:
        """Bits at every qp: curves moved to where the picture's own file lies, or as others' files do."""
        curves: Floats = self._curves[rows] * self._ratio()
        for place, row in enumerate(rows):
            if row in self._last:
                qp = self._last[row]
                curves[place] = self._curves[row] * self._known[row, qp] / self._curves[row, qp]
        return curves

    def _is_far(self) -> bool:
        return abs(self._total - self.total_bits) > _FAR * self._total

    def _plan(self, rows: list[int], curves: Floats, left: float) -> list[int]:
        if left < curves[:, self._high].sum():
            return [self._high] * len(rows)
        shared = share_bits(curves, left, divergence=self._losses[rows], qps=(self._low, self._high))
        return [int(qp) for qp in shared.qps]

    def _steps(self, chosen: list[int]) -> list[SharedStep]:
        """The first of the rest, planned together with all of it."""
        curves = self._expected(self._rest)
        planned = self._plan(self._rest, curves, self._total - self.total_bits)
        return [SharedStep(index, qp, math.inf) for index, qp in zip(chosen, planned, strict=False)]

    def _review(self) -> None:
        """Takes back the files whose qp is not what it should be by what is known now."""
        rows = [*self._rest, *self._kept]
        if not rows:
            return
        for row, qp in zip(rows, self._plan(rows, self._expected(rows), self._total), strict=True):
            if self._kept.get(row, qp) != qp:
                del self._kept[row]
                self._rest.insert(0, row)

    def _moved(self, by: int) -> tuple[list[int], Floats, Floats]:
        """Pictures that can be moved by a qp, the bits that each then takes less, and the loss it adds."""
        rows = [row for row, qp in self._kept.items() if self._low <= qp + by <= self._high]
        before = np.array([self._kept[row] for row in rows], dtype=np.int64)
        now = np.array([self._known[row, self._kept[row]] for row in rows], dtype=np.float64)
        then = now * self._curves[rows, before + by] / self._curves[rows, before]
        for place, row in enumerate(rows):
            then[place] = self._known.get((row, int(before[place]) + by), then[place])
        lost: Floats = self._losses[rows, before + by] - self._losses[rows, before]
        return rows, now - then, lost

    def _corrections(self) -> list[SharedStep]:
        """One picture a qp higher while the total is exceeded, lower while much is left."""
        left = self._total - self.total_bits
        if left < 0:
            rows, saved, lost = self._moved(1)
            if not rows:
                return []
            # The smallest saving that is enough, else the one that loses least for its bits.
            enough = saved >= -left
            cost = np.where(enough, saved, math.inf) if enough.any() else lost / np.maximum(saved, 1e-9)
            row = rows[int(cost.argmin())]
            return [SharedStep(row, self._kept[row] + 1, math.inf)]
        if left <= _CLOSE * self._total or not self._tries:
            return []
        rows, saved, lost = self._moved(-1)
        fits = -saved <= left
        if not fits.any():
            return []
        self._tries -= 1
        row = rows[int(np.where(fits, lost / np.maximum(-saved, 1e-9), math.inf).argmin())]
        qp = self._kept[row] - 1
        return [SharedStep(row, qp, self._known[row, qp + 1] + left)]
