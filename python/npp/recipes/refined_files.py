"""Refining pictures that are coded smaller: what networks look at, and the files at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from npp.codec.encoding import encode
from npp.codec.metadata import Metadata
from npp.gradient.prediction import PictureLoss
from npp.gradient.refinement import Refined
from npp.recipes.scale import enlarge
from npp.recipes.size_extension import with_size

Size = tuple[int, int]


def at_size(task: PictureLoss | Sequence[PictureLoss], size: Size) -> list[PictureLoss]:
    """Tasks that look at decoded pictures brought back to their height and width."""

    def looking(one: PictureLoss) -> PictureLoss:
        return lambda pictures: one(enlarge(pictures, size))

    return [looking(one) for one in ([task] if callable(task) else task)]


@torch.no_grad()
def told_all(
    found: Refined,
    qp: int,
    size: Size,
    metadata: Metadata | None,
    options: dict[str, Any],
    threads: int | None,
) -> Refined:
    """The same with decoded pictures of that height and width, bits for their pixels, and files that say so.

    The files are written anew only where they have something to say: the size, or metadata.
    """
    smaller = found.x.shape[-2:] != size
    if not smaller and metadata in (None, Metadata()):
        return found
    said = with_size(metadata, *size) if smaller else metadata
    files = encode(list(found.x), qp, qp_map=found.qp_map, metadata=said, threads=threads, **options)
    bpp = found.bpp.new_tensor([8 * len(file) / (size[0] * size[1]) for file in files])
    return found._replace(x_hat=enlarge(found.x_hat, size), bpp=bpp, bitstreams=files)
