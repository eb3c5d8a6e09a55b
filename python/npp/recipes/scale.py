"""The size that a picture is coded at: smaller where the network will not notice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from npp.checks import MAX_QP, QP_COUNT, brief, number, table

if TYPE_CHECKING:
    from torch import Tensor

#: Less is left of no side.
LEAST_FACTOR = 0.1

_LEAST_SIDE = 16  # of a coded picture: one block
_EVEN = 2  # sides of coded pictures are multiples, so that subsampled chroma lies on their grid


@dataclass(frozen=True)
class ScaleRule:
    """How much smaller a picture is coded, by its qp and its size against the network's input.

    Attributes:
        factors: part of each side by the qp from which on it holds; below the first of them pictures keep
            their size. ``{34: 0.5}`` halves both sides from qp 34 on.
        input_size: longer side of what the network looks at, in pixels; ``None`` where that is not known.
        least: a coded picture's longer side is at least this part, 0.1 to 4, of ``input_size``: what is
            already small for the network stays as it is.

    Raises:
        ValueError: a factor that is not from 0.1 to 1, a qp that is not from 0 to 51, another value out of
            range.
    """

    factors: Mapping[float, float] = field(default_factory=dict)
    input_size: int | None = None
    least: float = 0.75

    def __post_init__(self) -> None:
        if not isinstance(self.factors, Mapping):
            raise ValueError(f"factors must be a mapping of qp to numbers, not {brief(self.factors)}")
        factors = dict(self.factors)
        object.__setattr__(self, "factors", table("factors", factors, LEAST_FACTOR, 1) if factors else {})
        if self.input_size is not None:
            side = number("input_size", self.input_size, 1, 65_536)
            object.__setattr__(self, "input_size", int(side) if side.is_integer() else side)
        object.__setattr__(self, "least", number("least", self.least, 0.1, 4))

    def factor(self, qp: float, height: int, width: int) -> float:
        """The factor by which both sides of a picture are scaled before it is coded, above 0 to 1."""
        factor = factor_from(self.factors, qp)
        if self.input_size is not None:
            factor = max(factor, self.least * self.input_size / max(height, width))
        return min(1.0, max(factor, _LEAST_SIDE / min(height, width)))

    def size(self, qp: float, height: int, width: int) -> tuple[int, int]:
        """Height and width at which a picture is coded; its own where nothing is gained."""
        factor = self.factor(qp, height, width)
        if factor == 1.0:
            return height, width
        return _scaled(height, factor), _scaled(width, factor)

    def spans(self, height: int, width: int) -> list[tuple[int, int]]:
        """First and last whole qp of each range in which a picture is coded at one size."""
        sizes = [self.size(qp, height, width) for qp in range(QP_COUNT)]
        firsts = [qp for qp in range(QP_COUNT) if not qp or sizes[qp] != sizes[qp - 1]]
        return list(zip(firsts, [*(first - 1 for first in firsts[1:]), MAX_QP], strict=True))

    def as_mapping(self) -> dict[str, Any]:
        """The arguments by name, as files hold them."""
        factors = {f"{qp:g}": factor for qp, factor in self.factors.items()}
        return {"factors": factors, "input_size": self.input_size, "least": self.least}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> ScaleRule:
        """A rule from the mapping that :meth:`as_mapping` made.

        Raises:
            TypeError, ValueError: it is not of that form.
        """
        return cls(values["factors"], values["input_size"], values["least"])


def factor_from(factors: Mapping[float, float], qp: float) -> float:
    """The factor that holds at a qp, 1 below the first one.

    Args:
        factors: by the qp from which on each holds, rising.
        qp: of the file.
    """
    passed = [first for first in factors if first <= qp]
    return factors[passed[-1]] if passed else 1.0


def _scaled(side: int, factor: float) -> int:
    return min(side, max(_EVEN, round(side * factor / _EVEN) * _EVEN))


def shrink(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Pictures (N, C, H, W) in [0, 1] at a smaller size: an antialiased bicubic filter, differentiable."""
    return _resized(x, size, antialias=True)


def enlarge(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Pictures (N, C, h, w) in [0, 1] back at a larger size: bicubic, differentiable."""
    return _resized(x, size, antialias=False)


def _resized(x: Tensor, size: tuple[int, int], *, antialias: bool) -> Tensor:
    if x.shape[-2:] == size:
        return x
    import torch  # what files say about themselves is read without torch
    import torch.nn.functional as F

    wide = x.to(torch.promote_types(x.dtype, torch.float32))  # CPUs have no such filter in half precision
    return F.interpolate(wide, size, mode="bicubic", antialias=antialias).clamp(0, 1).to(x.dtype)
