"""The codec under the transforms of torch.func, which wrap tensors so that no memory can be read of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from npp.codec.options import CodecOptions, resolve_qp
from npp.codec.qp_maps import Qp
from npp.codec.round_trip import check_batch, start_round_trip


class CodecCall:
    """One call of the codec, whatever wraps its pictures.

    Attributes:
        bitstreams: the files, after the call; under vmap those of all of its calls in order.
    """

    def __init__(self, options: CodecOptions, threads: int | None) -> None:
        self._options = options
        self._threads = threads
        self.bitstreams: list[bytes] = []

    def __call__(self, x: Tensor, qp: Qp) -> tuple[Tensor, Tensor, Tensor]:
        """x_hat and bpp of pictures (N, C, H, W), constants to autograd, and their qps (N,)."""
        check_batch(x)
        if not isinstance(qp, Tensor):
            qp = torch.tensor(resolve_qp(qp, x.shape[0]), device="cpu")
        elif qp.ndim == 0:
            qp = qp.expand(x.shape[0])
        x_hat, bpp = _Codec.apply(x.detach(), qp.detach(), self)  # type: ignore[no-untyped-call]
        return x_hat, bpp, qp

    def run(self, x: Tensor, qp: Tensor) -> tuple[Tensor, Tensor]:
        """Runs the codec on tensors that no transform wraps any more."""
        trip = start_round_trip(x, qp, self._options, self._threads, waits=True)
        x_hat, bpp, self.bitstreams = trip.result()
        return x_hat, bpp


class _Codec(torch.autograd.Function):
    """The codec without a gradient, as a Function because torch unwraps what its ``forward`` is given."""

    @staticmethod
    def forward(x: Tensor, qp: Tensor, call: CodecCall) -> tuple[Tensor, Tensor]:
        return call.run(x, qp)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(*output)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], x: Tensor, qp: Tensor, call: CodecCall
    ) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        """All calls' pictures as one batch."""
        pictures, qps = (_stacked(t, dim, info.batch_size) for t, dim in ((x, in_dims[0]), (qp, in_dims[1])))
        count = pictures.shape[:2]
        values = _Codec.apply(pictures.flatten(0, 1), qps.flatten(0, 1), call)  # type: ignore[no-untyped-call]
        x_hat, bpp = (value.unflatten(0, count) for value in values)
        return (x_hat, bpp), (0, 0)


def _stacked(tensor: Tensor, dim: int | None, count: int) -> Tensor:
    """The tensor with vmap's dimension in front; it is repeated where the tensor has none."""
    return tensor.expand(count, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
