"""Refining pictures that are coded smaller: what networks look at, and the files at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from npp.codec.encoding import encode
from npp.codec.metadata import Metadata, check_metadata
from npp.gradient.prediction import PictureLoss
from npp.gradient.refine_objective import listed_tasks, resolve_weight
from npp.gradient.refinement import Refined, refine
from npp.recipes.parts import CodecInput
from npp.recipes.picture_floats import shown
from npp.recipes.size_extension import with_size
from npp.restoration import Restorer

Size = tuple[int, int]


def refined_files(
    ready: CodecInput,
    qp: int,
    task: PictureLoss | Sequence[PictureLoss],
    size: Size,
    restorer: Restorer | None,
    *,
    weight: float | Sequence[float] | Tensor | None,
    metadata: Metadata | None,
    threads: int | None,
    options: dict[str, Any],
    **search: Any,
) -> Refined:
    """Refines pictures that a recipe has prepared, see :meth:`npp.Recipe.refine`, and writes their files.

    Args:
        ready: the pictures as they are coded.
        qp: of all of them.
        size: height and width that the pictures had.
        restorer: what their networks look through, if there is one.
        options: of the codec.
        task, weight, metadata, threads, **search: as for :meth:`npp.Recipe.refine`.
    """
    check_metadata(metadata)
    shrunk = ready.x.shape[-2] * ready.x.shape[-1] / (size[0] * size[1])
    refined = refine(
        ready.x,
        qp,
        _looking_at_shown(task, size, restorer),
        # The bits that refine counts are those of the coded pixels.
        weight=resolve_weight(weight, [qp] * len(ready.x), ready.x) / shrunk,
        qp_map=ready.qp_map,
        threads=threads,
        **search,
        **options,
    )
    return _finished(refined, qp, size, metadata, options, threads, restorer)


def _looking_at_shown(
    task: PictureLoss | Sequence[PictureLoss], size: Size, restorer: Restorer | None
) -> list[PictureLoss]:
    """Tasks that look at decoded pictures restored and brought back to their height and width."""

    def looking(loss: PictureLoss) -> PictureLoss:
        return lambda pictures: loss(shown(pictures, size, restorer))

    return [looking(loss) for loss in listed_tasks(task)]


@torch.no_grad()
def _finished(
    refined: Refined,
    qp: int,
    size: Size,
    metadata: Metadata | None,
    options: dict[str, Any],
    threads: int | None,
    restorer: Restorer | None,
) -> Refined:
    """The result with decoded pictures as shown, bits for their pixels, and files that say their size.

    The files are written anew only where they have something to say: the size, or metadata.
    """
    refined = refined._replace(x_hat=shown(refined.x_hat, size, restorer))
    smaller = refined.x.shape[-2:] != size
    if not smaller and metadata in (None, Metadata()):
        return refined
    written = with_size(metadata, *size) if smaller else metadata
    files = encode(list(refined.x), qp, qp_map=refined.qp_map, metadata=written, threads=threads, **options)
    bpp = refined.bpp.new_tensor([8 * len(file) / (size[0] * size[1]) for file in files])
    return refined._replace(bpp=bpp, bitstreams=files)
