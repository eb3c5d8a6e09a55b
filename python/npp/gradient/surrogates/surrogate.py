"""What a surrogate is given and what it gives."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor

from npp.codec.options import ResolvedOptions


class Real(NamedTuple):
    """The codec's result for a batch. Constants: no gradient flows into them.

    Attributes:
        x_hat: (N, C, H, W) decoded pictures in [0, 1], in the dtype of the surrogate's x.
        bpp: (N,) bits a pixel of the files.
    """

    x_hat: Tensor
    bpp: Tensor


class Estimate(NamedTuple):
    """A surrogate's differentiable estimate of the decoded pictures and of their bits.

    Attributes:
        x_hat: (N, C, H, W).
        bpp: (N,) bits a pixel, up to a factor for each picture: the pairing rescales its gradient.
    """

    x_hat: Tensor
    bpp: Tensor


class Surrogate(Protocol):
    """A differentiable stand-in for the codec, used for the gradient only.

    Any callable of this form will do, an ``nn.Module`` too. Where there is a quantiser map, one whose
    attribute ``takes_qp_map`` is true is called with one more keyword: ``qp_map``, (N, ceil(H / 16),
    ceil(W / 16)) offsets in units of the qp, which may need a gradient. Others are refused there.
    """

    @property
    def needs_real(self) -> bool:
        """Whether it builds on the codec's own result.

        If not, ``real`` is None and it runs while the codec works on its threads.
        """
        ...

    def __call__(self, x: Tensor, qp: Tensor, real: Real | None, options: ResolvedOptions) -> Estimate:
        """Estimates the codec's result.

        Args:
            x: (N, C, H, W) in [0, 1], float32 or float64; 1, 3 or 4 channels.
            qp: (N,) BPG qp of each picture, on x's device and of its dtype.
            real: the codec's result if ``needs_real``.
            options: the codec's options.
        """
        ...
