"""Pictures through the real codec, with a gradient: values are the codec's, the direction a surrogate's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from npp.codec.decoding import decode_batch
from npp.codec.file_inputs import File
from npp.codec.options import CodecOptions, resolve_options, resolve_qp
from npp.codec.round_trip import RoundTrip, start_round_trip
from npp.gradient.surrogates import DEFAULT_SURROGATE, Estimate, Real, Surrogate, resolve_surrogate


class Compressed(NamedTuple):
    """A batch after the codec.

    Attributes:
        x_hat: (N, C, H, W) decoded pictures, of the input's dtype and device.
        bpp: (N,) float32, bits of the whole file for each pixel.
        bitstreams: N BPG files.
    """

    x_hat: Tensor
    bpp: Tensor
    bitstreams: list[bytes]


class _PairOutputs(torch.autograd.Function):
    """Forward: the codec's x_hat and bpp. Backward: their gradients go to the surrogate's.

    The surrogate's bits are right up to a factor for each picture, so the gradient of its rate is scaled
    by real / surrogate.
    """

    @staticmethod
    def forward(
        ctx: Any, x_hat: Tensor, bpp: Tensor, real_x_hat: Tensor, real_bpp: Tensor
    ) -> tuple[Tensor, Tensor]:
        scale = real_bpp.to(bpp.dtype) / bpp.clamp_min(torch.finfo(bpp.dtype).tiny)
        # A picture without any modelled bits has no direction that would save some.
        ctx.save_for_backward(torch.where(bpp > 0, scale, torch.zeros_like(scale)))
        ctx.dtypes = x_hat.dtype, bpp.dtype
        return real_x_hat.view_as(real_x_hat), real_bpp.view_as(real_bpp)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (scale,) = ctx.saved_tensors
        x_hat_dtype, bpp_dtype = ctx.dtypes
        return gradients[0].to(x_hat_dtype), gradients[1].to(bpp_dtype) * scale, None, None


def _estimate(
    surrogate: Surrogate, x: Tensor, qps: list[int], real: Real | None, options: CodecOptions
) -> Estimate:
    """Runs a surrogate in at least float32, outside autocast: half precision cannot tell its bits."""
    wide = x if x.dtype == torch.float64 else x.float()
    qp = torch.tensor(qps, dtype=wide.dtype, device=wide.device)
    if real is not None:
        real = Real(real.x_hat.to(wide.dtype), real.bpp.to(wide.dtype))
    with torch.autocast(device_type=x.device.type, enabled=False):
        return surrogate(wide.clamp(0, 1), qp, real, resolve_options(options))


def _pair(
    surrogate: Surrogate, x: Tensor, qps: list[int], round_trip: RoundTrip, options: CodecOptions
) -> Compressed:
    if surrogate.needs_real:
        x_hat, bpp, bitstreams = round_trip.result()
        estimate = _estimate(surrogate, x, qps, Real(x_hat, bpp), options)
    else:
        estimate = _estimate(surrogate, x, qps, None, options)
        x_hat, bpp, bitstreams = round_trip.result()
    paired_x_hat, paired_bpp = _PairOutputs.apply(  # type: ignore[no-untyped-call]
        estimate.x_hat, estimate.bpp, x_hat, bpp
    )
    return Compressed(paired_x_hat, paired_bpp, bitstreams)


def _compress(
    x: Tensor,
    qp: int | Sequence[int] | Tensor,
    surrogate: str | Surrogate,
    threads: int | None,
    options: CodecOptions,
) -> Compressed:
    chosen = resolve_surrogate(surrogate)
    round_trip = start_round_trip(x, qp, options, threads)
    if not (torch.is_grad_enabled() and x.requires_grad):
        return Compressed(*round_trip.result())
    return _pair(chosen, x, resolve_qp(qp, x.shape[0]), round_trip, options)


# One graph break around the codec. Not torch.compiler.disable: that imports the compiler at once, a second
# that `import npp` would pay. This one imports it in its first call: only compiled callers call it.
_compress_outside_the_graph = torch._disable_dynamo(_compress)  # type: ignore[attr-defined]


def compress(
    x: Tensor,
    qp: int | Sequence[int] | Tensor = 29,
    *,
    surrogate: str | Surrogate = DEFAULT_SURROGATE,
    threads: int | None = None,
    **options: Unpack[CodecOptions],
) -> Compressed:
    """Encodes and decodes a batch with the real codec; gradients flow through a surrogate.

    Works under autocast, gradient checkpointing (the codec is deterministic), DDP and around
    ``torch.compile`` (one graph break). The surrogate runs only if x needs a gradient.

    Args:
        x: (N, C, H, W) with 1 (gray), 3 (RGB) or 4 (RGBA) channels, floats in [0, 1], uint8 or uint16. Any
            strides and device. Values outside are clamped, with clamp's gradient.
        qp: quantiser 0 (best) to 51 as bpgenc's ``-q``; an int, or one per picture.
        surrogate: where the gradient comes from; a name of :data:`npp.gradient.surrogates.NAMES` or an
            object like :class:`npp.gradient.surrogates.Surrogate`.
        threads: codec threads, ``None`` for all usable cores. The result does not depend on it.
        **options: see :class:`npp.CodecOptions`.

    Returns:
        x_hat with x's shape, dtype and device, and bpp; both exactly the codec's. The files.

    Raises:
        TypeError: x is no tensor or of another dtype; an unknown option.
        EncodeError: NaN in x, or a wrong shape, size or value; the message names it. Where one picture
            failed, ``index`` says which and ``results`` has a file or an error for each picture.
        ValueError: an unknown surrogate.
    """
    run = _compress_outside_the_graph if torch.compiler.is_dynamo_compiling() else _compress
    compressed: Compressed = run(x, qp, surrogate, threads, options)
    return compressed


def decompress(bitstreams: Sequence[File], *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Decodes BPG files of one size to a batch.

    Args:
        bitstreams: files whose pictures have the same size and number of channels.
        dtype: as in :func:`npp.decode`.

    Returns:
        (N, C, H, W), floats in [0, 1].

    Raises:
        DecodeError: a damaged file, an animation, or pictures of different shapes; the message and ``index``
            say which. Where decoding failed, ``results`` has a tensor or an error for each file; the headers
            of all are looked at before.
    """
    return decode_batch(bitstreams, dtype=dtype)


class BPG(nn.Module):
    """:func:`compress` as a module, for a training loop.

    Args:
        qp: default quantiser, used where the call gives none.
        surrogate, threads, **options: as in :func:`compress`.
    """

    def __init__(
        self,
        qp: int = 29,
        *,
        surrogate: str | Surrogate = DEFAULT_SURROGATE,
        threads: int | None = None,
        **options: Unpack[CodecOptions],
    ) -> None:
        super().__init__()
        resolve_qp(qp, 1)
        resolve_options(options)
        self.qp = qp
        self.surrogate = resolve_surrogate(surrogate)
        self.threads = threads
        self.options = options

    def forward(self, x: Tensor, qp: int | Sequence[int] | Tensor | None = None) -> Compressed:
        """(N, C, H, W) to :class:`Compressed`; ``qp`` overrides the module's."""
        chosen = self.qp if qp is None else qp
        return compress(x, chosen, surrogate=self.surrogate, threads=self.threads, **self.options)

    def extra_repr(self) -> str:
        """The arguments."""
        named = {"surrogate": type(self.surrogate).__name__, "threads": self.threads, **self.options}
        return ", ".join([f"qp={self.qp}", *(f"{name}={value!r}" for name, value in named.items())])
