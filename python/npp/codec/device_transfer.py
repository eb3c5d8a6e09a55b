"""Pixels on their way from a tensor's device to the codec and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

import npp._bpg as _bpg
from npp._bpg import EncodeError
from npp.codec.sample_range import range_error, warn_outside
from npp.torch_state import moved, widened

_NUMPY: dict[torch.dtype, Any] = {torch.float32: np.float32, torch.int64: np.int64}


def small_tensor(values: Sequence[float], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Numbers as a tensor of a device, without waiting for the work that is queued there.

    By way of NumPy, which takes half the time that torch takes for a list.
    """
    tensor = torch.from_numpy(np.array(values, dtype=_NUMPY[dtype]))
    return tensor if device.type == "cpu" else moved(tensor, device)


class DeviceTransfer:
    """Brings a batch to the codec and the decoded batch back to where x lives.

    CPU tensors are read and written in place. Tensors of another device are quantised there, so that
    one byte a sample (two when ``deep``) crosses the bus each way. On CUDA that goes through pinned memory,
    which PyTorch keeps for the next batch, and the only wait is for x itself: what the caller queues while
    the codec works is not waited for.
    """

    def __init__(self, x: Tensor, *, deep: bool) -> None:
        self._x = x
        self._peak = 65535 if deep else 255
        self._remote = x.device.type != "cpu"
        self._range: Tensor | None = None

    def to_codec(self) -> Tensor:
        """x as a CPU tensor that the codec reads. Waits for x's own stream only."""
        x = self._x
        if not self._remote:
            return x.float() if x.dtype == torch.bfloat16 else x.resolve_neg()
        if x.is_floating_point():
            # NaN where there is one. It is on its way before the pixels are, and so here when they are.
            self._range = self._start_download(torch.stack(x.flatten(1).aminmax(dim=1)))
            x = (widened(x).clamp(0, 1) * self._peak + 0.5).floor().nan_to_num()
            # uint16 has few kernels on devices; its bits travel as int32 turned into int16.
            x = (
                x.to(torch.int32).to(torch.int16).view(torch.uint16)
                if self._peak > 255
                else x.to(torch.uint8)
            )
        return self._download(x)

    def _start_download(self, x: Tensor) -> Tensor:
        if x.device.type != "cuda":
            return x.cpu()
        host = torch.empty(x.shape, dtype=x.dtype, device="cpu", pin_memory=True)
        return host.copy_(x, non_blocking=True)

    def _download(self, x: Tensor) -> Tensor:
        host = self._start_download(x)
        if x.device.type != "cuda":
            return host
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record(torch.cuda.current_stream(x.device))
        done.synchronize()
        return host

    def buffer_for(self, samples: Tensor) -> Tensor:
        """Memory for the decoded pictures, which the codec writes."""
        pinned = self._x.device.type == "cuda"
        if pinned or samples.nbytes < _bpg.LARGE_OUTPUT:
            # In less than half the time of torch.empty, which small pictures feel.
            return torch.empty_like(samples, memory_format=torch.contiguous_format, pin_memory=pinned)
        # Shaped before torch sees it: a view of a tensor cannot be changed in place wherever a tensor can.
        memory = _bpg.output_bytes(samples.nbytes).view(samples.numpy().dtype)
        return torch.from_numpy(memory.reshape(samples.shape))

    def errors(self) -> dict[int, EncodeError]:
        """The pictures of x, on another device, that hold NaN or are of another scale than [0, 1].

        Those of the CPU the codec itself finds.
        """
        errors: dict[int, EncodeError] = {}
        ranges = [] if self._range is None else self._range.double().T.tolist()
        for i, (low, high) in enumerate(ranges):
            if (wrong := range_error(f"x[{i}]", low, high, i)) is not None:
                errors[i] = wrong
            else:
                warn_outside(f"x[{i}]", low, high)
        return errors

    def from_codec(self, x_hat: Tensor) -> Tensor:
        """The codec's output, in memory of ``buffer_for``, with x's dtype on x's device."""
        if not self._remote:
            return x_hat if x_hat.dtype == self._x.dtype else x_hat.to(self._x.dtype)
        # Elsewhere than on CUDA the memory could be used again before the copy has read it.
        remote = x_hat.to(self._x.device, non_blocking=self._x.device.type == "cuda")
        if not self._x.is_floating_point():
            return remote
        wide = torch.float64 if self._x.dtype == torch.float64 else torch.float32
        if remote.dtype == torch.uint16:
            remote = remote.view(torch.int16).to(torch.int32) & 0xFFFF
        # A tensor there, for CUDA multiplies by the inverse of a plain number, and its last bit is another.
        peak = torch.full((), self._peak, dtype=wide, device=remote.device)
        return (remote.to(wide) / peak).to(self._x.dtype)
