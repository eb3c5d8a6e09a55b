"""Batches that a recipe prepares, through the codec and back at their own size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from npp.gradient.pairing import Compressed, compress
from npp.gradient.surrogates import Surrogate
from npp.recipes.parts import CodecInput
from npp.recipes.picture_floats import shown
from npp.restoration import Restorer


def compress_prepared(
    x: Tensor,
    qps: Sequence[int],
    prepare: Callable[[Tensor, int], CodecInput],
    restorer: Restorer | None,
    surrogate: str | Surrogate,
    threads: int | None,
    options: dict[str, Any],
) -> Compressed:
    """As :func:`npp.compress`, the pictures of one qp at a time, since their size depends on it.

    Args:
        x: (N, C, H, W) checked pictures.
        qps: one each.
        prepare: scales, filters and maps pictures (n, C, H, W) for a qp.
        restorer: what stands behind the decoder, if there is one.
        surrogate, threads, options: of :func:`npp.compress`.

    Returns:
        x_hat restored and of x's shape; bpp counts the pixels of x.
    """
    height, width = x.shape[-2:]
    x_hat, bpp = [x] * len(x), [x] * len(x)  # every place is filled
    files: list[bytes] = [b""] * len(x)
    for qp in sorted(set(qps)):
        rows = [row for row, one in enumerate(qps) if one == qp]
        ready = prepare(x[rows], qp)
        found = compress(ready.x, qp, qp_map=ready.qp_map, surrogate=surrogate, threads=threads, **options)
        pixels = ready.x.shape[-2] * ready.x.shape[-1] / (height * width)
        large = shown(found.x_hat, (height, width), restorer)
        for place, row in enumerate(rows):
            x_hat[row], bpp[row] = large[place], found.bpp[place] * pixels
            files[row] = found.bitstreams[place]
    return Compressed(torch.stack(x_hat), torch.stack(bpp), files)
