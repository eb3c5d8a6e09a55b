"""Pictures through the real codec, with a gradient: values are the codec's, the direction a surrogate's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from typing_extensions import Unpack

from npp.checks import DEFAULT_QP, brief
from npp.codec.decoding import decode_batch
from npp.codec.device_transfer import small_tensor
from npp.codec.errors import UnsupportedError
from npp.codec.file_inputs import File
from npp.codec.limits import resolve_threads
from npp.codec.option_signature import shows_options
from npp.codec.options import CodecOptions, resolve_options, resolve_qp
from npp.codec.qp_maps import Qp, QpMap, map_size
from npp.codec.round_trip import RoundTrip, begin_round_trip, check_batch
from npp.gradient.functional import CodecCall
from npp.gradient.result_repr import result_repr
from npp.gradient.surrogates import DEFAULT_SURROGATE, Estimate, Real, Surrogate, resolve_surrogate
from npp.torch_state import in_transform, no_graph, outside_graphs, runs_codec, widened


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

    def __repr__(self) -> str:
        return result_repr("Compressed", self._asdict())


class _PairOutputs(torch.autograd.Function):
    """Forward: the codec's x_hat and bpp. Backward: their gradients go to the surrogate's.

    The surrogate's bits are right up to a factor for each picture, so the gradient of its rate is scaled
    by real / surrogate.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        x_hat: Tensor, bpp: Tensor, real_x_hat: Tensor, real_bpp: Tensor, scale: Tensor
    ) -> tuple[Tensor, Tensor]:
        # Copies: what is returned belongs to the caller, who may change it in place.
        return real_x_hat.clone(), real_bpp.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
        x_hat, bpp, real_x_hat, real_bpp, scale = inputs
        ctx.save_for_backward(scale)
        ctx.save_for_forward(scale)
        ctx.dtypes = x_hat.dtype, bpp.dtype
        ctx.real_dtypes = real_x_hat.dtype, real_bpp.dtype

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        (scale,) = ctx.saved_tensors
        x_hat_dtype, bpp_dtype = ctx.dtypes
        return gradients[0].to(x_hat_dtype), gradients[1].to(bpp_dtype) * scale, None, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> tuple[Tensor, Tensor]:
        (scale,) = ctx.saved_tensors
        x_hat_dtype, bpp_dtype = ctx.real_dtypes
        return tangents[0].to(x_hat_dtype), (tangents[1] * scale).to(bpp_dtype)


def _paired(estimate: Estimate, x_hat: Tensor, bpp: Tensor, bitstreams: list[bytes]) -> Compressed:
    modelled = estimate.bpp.detach()
    scale = bpp.to(modelled.dtype) / modelled.clamp_min(torch.finfo(modelled.dtype).tiny)
    # A picture without any modelled bits has no direction that would save some.
    scale = torch.where(modelled > 0, scale, torch.zeros_like(scale))
    x_hat, bpp = _PairOutputs.apply(  # type: ignore[no-untyped-call]
        estimate.x_hat, estimate.bpp, x_hat, bpp, scale
    )
    return Compressed(x_hat, bpp, bitstreams)


def _floats(x: Tensor) -> Tensor:
    """Pictures in at least float32, those of whole numbers brought to [0, 1]."""
    if x.is_floating_point():
        return widened(x)
    return x.float() / torch.iinfo(x.dtype).max


def _estimate(
    surrogate: Surrogate,
    x: Tensor,
    qp: Tensor,
    real: Real | None,
    options: CodecOptions,
    qp_map: Tensor | None = None,
) -> Estimate:
    """Runs a surrogate in at least float32, outside autocast: half precision is too coarse for its bits.

    Raises:
        TypeError: it gives no estimate.
        ValueError: there is a quantiser map, and the surrogate takes none; its estimate has another shape.
    """
    _check_takes_map(surrogate, qp_map)
    wide = _floats(x)
    if real is not None:
        real = Real(_floats(real.x_hat).to(wide.dtype), real.bpp.to(wide.dtype))
    with torch.autocast(device_type=x.device.type, enabled=False):
        inputs = wide.clamp(0, 1), qp.to(wide.device, wide.dtype), real, resolve_options(options)
        maps: Any = {} if qp_map is None else {"qp_map": qp_map.to(wide.device, wide.dtype)}
        estimate: Estimate = surrogate(*inputs, **maps)
    _check_estimate(surrogate, estimate, x)
    return estimate


def _check_estimate(surrogate: Surrogate, estimate: Any, x: Tensor) -> None:
    """Raises TypeError for what is no estimate, ValueError for one of another shape than the pictures'.

    Bits of another shape would be spread over the batch without a word, and so would their gradient.
    """
    name = type(surrogate).__name__
    if not (hasattr(estimate, "x_hat") and hasattr(estimate, "bpp")):
        raise TypeError(f"the surrogate {name} must give an Estimate(x_hat, bpp), not {brief(estimate)}")
    for field, needed in (("x_hat", tuple(x.shape)), ("bpp", (len(x),))):
        value = getattr(estimate, field)
        if not isinstance(value, Tensor) or tuple(value.shape) != needed:
            actual = f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else brief(value)
            raise ValueError(f"the surrogate {name} must give {field} of shape {needed}, not {actual}")


