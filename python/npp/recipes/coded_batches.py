"""Batches that a recipe prepares, through the codec and back at their own size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from npp.codec.errors import BPGError, indexed, raise_first
from npp.gradient.pairing import Compressed, compress
from npp.gradient.surrogates import Surrogate
from npp.recipes.parts import CodecInput
from npp.recipes.picture_floats import shown
from npp.restoration import Restorer


def _results_at(error: BPGError, rows: Sequence[int]) -> list[Any]:
    """The outcomes of one call of the codec, its errors named and numbered as those of the whole batch.

    Raises:
        BPGError: the error, where it is not that of a picture.
    """
    if error.results is None:
        raise error
    return [
        indexed(type(result), str(result).replace(f"x[{index}]", f"x[{row}]", 1), row)
        if isinstance(result, BPGError)
        else result
        for index, (row, result) in enumerate(zip(rows, error.results, strict=True))
    ]


def compress_prepared(
    x: Tensor,
    qps: Sequence[int],
    prepare: Callable[[Tensor, int], CodecInput],
    restorer: Restorer | None,
    surrogate: str | Surrogate,
    threads: int | None,
    options: dict[str, Any],
) -> Compressed:
    """Compresses pictures as a recipe prepares them, those of one qp at a time: their size depends on it.

    Args:
        x: (N, C, H, W) checked pictures.
        qps: one each.
        prepare: scales, filters and maps pictures (n, C, H, W) for a qp.
        restorer: what stands behind the decoder, if there is one.
        surrogate, threads, options: of :func:`npp.compress`.

    Returns:
        x_hat restored and of x's shape; bpp counts the pixels of x.

    Raises:
        EncodeError: a picture could not be encoded; ``index`` and ``results`` are those of the whole batch.
    """
    height, width = x.shape[-2:]
    x_hat, bpp = [x] * len(x), [x] * len(x)  # every place is filled
    files: list[Any] = [b""] * len(x)  # or errors
    for qp in sorted(set(qps)):
        rows = [row for row, row_qp in enumerate(qps) if row_qp == qp]
        ready = prepare(x[rows], qp)
        try:
            compressed = compress(
                ready.x, qp, qp_map=ready.qp_map, surrogate=surrogate, threads=threads, **options
            )
        except BPGError as error:
            for row, result in zip(rows, _results_at(error, rows), strict=True):
                files[row] = result
            continue
        pixels = ready.x.shape[-2] * ready.x.shape[-1] / (height * width)
        large = shown(compressed.x_hat, (height, width), restorer)
        for index, row in enumerate(rows):
            x_hat[row], bpp[row] = large[index], compressed.bpp[index] * pixels
            files[row] = compressed.bitstreams[index]
    raise_first(files, files)
    return Compressed(torch.stack(x_hat), torch.stack(bpp), files)
