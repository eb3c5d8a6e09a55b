"""Surrogates without weights, most of them coefficient by coefficient of a block transform."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from npp.checks import number
from npp.codec.options import ResolvedOptions
from npp.gradient.surrogates.rate_model import SMALL_BLOCK, picture_bpp
from npp.gradient.surrogates.surrogate import Estimate, Real
from npp.hevc.dct import block_dct, block_idct
from npp.hevc.planes import PictureLayout, Plane

# The gate of a quantiser map's gradient, in steps; Gated has the same by default (docs/gradients.md).
_THRESHOLD, _WIDTH = 1.0, 0.25

# Beyond these float32 makes infinities of settings, and no numbers of pictures, in silence.
_LEAST, _MOST = 1e-4, 1e4


def _gate(coefficients: Tensor, step: Tensor, threshold: float, width: float) -> Tensor:
    """How far coefficients, taken as fixed, are large enough to be coded: 0 to 1."""
    level = (coefficients.detach() / (step * width)).abs_()
    return level.sub_(threshold / width).sigmoid_()


def _of_the_step(coefficients: Tensor, step: Tensor) -> Tensor:
    """Zeros for each coefficient, with the gradient that a quantiser map has through what its steps let pass.

    A surrogate that is about the picture alone would tell a map of the bits only, and all blocks would become
    coarser whatever the task loses.
    """
    passed = coefficients.detach() * _gate(coefficients, step, _THRESHOLD, _WIDTH)
    return passed - passed.detach()


class TransformSurrogate:
    """Maps the DCT coefficients of the codec's planes; a subclass says how.

    The picture goes through the codec's colour space and chroma sampling, into 8x8 DCT blocks, through
    :meth:`map_coefficients`, and back. What a quantiser map does to it is the same for all: see
    :func:`_of_the_step`.
    """

    needs_real: ClassVar[bool] = False
    takes_qp_map: ClassVar[bool] = True

    def __call__(
        self,
        x: Tensor,
        qp: Tensor,
        real: Real | None,
        options: ResolvedOptions,
        qp_map: Tensor | None = None,
    ) -> Estimate:
        """Estimates the codec's result from the mapped coefficients.

        Arguments and result are those of :class:`npp.gradient.surrogates.Surrogate`.
        """
        layout = PictureLayout(options, x.shape, qp, qp_map)
        planes = layout.split(x)
        coefficients = [block_dct(plane.samples, SMALL_BLOCK) for plane in planes]
        decoded: list[Tensor | None] = [None] * len(planes)
        if real is not None:
            decoded = [block_dct(plane.samples, SMALL_BLOCK) for plane in layout.split(real.x_hat)]
        inputs = zip(planes, coefficients, decoded, strict=True)
        mapped = [self._map_plane(*tensors, qp, moves=qp_map is not None) for tensors in inputs]
        pixels = x.shape[-2] * x.shape[-1]
        return Estimate(layout.join(mapped), picture_bpp(planes, pixels, coefficients))

    def _map_plane(
        self, plane: Plane, coefficients: Tensor, decoded: Tensor | None, qp: Tensor, *, moves: bool
    ) -> Tensor:
        """Samples (N, h, w) of the estimated plane, whose steps a map moves or not."""
        step = plane.steps_of(SMALL_BLOCK)
        mapped = self.map_coefficients(coefficients, step.detach(), decoded, qp.view(-1, 1, 1, 1, 1))
        if moves:
            mapped = mapped + _of_the_step(coefficients, step)
        return block_idct(mapped, *plane.samples.shape[-2:])

    def map_coefficients(
        self, coefficients: Tensor, step: Tensor, decoded: Tensor | None, qp: Tensor
    ) -> Tensor:
        """Coefficients of the estimated reconstruction.

        Args:
            coefficients: of :func:`npp.hevc.dct.block_dct`.
            step: quantiser step, broadcasting over them, without a gradient.
            decoded: the real reconstruction's coefficients if the class needs them.
            qp: BPG qp, broadcasting over them.
        """
        raise NotImplementedError


def _moved(plane: Plane, coefficients: Tensor) -> Tensor:
    """A plane with unchanged values, whose only gradient is that of its quantiser steps."""
    moved = _of_the_step(coefficients, plane.steps_of(SMALL_BLOCK))
    return plane.samples.detach() + block_idct(moved, *plane.samples.shape[-2:])


class Identity:
    """x_hat = x (the straight-through estimator, Bengio et al., arXiv 1308.3432), the rate model's bits."""

    needs_real: ClassVar[bool] = False
    takes_qp_map: ClassVar[bool] = True

    def __call__(
        self,
        x: Tensor,
        qp: Tensor,
        real: Real | None,
        options: ResolvedOptions,
        qp_map: Tensor | None = None,
    ) -> Estimate:
        """Estimates the decoded pictures as x itself, and their bits by the rate model.

        Arguments and result are those of :class:`npp.gradient.surrogates.Surrogate`.
        """
        layout = PictureLayout(options, x.shape, qp, qp_map)
        planes = layout.split(x)
        coefficients = [block_dct(plane.samples, SMALL_BLOCK) for plane in planes]
        bpp = picture_bpp(planes, x.shape[-2] * x.shape[-1], coefficients)
        if qp_map is None:
            return Estimate(x, bpp)
        moved = layout.join([_moved(*tensors) for tensors in zip(planes, coefficients, strict=True)])
        return Estimate(x + (moved - moved.detach()), bpp)


