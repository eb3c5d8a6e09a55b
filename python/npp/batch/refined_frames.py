"""Pictures and qp maps refined for a network that a file holds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from npp.batch.recipe_use import RecipeUse
from npp.codec.image_inputs import CodecImage, SingleImage
from npp.codec.metadata import Metadata
from npp.gradient.prediction import View, keep_prediction
from npp.gradient.refinement import refine
from npp.recipes.picture_floats import as_floats
from npp.torch_state import in_plain_torch, memory_error_names


def load_exported(path: str) -> Callable[[Tensor], Tensor]:
    """A network saved by ``torch.export.save``, from RGB pictures in [0, 1] to logits.

    It must take pictures (1, 3, H, W) of every size that occurs (``dynamic_shapes``) and return (1, classes)
    or (1, classes, ...). It is loaded once, and again after the file has changed.

    Raises:
        ValueError: the file cannot be read.
    """
    return _loaded(path, file_stamp(path))


def file_stamp(path: str) -> tuple[int, int] | None:
    """Time and size of a file, which change when it is replaced; ``None`` if there is no file."""
    if not Path(path).is_file():
        return None
    status = Path(path).stat()
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=2)
def _loaded(path: str, stamp: tuple[int, int] | None) -> Callable[[Tensor], Tensor]:
    if stamp is None:
        raise ValueError(f"there is no file {path}")
    try:
        with _silent_export():
            network = in_plain_torch(lambda: torch.export.load(path).module())
    except Exception as error:  # damaged bytes may raise anything
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"{path} is not a file of torch.export.save: {reason}") from None

    return lambda pictures: _logits(network, pictures, path)


# How messages of torch's guards begin, since 2.6 and before.
_OTHER_SHAPE = ("Guard failed", "Expected input at")


def _logits(network: Callable[[Tensor], Tensor], pictures: Tensor, path: str) -> Tensor:
    try:
        return network(pictures)
    except (AssertionError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        if not reason.startswith(_OTHER_SHAPE):
            raise
        raise ValueError(
            f"the network of {path} takes no pictures of shape {tuple(pictures.shape)} ({reason}): export it "
            "with dynamic_shapes for the dimensions 0, 2 and 3"
        ) from None


@contextmanager
def _silent_export() -> Iterator[None]:
    """Silences the traceback that torch logs for a file that it cannot load; the error says enough."""
    log = logging.getLogger("torch.export")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


def colour_of(pictures: Tensor) -> Tensor:
    """Pictures (N, C, H, W) as RGB: gray is repeated, and alpha is left out."""
    return pictures.expand(-1, 3, -1, -1) if pictures.shape[1] == 1 else pictures[:, :3]


def keep_seen(path: str, x: Tensor, views: Sequence[View] = ()) -> Callable[[Tensor], Tensor]:
    """The loss of decoded pictures against what the network of a file sees in ``x`` (1, C, H, W)."""
    network = load_exported(path)
    return keep_prediction(lambda pictures: network(colour_of(pictures)), x, views)


def refine_frame(
    frame: SingleImage, qp: int, path: str, options: dict[str, Any], views: Sequence[View]
) -> Tensor:
    """A picture refined for the network of a file: floats (C, H, W) in [0, 1]."""
    x = as_floats(CodecImage(frame, "image"))
    with memory_error_names("refining", x.shape[-2], x.shape[-1]):
        return refine(x, qp, keep_seen(path, x, views), threads=1, **options).x[0]


def refined_by_recipe(
    frame: SingleImage,
    qp: int,
    path: str,
    use: RecipeUse,
    metadata: Metadata,
    options: dict[str, Any],
    views: Sequence[View],
) -> bytes:
    """The file of a picture that a recipe prepares, with a map refined for the network of a file."""
    x = as_floats(CodecImage(frame, "image"))
    with memory_error_names("refining", x.shape[-2], x.shape[-1]):
        refined = use.recipe.refine(
            x, qp, keep_seen(path, x, views), parts=use.parts, metadata=metadata, threads=1, **options
        )
    return refined.bitstreams[0]