def _check_takes_map(surrogate: Surrogate, qp_map: object) -> None:
    """Raises ValueError where there is a quantiser map and the surrogate takes none."""
    if qp_map is not None and not getattr(surrogate, "takes_qp_map", False):
        raise ValueError(
            f"the surrogate {type(surrogate).__name__} takes no qp_map; those by coefficient do: 'identity', "
            "'dct', 'scaled', 'gated', 'masked'"
        )


def _pair(
    surrogate: Surrogate,
    x: Tensor,
    qps: list[int],
    qp_map: Tensor | None,
    round_trip: RoundTrip,
    options: CodecOptions,
) -> Compressed:
    qp = small_tensor(qps, torch.int64, x.device)
    if surrogate.needs_real:
        x_hat, bpp, bitstreams = round_trip.result()
        estimate = _estimate(surrogate, x, qp, Real(x_hat, bpp), options, qp_map)
    else:
        estimate = _estimate(surrogate, x, qp, None, options, qp_map)
        x_hat, bpp, bitstreams = round_trip.result()
    return _paired(estimate, x_hat, bpp, bitstreams)


def finish_round_trip(
    surrogate: Surrogate,
    x: Tensor,
    qps: list[int],
    qp_map: QpMap | None,
    round_trip: RoundTrip,
    options: CodecOptions,
) -> Compressed:
    """Waits for the codec and pairs its values with the surrogate's gradient where one is needed."""
    joined = _joined(qp_map, x)
    if not _needs_gradient(x, joined):
        return Compressed(*round_trip.result())
    return _pair(surrogate, x, qps, joined, round_trip, options)


def _joined(qp_map: QpMap | None, like: Tensor) -> Tensor | None:
    """A batch's maps as one tensor (N, h, w) that autograd follows; constant QP is a map of zeros."""
    if qp_map is None or isinstance(qp_map, Tensor):
        return qp_map
    zeros = torch.zeros(map_size(*like.shape[-2:]), dtype=torch.float32, device=like.device)
    return torch.stack(
        [
            zeros if offsets is None else torch.as_tensor(offsets, device=like.device).float()
            for offsets in qp_map
        ]
    )


def _tensors_of(qp_map: object) -> list[Tensor]:
    """The maps of a batch that autograd can follow, of what nobody has checked yet."""
    maps = qp_map if isinstance(qp_map, (list, tuple)) else [qp_map]
    return [offsets for offsets in maps if isinstance(offsets, Tensor)]


def will_estimate(surrogate: Surrogate, x: Tensor, qp_map: QpMap | None) -> bool:
    """Whether a surrogate will be run for these pictures and maps.

    Raises:
        ValueError: it will, there are maps, and it takes none.
    """
    if not _needs_gradient(x, *_tensors_of(qp_map)):
        return False
    _check_takes_map(surrogate, qp_map)
    return True


def _needs_gradient(*tensors: Tensor | None) -> bool:
    present = [tensor for tensor in tensors if tensor is not None]
    wanted = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in present)
    return wanted or any(_has_tangent(tensor) for tensor in present)


def _has_tangent(x: Tensor) -> bool:
    """Whether forward-mode AD is at work on a tensor."""
    return forward_ad.unpack_dual(x).tangent is not None  # type: ignore[no-untyped-call]


def _compress(
    x: Tensor,
    qp: Qp,
    qp_map: QpMap | None,
    surrogate: str | Surrogate,
    threads: int | None,
    options: CodecOptions,
) -> Compressed:
    estimator = resolve_surrogate(surrogate)
    if in_transform():
        if qp_map is not None:
            raise UnsupportedError("qp_map does not work under torch.func's transforms; use autograd instead")
        call = CodecCall(options, threads)
        x_hat, bpp, used = call(x, qp)
        estimate = _estimate(estimator, x, used, Real(x_hat, bpp) if estimator.needs_real else None, options)
        return _paired(estimate, x_hat, bpp, call.bitstreams)
    check_batch(x)
    qps = resolve_qp(qp, x.shape[0])
    waits = not will_estimate(estimator, x, qp_map) or estimator.needs_real
    round_trip = begin_round_trip(x, qps, options, threads, qp_map=qp_map, waits=waits)
    return finish_round_trip(estimator, x, qps, qp_map, round_trip, options)


NO_GRAPH = no_graph("npp.compress")
_compress_outside_the_graph = outside_graphs(_compress, NO_GRAPH)


