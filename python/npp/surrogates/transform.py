"""What the transform-domain surrogates share."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from npp.options import ResolvedOptions
from npp.surrogates.blocks import block_dct, block_idct
from npp.surrogates.planes import PictureLayout, Plane
from npp.surrogates.protocol import Estimate, Real
from npp.surrogates.rate import SMALL_BLOCK, picture_bpp


class TransformSurrogate:
    """Maps the DCT coefficients of the codec's planes; a subclass says how.

    The picture goes through the codec's colour space and chroma sampling, into 8x8 DCT blocks, through
    :meth:`map_coefficients`, and back.
    """

    needs_real: ClassVar[bool] = False

    def __call__(self, x: Tensor, qp: Tensor, real: Real | None, options: ResolvedOptions) -> Estimate:
        """See :class:`npp.surrogates.Surrogate`."""
        layout = PictureLayout(options, x.shape, qp)
        planes = layout.split(x)
        coefficients = [block_dct(plane.samples, SMALL_BLOCK) for plane in planes]
        decoded: list[Tensor | None] = [None] * len(planes)
        if real is not None:
            decoded = [block_dct(plane.samples, SMALL_BLOCK) for plane in layout.split(real.x_hat)]
        mapped = [self._map_plane(*given, qp) for given in zip(planes, coefficients, decoded, strict=True)]
        pixels = x.shape[-2] * x.shape[-1]
        return Estimate(layout.join(mapped), picture_bpp(planes, pixels, coefficients))

    def _map_plane(self, plane: Plane, coefficients: Tensor, decoded: Tensor | None, qp: Tensor) -> Tensor:
        """Samples (N, h, w) of the estimated plane."""

        def per_coefficient(values: Tensor) -> Tensor:
            return values.view(-1, 1, 1, 1, 1)

        step = per_coefficient(plane.step)
        mapped = self.map_coefficients(coefficients, step, decoded, per_coefficient(qp))
        return block_idct(mapped, *plane.samples.shape[-2:])

    def map_coefficients(
        self, coefficients: Tensor, step: Tensor, decoded: Tensor | None, qp: Tensor
    ) -> Tensor:
        """Coefficients of the estimated reconstruction.

        Args:
            coefficients: of :func:`npp.surrogates.blocks.block_dct`.
            step: quantiser step, broadcasting over them.
            decoded: the real reconstruction's coefficients if the class needs them.
            qp: BPG qp, broadcasting over them.
        """
        raise NotImplementedError
