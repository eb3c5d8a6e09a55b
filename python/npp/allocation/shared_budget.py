"""Shares a total over pictures that are coded a few at a time, and meets it by their files' sizes."""

from __future__ import annotations

import math
from enum import Enum, auto
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from npp.allocation.sharing import GROWTH, share_bits, sharing_tables
from npp.checks import MAX_QP, number
from npp.pchip import Floats

_FIRST = 8  # pictures whose files show how the curves relate to files
_PART = 8  # after these an eighth of the rest is planned at a time
_CLOSE = 0.003  # of the total may be left
_FAR = 0.02  # of the total: worth coding many pictures once more
_TRIES = 24  # encodes to use what is left of the total


class _Stage(Enum):
    """The progress of a set. Files are taken back twice at most, so that there is an end."""

    UNPLANNED = auto()  # the first pictures have not been given out
    FIRST_FILES = auto()  # they have, by qps of the curves alone
    PLANNED = auto()  # all others are planned by what files really take; one look back is left
    FINAL = auto()  # that has been taken, too


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
        self._total = number("total_bits", total_bits, 0, math.inf)  # too little is found out by the files
        tables = sharing_tables(
            bits, qps, sensitivity=sensitivity, divergence=divergence, belief=belief, growth=growth
        )
        self._low, self._high = tables.low, tables.high
        allowed = slice(self._low, self._high + 1)
        self._losses = tables.losses
        self._losses[:, allowed] = np.maximum.accumulate(self._losses[:, allowed], axis=1)
        self._curves: Floats = np.minimum.accumulate(tables.bits, axis=1)
        # Pictures without a file, shuffled: folders are sorted by something, and a part is not like the rest.
        self._rest: list[int] = np.random.default_rng(0).permutation(len(self._curves)).tolist()
        self._file_bits: dict[tuple[int, int], float] = {}  # of every file that was made, by picture and qp
        self._kept_qps: dict[int, int] = {}
        self._last_qps: dict[int, int] = {}  # of each picture's last file, kept or not
        self._stage = _Stage.UNPLANNED
        self._tries_left = _TRIES

    @property
    def total_bits(self) -> float:
        """Bits of the files that are kept."""
        return sum(self._file_bits[index, qp] for index, qp in self._kept_qps.items())

    @property
    def qps(self) -> dict[int, int]:
        """The qp of each file that is kept, by picture."""
        return dict(self._kept_qps)

    @property
    def left(self) -> int:
        """The number of pictures that have no file yet and were not dropped."""
        return len(self._rest)

    @property
    def least_bits(self) -> float:
        """The expected bits of all pictures that were not dropped at the highest qp.

        Files of that qp count as they are, those of other qps tell where their pictures' curves lie, and all
        of them how the curves of the rest do.
        """
        return float(self._expected([*self._rest, *self._kept_qps])[:, self._high].sum())

    def next(self) -> list[SharedStep]:
        """The files to encode, each to :meth:`record` or :meth:`drop` before the next call; [] at the end."""
        if self._stage is _Stage.UNPLANNED:
            self._stage = _Stage.FIRST_FILES
            return self._steps(_FIRST)
        if self._stage is _Stage.FIRST_FILES:
            self._stage = _Stage.PLANNED
            self._take_back()
        elif self._stage is _Stage.PLANNED and not self._rest and self._is_far():
            # Pictures were dropped late, or the last ones are not like the others.
            self._stage = _Stage.FINAL
            self._take_back()
        if self._rest:
            return self._steps(max(_FIRST, len(self._rest) // _PART))
        return self._corrections()

    def record(self, step: SharedStep, bits: float) -> bool:
        """Notes a file's bits; returns whether to keep it in place of the picture's last one."""
        self._file_bits[step.picture, step.qp] = float(bits)
        self._last_qps[step.picture] = step.qp
        if bits > step.most_bits:
            return False
        self._kept_qps[step.picture] = step.qp
        if step.picture in self._rest:
            self._rest.remove(step.picture)
        return True

    def drop(self, step: SharedStep) -> None:
        """Takes out a picture that cannot be encoded; the others share the total."""
        self._kept_qps.pop(step.picture, None)
        if step.picture in self._rest:
            self._rest.remove(step.picture)
        if math.isfinite(step.most_bits):
            # It was to be encoded again, to use what is left. Where that fails though a file was made before,
            # the next one may fail as well, and each would cost the set a picture.
            self._tries_left = 0

    def _ratio(self) -> float:
        """The ratio of the bits of files to those of the curves."""
        if not self._file_bits:
            return 1.0
        return sum(self._file_bits.values()) / float(sum(self._curves[place] for place in self._file_bits))

    def _expected(self, rows: list[int]) -> Floats:
        """The expected bits at every qp: curves scaled by the picture's own file, or by others' files."""
        curves: Floats = self._curves[rows] * self._ratio()
        for place, row in enumerate(rows):
            if row in self._last_qps:
                qp = self._last_qps[row]
                curves[place] = self._curves[row] * self._file_bits[row, qp] / self._curves[row, qp]
        return curves

    def _is_far(self) -> bool:
        return abs(self._total - self.total_bits) > _FAR * self._total

    def _plan(self, rows: list[int], curves: Floats, left: float) -> list[int]:
        if left < curves[:, self._high].sum():
            return [self._high] * len(rows)
        shared = share_bits(curves, left, divergence=self._losses[rows], qps=(self._low, self._high))
        return [int(qp) for qp in shared.qps]

    def _steps(self, count: int) -> list[SharedStep]:
        """The first pictures of the rest, planned together with all of it."""
        planned = self._plan(self._rest, self._expected(self._rest), self._total - self.total_bits)
        pairs = zip(self._rest[:count], planned[:count], strict=True)
        return [SharedStep(row, qp, math.inf) for row, qp in pairs]

    def _take_back(self) -> None:
        """Takes back the files whose qp is not what it should be by what is known now."""
        rows = [*self._rest, *self._kept_qps]
        if not rows:
            return
        for row, qp in zip(rows, self._plan(rows, self._expected(rows), self._total), strict=True):
            if self._kept_qps.get(row, qp) != qp:
                del self._kept_qps[row]
                self._rest.insert(0, row)

    def _corrections(self) -> list[SharedStep]:
        """Moves one picture a qp up where the total is exceeded, down where much is left; else none."""
        left = self._total - self.total_bits
        if left < 0:
            return self._saving(-left)
        if left > _CLOSE * self._total and self._tries_left:
            return self._spending(left)
        return []

    def _saving(self, excess: float) -> list[SharedStep]:
        """Moves a picture a qp up: for the smallest saving that is enough, else the least loss a bit."""
        rows, saved, lost = self._moved(1)
        if not rows:
            return []
        enough = saved >= excess
        cost = np.where(enough, saved, math.inf) if enough.any() else lost / np.maximum(saved, 1e-9)
        row = rows[int(cost.argmin())]
        return [SharedStep(row, self._kept_qps[row] + 1, math.inf)]

    def _spending(self, left: float) -> list[SharedStep]:
        """Moves a picture a qp down: of those that should fit what is left, the one of most gain a bit."""
        rows, saved, lost = self._moved(-1)
        fits = -saved <= left
        if not fits.any():
            return []
        self._tries_left -= 1
        row = rows[int(np.where(fits, lost / np.maximum(-saved, 1e-9), math.inf).argmin())]
        qp = self._kept_qps[row] - 1
        return [SharedStep(row, qp, self._file_bits[row, qp + 1] + left)]

    def _moved(self, by: int) -> tuple[list[int], Floats, Floats]:
        """Pictures that can be moved by a qp, the bits that each then takes less, and the loss it adds."""
        rows = [row for row, qp in self._kept_qps.items() if self._low <= qp + by <= self._high]
        before = np.array([self._kept_qps[row] for row in rows], dtype=np.int64)
        now = np.array([self._file_bits[row, self._kept_qps[row]] for row in rows], dtype=np.float64)
        then = now * self._curves[rows, before + by] / self._curves[rows, before]
        for place, row in enumerate(rows):
            then[place] = self._file_bits.get((row, int(before[place]) + by), then[place])
        lost: Floats = self._losses[rows, before + by] - self._losses[rows, before]
        return rows, now - then, lost