class SoftDCT(TransformSurrogate):
    """Coefficients go through a soft rounding to multiples of the codec's step.

    Within a step the rounding is a tanh (Agustsson and Theis, arXiv 2006.09952); the codec in the
    middle of a trained pair stands in the sandwich papers (arXiv 2402.05887).

    Args:
        sharpness: 0.0001 to 10000; near 0 is the identity, large is hard rounding with nearly no gradient.
    """

    def __init__(self, sharpness: float = 3.0) -> None:
        self.sharpness = number("sharpness", sharpness, _LEAST, _MOST)

    def map_coefficients(
        self, coefficients: Tensor, step: Tensor, decoded: Tensor | None, qp: Tensor
    ) -> Tensor:
        """Coefficients after the soft rounding, of the shape of the given ones."""
        level = coefficients / step
        middle = level.floor() + 0.5
        within = torch.tanh(self.sharpness * (level - middle)) / (2 * math.tanh(self.sharpness / 2))
        return (middle + within) * step


class Gated(TransformSurrogate):
    """A coefficient's gradient passes as far as the coefficient is large enough to be coded.

    The gate is sigmoid((abs(c) / step - threshold) / width), held fixed: it scales the coefficient's gradient
    and gives it none.

    Args:
        threshold: in steps. A dead-zone quantiser codes what is above about 0.6; what an encoder keeps for
            good is above 1.
        width: softness of the gate in steps, 0.0001 to 10000.
        floor: least gate, 0 to 1. Networks need about 0.35: what is gated off entirely never comes back.
    """

    def __init__(self, threshold: float = _THRESHOLD, width: float = _WIDTH, floor: float = 0.0) -> None:
        self.threshold = number("threshold", threshold, -math.inf, math.inf)
        self.width = number("width", width, _LEAST, _MOST)
        self.floor = number("floor", floor, 0, 1)

    def map_coefficients(
        self, coefficients: Tensor, step: Tensor, decoded: Tensor | None, qp: Tensor
    ) -> Tensor:
        """The coefficients, their gradient scaled by the gate; of the shape of the given ones."""
        gate = _gate(coefficients, step, self.threshold, self.width)
        if self.floor:
            gate = (gate * (1 - self.floor)).add_(self.floor)
        return coefficients * gate


class Masked(TransformSurrogate):
    """Passes the gradient of the coefficients that are there in the codec's own reconstruction.

    Args:
        threshold: least size of a decoded coefficient, in steps, to count as kept; not negative.
    """

    needs_real: ClassVar[bool] = True

    def __init__(self, threshold: float = 0.25) -> None:
        self.threshold = number("threshold", threshold, 0, math.inf)

    def map_coefficients(
        self, coefficients: Tensor, step: Tensor, decoded: Tensor | None, qp: Tensor
    ) -> Tensor:
        """The coefficients that the codec kept, zeros for the others; of the shape of the given ones."""
        assert decoded is not None
        return coefficients * (decoded.abs() > self.threshold * step).to(coefficients.dtype)


class Scaled(TransformSurrogate):
    """A coefficient's gradient is scaled by how much of it the codec kept.

    The factor is c ĉ / (c² + (softness · step)²), c of the input and ĉ of the real reconstruction: the
    codec's own error, read as a gain and held fixed.
    After SCALED (arXiv 2602.00198), in our reading.

    Args:
        softness: 0.0001 to 10000, in steps; keeps the factor small where c itself is small.
    """

    needs_real: ClassVar[bool] = True

    def __init__(self, softness: float = 0.3) -> None:
        self.softness = number("softness", softness, _LEAST, _MOST)

    def map_coefficients(
        self, coefficients: Tensor, step: Tensor, decoded: Tensor | None, qp: Tensor
    ) -> Tensor:
        """The coefficients times the codec's gain; of the shape of the given ones."""
        assert decoded is not None
        fixed = coefficients.detach()
        gain = fixed * decoded / (fixed.square() + (self.softness * step).square())
        return coefficients * gain
