"""A batch through the codec in parts, so that a network works on the first while the codec has the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import Unpack

import npp.checks as checks
from npp.codec.errors import UnsupportedError
from npp.codec.limits import resolve_threads
from npp.codec.option_signature import shows_options
from npp.codec.options import CodecOptions, resolve_options, resolve_qp
from npp.codec.qp_maps import Qp, QpMap, resolve_qp_maps
from npp.codec.round_trip import RoundTrip, check_batch
from npp.gradient.pairing import NO_GRAPH, Compressed, finish_round_trip, will_estimate
from npp.gradient.surrogates import DEFAULT_SURROGATE, Surrogate, resolve_surrogate
from npp.torch_state import in_transform, outside_graphs

#: Of a batch.
MOST_PARTS = 1024
# Parts of one call are coded one after the other, so that the first is there early.
_SEQUENCES = count(1)


class _Part(NamedTuple):
    x: Tensor
    qps: list[int]
    qp_map: QpMap | None
    round_trip: RoundTrip


class _Parts(Iterator[Compressed]):
    """Hands out the parts in order; a caller that goes on after an error skips the part that had it."""

    def __init__(self, surrogate: Surrogate, parts: Sequence[_Part], options: CodecOptions) -> None:
        self.surrogate = surrogate
        self._left = list(reversed(parts))
        self.options = options

    def __next__(self) -> Compressed:
        run = _finish_outside_the_graph if torch.compiler.is_dynamo_compiling() else _finish_next
        return run(self)

    def pop(self) -> _Part:
        """The next part that is not finished yet."""
        if not self._left:
            raise StopIteration
        return self._left.pop()


def _finish_next(parts: _Parts) -> Compressed:
    part = parts.pop()
    return finish_round_trip(parts.surrogate, part.x, part.qps, part.qp_map, part.round_trip, parts.options)


_finish_outside_the_graph = outside_graphs(_finish_next, NO_GRAPH)


def part_slices(count: int, parts: int) -> list[slice]:
    """Slices of a batch: as many as ``parts`` or pictures, whose lengths differ by one at most."""
    parts = min(parts, count)
    ends = [count * i // parts for i in range(parts + 1)]
    return [slice(start, end) for start, end in pairwise(ends)]


def _begin(
    x: Tensor,
    qp: Qp,
    parts: int,
    qp_map: QpMap | None,
    surrogate: str | Surrogate,
    threads: int | None,
    options: CodecOptions,
) -> Iterator[Compressed]:
    checks.whole("parts", parts, 1, MOST_PARTS)
    estimator = resolve_surrogate(surrogate)
    if in_transform():
        raise UnsupportedError(
            "npp.compress_in_parts does not work under torch.func's transforms; use npp.compress or autograd"
        )
    check_batch(x)
    threads, qps, resolved = resolve_threads(threads), resolve_qp(qp, x.shape[0]), resolve_options(options)
    # Of the whole batch, so that messages count from its first picture.
    sizes = [(x.shape[2], x.shape[3])] * len(qps)
    maps = resolve_qp_maps(qp_map, sizes, lossless=resolved.lossless)
    will_estimate(estimator, x, qp_map)
    sequence, pending = next(_SEQUENCES), []
    for rows in part_slices(len(qps), parts):
        piece, part_maps = x[rows], None if maps is None else maps[rows]
        round_trip = RoundTrip(piece.detach(), qps[rows], resolved, threads, part_maps, sequence)
        pending.append(_Part(piece, qps[rows], None if qp_map is None else qp_map[rows], round_trip))
    return _Parts(estimator, pending, options)


_begin_outside_the_graph = outside_graphs(_begin, NO_GRAPH)


@shows_options()
def compress_in_parts(
    x: Tensor,
    qp: Qp = checks.DEFAULT_QP,
    *,
    parts: int = 4,
    qp_map: QpMap | None = None,
    surrogate: str | Surrogate = DEFAULT_SURROGATE,
    threads: int | None = None,
    **options: Unpack[CodecOptions],
) -> Iterator[Compressed]:
    """Compresses a batch and hands it out in parts, each while the codec still works on those after it.

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
        encoded when its part is taken, where ``index`` counts from the part's first picture. The parts after
        it can still be taken.
        UnsupportedError: under the transforms of ``torch.func``, where :func:`npp.compress` works.
    """
    run = _begin_outside_the_graph if torch.compiler.is_dynamo_compiling() else _begin
    return run(x, qp, parts, qp_map, surrogate, threads, options)
