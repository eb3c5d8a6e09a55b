"""A batch through encoder and decoder at once, while the caller does other things."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

import npp._bpg as _bpg
from npp._bpg import BPGError, EncodeError, UnsupportedError
from npp.codec.batch_hints import batch_hint, floats_hint
from npp.codec.device_transfer import DeviceTransfer, small_tensor
from npp.codec.errors import indexed, named, raise_first
from npp.codec.image_inputs import Array, check_dtype, check_geometry, describe_range
from npp.codec.limits import resolve_threads
from npp.codec.options import ResolvedOptions, resolve_options, resolve_qp
from npp.codec.qp_maps import NativeMaps, Qp, QpMap, resolve_qp_maps
from npp.codec.sample_range import range_error, warn_outside
from npp.codec.tensor_memory import why_without_pixels


class RoundTrip:
    """A batch on its way through the codec; the codec's threads work while the caller does other things.

    Made by :func:`start_round_trip`, or of arguments that were checked as there. Batches of one
    ``sequence`` other than 0 are worked on one after the other; those of others share the threads.

    Attributes:
        hevc_seconds, seconds: wall time of each picture within x265, and of all that C++ does for it; known
            after ``result``.
    """

    def __init__(
        self,
        x: Tensor,
        qps: list[int],
        options: ResolvedOptions,
        threads: int,
        qp_maps: NativeMaps | None = None,
        sequence: int = 0,
        waits: bool = False,
    ) -> None:
        self._x = x
        self._transfer = DeviceTransfer(x, deep=options.bit_depth > 8)
        samples = self._transfer.to_codec()
        self._x_hat = self._transfer.buffer_for(samples)
        self._samples: Array = samples.numpy()
        native = options.native(gray=x.shape[1] == 1)
        batch_qps = _bpg.BatchQps(qps, options.alpha_qps(qps), qp_maps)
        self._handle = _bpg.start_round_trip(
            self._samples, batch_qps, native, self._x_hat.numpy(), threads, sequence, waits
        )
        self.hevc_seconds: list[float] = []
        self.seconds: list[float] = []

    def result(self) -> tuple[Tensor, Tensor, list[bytes]]:
        """Waits for the codec and returns its results.

        Returns:
            x_hat like x, contiguous, values of the decoder; bpp (N,) float32 on x's device; the files.

        Raises:
            EncodeError: NaN or samples of another scale than [0, 1] in x, or an image that could not be
                encoded; the message and ``index`` say which, ``results`` has a file or an error for each
                picture.
        """
        results = self._handle.result()
        outcomes: list[Any] = [self._file(i, result) for i, result in enumerate(results)]
        for i, wrong in self._transfer.errors().items():
            outcomes[i] = wrong
        raise_first(outcomes, outcomes)
        bitstreams: list[bytes] = outcomes
        self.hevc_seconds = [result.hevc_seconds for result in results]
        self.seconds = [result.seconds for result in results]
        height, width = self._x.shape[-2:]
        bits = [8 * len(file) / (height * width) for file in bitstreams]
        bpp = small_tensor(bits, torch.float32, self._x.device)
        return self._transfer.from_codec(self._x_hat), bpp, bitstreams

    def _file(self, index: int, result: _bpg.EncodeOutcome) -> bytes | BPGError:
        if result.error is not None:
            return named(result.error, "x", index, True)
        samples = self._samples[index]
        if result.nan:
            return indexed(EncodeError, describe_range(f"x[{index}]", samples), index)
        assert result.file is not None
        if result.outside:
            name, low, high = f"x[{index}]", float(samples.min()), float(samples.max())
            if (wrong := range_error(name, low, high, index)) is not None:
                return wrong
            warn_outside(name, low, high)
        return result.file


def check_batch(x: object) -> None:
    """Raises what :func:`start_round_trip` does for what is no batch of pictures with pixels in memory."""
    if not isinstance(x, Tensor):
        raise TypeError(f"x must be a torch tensor (N, C, H, W), not {type(x).__name__}{floats_hint(x)}")
    check_dtype("x", x.dtype)
    if (why := why_without_pixels(x)) is not None:
        raise UnsupportedError(
            f"x is {why}, and the codec needs pixels in memory: trace, export or compile what is in front of "
            "npp.compress and behind it, and call npp.compress between them"
        )
    if x.ndim != 4:
        raise EncodeError(f"x has shape {tuple(x.shape)}; (N, C, H, W) is needed{batch_hint(x)}")
    if x.shape[0] == 0:
        raise EncodeError(f"x is an empty batch of shape {tuple(x.shape)}; at least one picture is needed")
    check_geometry("x", x.shape[1], x.shape[2], x.shape[3])


def start_round_trip(
    x: Tensor,
    qp: Qp,
    options: Mapping[str, Any] | None = None,
    threads: int | None = None,
    *,
    qp_map: QpMap | None = None,
    waits: bool = False,
) -> RoundTrip:
    """Starts encoding a batch and returns at once; ``.result()`` joins.

    Args:
        x: tensor (N, C, H, W), uint8, uint16 or floating. Values outside [0, 1] are clamped as far as they
            are not plainly of another scale.
        qp: an int, or one per image.
        options: see :class:`npp.CodecOptions`.
        threads: codec threads, ``None`` for all usable cores.
        qp_map: (N, ceil(H/16), ceil(W/16)) offsets, or a list with a map or ``None`` for each picture.
        waits: ``.result()`` follows at once: of small pictures the calling thread then codes one itself,
            which saves waking another.

    Raises:
        TypeError, EncodeError, UnsupportedError: as :func:`encode`; x is traced, sparse or on the device
            meta.
    """
    check_batch(x)
    return begin_round_trip(x, resolve_qp(qp, x.shape[0]), options, threads, qp_map=qp_map, waits=waits)


def begin_round_trip(
    x: Tensor,
    qps: list[int],
    options: Mapping[str, Any] | None = None,
    threads: int | None = None,
    *,
    qp_map: QpMap | None = None,
    waits: bool = False,
) -> RoundTrip:
    """Starts the round trip of a batch and qps that the caller has checked.

    Of small pictures :func:`start_round_trip`, which checks them, takes noticeably longer.
    """
    resolved = resolve_options(options or {})
    sizes = [(x.shape[2], x.shape[3])] * x.shape[0]
    maps = resolve_qp_maps(qp_map, sizes, lossless=resolved.lossless)
    return RoundTrip(x.detach(), qps, resolved, resolve_threads(threads), maps, waits=waits)
