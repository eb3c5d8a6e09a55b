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
    """What :meth:`npp.Recipe.refine` gives for pictures that the recipe has prepared.

    Args:
        ready: the pictures as they are coded.
        qp: of all of them.
        size: height and width that the pictures had.
        restorer: what their networks look through, if there is one.
        options: of the codec.
        task, weight, metadata, threads, **search: as there.
    """
    check_metadata(metadata)
    shrunk = ready.x.shape[-2] * ready.x.shape[-1] / (size[0] * size[1])
    found = refine(
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
    return _told_all(found, qp, size, metadata, options, threads, restorer)


def _looking_at_shown(
    task: PictureLoss | Sequence[PictureLoss], size: Size, restorer: Restorer | None
) -> list[PictureLoss]:
    """Tasks that look at decoded pictures restored and brought back to their height and width."""

    def looking(one: PictureLoss) -> PictureLoss:
        return lambda pictures: one(shown(pictures, size, restorer))

    return [looking(one) for one in listed_tasks(task)]


@torch.no_grad()
def _told_all(
    found: Refined,
    qp: int,
    size: Size,
    metadata: Metadata | None,
    options: dict[str, Any],
    threads: int | None,
    restorer: Restorer | None,
) -> Refined:
    """The same with decoded pictures as they are shown, bits for their pixels, and files that say their size.

    The files are written anew only where they have something to say: the size, or metadata.
    """
    found = found._replace(x_hat=shown(found.x_hat, size, restorer))
    smaller = found.x.shape[-2:] != size
    if not smaller and metadata in (None, Metadata()):
        return found
    said = with_size(metadata, *size) if smaller else metadata
    files = encode(list(found.x), qp, qp_map=found.qp_map, metadata=said, threads=threads, **options)
    bpp = found.bpp.new_tensor([8 * len(file) / (size[0] * size[1]) for file in files])
    return found._replace(bpp=bpp, bitstreams=files)
