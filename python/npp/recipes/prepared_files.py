"""Files of pictures that a recipe prepares, each with the size that it had."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from npp.codec.encoding import encode_pictures
from npp.codec.errors import BPGError, named
from npp.codec.image_inputs import CodecImage, PictureOrError
from npp.codec.metadata import Metadata
from npp.codec.options import ResolvedOptions
from npp.recipes.parts import CodecInput
from npp.recipes.picture_floats import as_floats
from npp.recipes.scale import ScaleRule
from npp.recipes.size_extension import with_size
from npp.torch_state import memory_error_names


def encode_prepared(
    pictures: Sequence[PictureOrError],
    qps: Sequence[int],
    options: ResolvedOptions,
    *,
    scale: ScaleRule | None,
    prepare: Callable[[Tensor, int], CodecInput],
    device: torch.device,
    metadata: Metadata | None,
    threads: int | None,
    is_batch: bool,
) -> list[Any]:
    """Files of checked pictures; an error, one that is given included, stands in its picture's place.

    Args:
        pictures, qps: one each.
        options: of the codec.
        scale: which of them are coded smaller; their files carry the size.
        prepare: scales, filters and maps a picture (1, C, H, W) on the device for its qp.
        device: of the recipe's networks.
        metadata: of all files.
        threads: of the codec.
        is_batch: whether messages number the pictures.
    """
    outcomes: list[Any] = list(pictures)
    for size, rows in _by_size_before(pictures, qps, scale).items():
        prepared = {row: _prepared_or_not(outcomes[row], qps[row], prepare, device) for row in rows}
        ready = {row: pair for row, pair in prepared.items() if not isinstance(pair, MemoryError)}
        results = encode_pictures(
            [picture for picture, _ in ready.values()],
            [qps[row] for row in ready],
            options,
            qp_maps=[qp_map for _, qp_map in ready.values()],
            metadata=metadata if size is None else with_size(metadata, *size),
            threads=threads,
            is_batch=False,  # they are numbered by their places among all
        )
        for row, outcome in {**prepared, **dict(zip(ready, results, strict=True))}.items():
            wrong = isinstance(outcome, (BPGError, MemoryError))
            outcomes[row] = named(outcome, "image", row, is_batch) if wrong else outcome
    return outcomes


def _prepared_or_not(
    picture: CodecImage, qp: int, prepare: Callable[[Tensor, int], CodecInput], device: torch.device
) -> tuple[CodecImage, Any] | MemoryError:
    """A picture for the codec with its map, or the error where memory did not suffice to prepare it."""
    try:
        with memory_error_names("preparing", picture.samples.shape[-2], picture.samples.shape[-1]):
            return _ready(picture, as_floats(picture).to(device), qp, prepare)
    except MemoryError as short:
        return MemoryError(str(short))  # without what it was raised from, whose traceback keeps pictures


def _ready(
    picture: CodecImage, x: Tensor, qp: int, prepare: Callable[[Tensor, int], CodecInput]
) -> tuple[CodecImage, Any]:
    ready = prepare(x, qp)
    # Where neither filter nor scale is used the samples go to the codec as they are, 16 bits included.
    return (
        picture if ready.x is x else picture.with_samples(ready.x[0].cpu().numpy()),
        None if ready.qp_map is None else ready.qp_map[0].float().cpu().numpy(),
    )


def _by_size_before(
    pictures: Sequence[PictureOrError], qps: Sequence[int], rule: ScaleRule | None
) -> dict[tuple[int, int] | None, list[int]]:
    """Places of the pictures that are coded smaller by their own size, those of others under ``None``."""
    groups: dict[tuple[int, int] | None, list[int]] = {}
    for row, picture in enumerate(pictures):
        if isinstance(picture, CodecImage):
            size = picture.samples.shape[-2], picture.samples.shape[-1]
            smaller = rule is not None and rule.size(qps[row], *size) != size
            groups.setdefault(size if smaller else None, []).append(row)
    return groups
