"""A batch of tensors through the real codec, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from npp.codec import BytesLike, decode_batch, start_round_trip
from npp.options import CodecOptions


class Compressed(NamedTuple):
    x_hat: Tensor
    bpp: Tensor
    bitstreams: list[bytes]


def compress(x: Tensor, qp: Any, *, threads: int | None = None, **options: Unpack[CodecOptions]) -> Compressed:
    return Compressed(*start_round_trip(x, qp, options, threads).result())


def decompress(bitstreams: Sequence[BytesLike], *, dtype: torch.dtype = torch.float32) -> Tensor:
    return decode_batch(bitstreams, dtype=dtype)


class BPG(nn.Module):
    def __init__(self, qp: Any) -> None:
        super().__init__()
        self.qp = qp
