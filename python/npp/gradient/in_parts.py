"""A batch through the codec in parts, so that a network works on the first while the codec has the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, pairwise
from typing import NamedTuple

from torch import Tensor
from typing_extensions import Unpack

import npp.checks as checks
from npp.codec.limits import resolve_threads
from npp.codec.options import CodecOptions, resolve_qp
from npp.codec.qp_maps import QpMap, check_map_count
from npp.codec.round_trip import RoundTrip, begin_round_trip, check_batch
from npp.gradient.pairing import Compressed, finish_round_trip
from npp.gradient.surrogates import DEFAULT_SURROGATE, Surrogate, resolve_surrogate

# Parts of one call are coded one after the other, so that the first is there early.
_LINES = count(1)


class _Part(NamedTuple):
    x: Tensor
    qps: list[int]
    qp_map: QpMap | None
    round_trip: RoundTrip


def part_slices(count: int, parts: int) -> list[slice]:
    """Where a batch is cut: as many pieces as ``parts`` or pictures, their lengths one apart at most."""
    parts = min(parts, count)
    ends = [count * i // parts for i in range(parts + 1)]
    return [slice(start, end) for start, end in pairwise(ends)]


def compress_in_parts(
    x: Tensor,
    qp: int | Sequence[int] | Tensor = 29,
    *,
    parts: int = 4,
    qp_map: QpMap | None = None,
    surrogate: str | Surrogate = DEFAULT_SURROGATE,
    threads: int | None = None,
    **options: Unpack[CodecOptions],
) -> Iterator[Compressed]:
    """As :func:`npp.compress`, a part of the batch at a time, while the codec works on all that are left.

    A step of training has the codec wait for the network and the network for the codec. Where they run on
    different machinery, a GPU and the cores beside it, they can work at once: all pictures are given to the
    codec when this is called, and each part is handed out as soon as it is decoded. Values and gradients are
    those of :func:`npp.compress` on the whole batch::

        for part, wanted in zip(npp.compress_in_parts(x, qp, parts=4), targets.chunk(4)):
            total = total + loss(network(part.x_hat), wanted).sum()

    Where all work shares the same few cores nothing is gained.

    Args:
        x, qp, qp_map, surrogate, threads, options: as in :func:`npp.compress`.
        parts: how many, 1 to 1,024; at most one for each picture. They follow each other as
            ``torch.tensor_split`` cuts, or nearly so: their lengths differ by one at most.

    Returns:
        The parts in order. Whoever stops early need not take the others.

    Raises:
        As :func:`npp.compress` at once for what is wrong with the arguments; for a picture that cannot be
        encoded when its part is taken, where ``index`` counts from the part's first picture.
    """
    checks.whole("parts", parts, 1, 1024)
    check_batch(x)
    chosen, line = resolve_surrogate(surrogate), next(_LINES)
    threads = resolve_threads(threads)
    qps = resolve_qp(qp, x.shape[0])
    check_map_count(qp_map, len(qps))
    started = []
    for where in part_slices(len(qps), parts):
        piece, maps = x[where], None if qp_map is None else qp_map[where]
        round_trip = begin_round_trip(piece, qps[where], options, threads, qp_map=maps, line=line)
        started.append(_Part(piece, qps[where], maps, round_trip))
    return (finish_round_trip(chosen, one.x, one.qps, one.qp_map, one.round_trip, options) for one in started)