@shows_options()
def compress(
    x: Tensor,
    qp: Qp = DEFAULT_QP,
    *,
    qp_map: QpMap | None = None,
    surrogate: str | Surrogate = DEFAULT_SURROGATE,
    threads: int | None = None,
    **options: Unpack[CodecOptions],
) -> Compressed:
    """Encodes and decodes a batch with the real codec; gradients flow through a surrogate.

    Works under autocast, gradient checkpointing (the codec is deterministic), DDP, forward-mode AD, the
    transforms of ``torch.func`` (without a ``qp_map``; under ``vmap`` the list of files holds those of all
    calls, in order) and around ``torch.compile`` (one graph break; ``fullgraph=True`` and ``torch.export``
    are refused). The surrogate runs only if x or the map needs a gradient.

    Args:
        x: (N, C, H, W) with 1 (gray), 3 (RGB) or 4 (RGBA) channels, floats in [0, 1], uint8 or uint16. Any
            strides and device. Values outside are clamped, with clamp's gradient; those far outside are
            warned about (below -0.9 or above 2) or refused (beyond 16).
        qp: quantiser 0 (best) to 51 as bpgenc's ``-q``; an int, or one per picture.
        qp_map: offsets from the qp for each block of 16x16 pixels, (N, ceil(H/16), ceil(W/16)) floats, or a
            list with a map or ``None`` for each picture; see :func:`npp.encode`. Its gradient is that of
            offsets that are not rounded, and needs a surrogate that works by coefficient.
        surrogate: where the gradient comes from; a name of :data:`npp.gradient.surrogates.NAMES` or an
            object like :class:`npp.gradient.surrogates.Surrogate`.
        threads: codec threads, as in :func:`npp.encode`. The result does not depend on it.
        **options: see :class:`npp.CodecOptions`.

    Returns:
        x_hat with x's shape, dtype and device, and bpp; both exactly the codec's. The files.

    Raises:
        TypeError: x is no tensor or of another dtype; threads that are no integer; an unknown option.
        EncodeError: NaN or samples of another scale (0 to 255) in x, or a wrong shape, size or value; the
            message names it. Where one picture failed, ``index`` says which and ``results`` has a file or
            an error for each picture.
        UnsupportedError: x has no pixels in memory: traced, on the device meta, sparse.
        ValueError: an unknown surrogate, or threads below 1 or above 4096.
    """
    run = _compress_outside_the_graph if torch.compiler.is_dynamo_compiling() else _compress
    return run(x, qp, qp_map, surrogate, threads, options)


@runs_codec("npp.decompress")
def decompress(
    bitstreams: Sequence[File], *, dtype: torch.dtype = torch.float32, threads: int | None = None
) -> Tensor:
    """Decodes BPG files of one size to a batch.

    Args:
        bitstreams: files whose pictures have the same size and number of channels.
        dtype, threads: as in :func:`npp.decode`.

    Returns:
        (N, C, H, W), floats in [0, 1].

    Raises:
        DecodeError: a damaged file, an animation, pictures of different shapes or above the limit on pixels;
            the message and ``index`` say which. Where decoding failed, ``results`` has a tensor or an error
            for each file; the headers of all are looked at before.
        UnsupportedError, OSError, TypeError, ValueError: as :func:`npp.decode`.
    """
    return decode_batch(bitstreams, dtype=dtype, threads=threads)


class BPG(nn.Module):
    """:func:`compress` as a module, for a training loop.

    A surrogate that is a module itself moves with ``.to()`` (and stays in float32 at least, which it needs),
    but its parameters and buffers are not this module's: an optimiser of ``bpg.parameters()`` does not train
    it, and ``state_dict`` does not hold it. Register it elsewhere if that is wanted.

    Args:
        qp: default quantiser, used where the call gives none.
        surrogate, threads, options: as in :func:`compress`.
    """

    @shows_options()
    def __init__(
        self,
        qp: int = DEFAULT_QP,
        *,
        surrogate: str | Surrogate = DEFAULT_SURROGATE,
        threads: int | None = None,
        **options: Unpack[CodecOptions],
    ) -> None:
        super().__init__()
        self.qp = resolve_qp(qp, 1)[0]
        resolve_options(options)
        resolve_threads(threads)
        self._unregistered = (resolve_surrogate(surrogate),)
        self.threads = threads
        self.options = options

    @property
    def surrogate(self) -> Surrogate:
        """The surrogate whose gradient is used."""
        return self._unregistered[0]

    def forward(
        self,
        x: Tensor,
        qp: Qp | None = None,
        *,
        qp_map: QpMap | None = None,
    ) -> Compressed:
        """(N, C, H, W) to :class:`Compressed`; ``qp`` overrides the module's."""
        used_qp = self.qp if qp is None else qp
        return compress(
            x, used_qp, qp_map=qp_map, surrogate=self.surrogate, threads=self.threads, **self.options
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> BPG:
        """What ``.to()`` and its like call."""

        def moved(tensor: Tensor) -> Tensor:
            result = fn(tensor)
            narrow = result.is_floating_point() and result.itemsize < torch.float32.itemsize
            return tensor.to(result.device) if narrow else result

        if recurse and isinstance(self.surrogate, nn.Module):
            self.surrogate._apply(moved)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def extra_repr(self) -> str:
        """The arguments."""
        named = {"surrogate": type(self.surrogate).__name__, "threads": self.threads, **self.options}
        return ", ".join([f"qp={self.qp}", *(f"{name}={value!r}" for name, value in named.items())])
