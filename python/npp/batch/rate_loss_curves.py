"""Rate curves and loss curves of pictures: bits and a network's loss at every qp, for sharing bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from typing_extensions import Unpack

from npp.allocation.sharing import RATE_QPS, SAMPLED_QPS, SAMPLING_EFFORT, sampled_qps
from npp.batch.picture_curves import CurveSpan, PictureCurve, bits_of, losses_of, spans_to_sample
from npp.batch.rate_sampling import Keep, seen_losses
from npp.batch.recipe_use import for_several_qps
from npp.checks import brief
from npp.codec.errors import EncodeError, indexed
from npp.codec.image_inputs import CodecImage, SingleImage, several_pictures
from npp.codec.option_signature import shows_options
from npp.codec.options import CodecOptions, resolve_options
from npp.recipes.parts import Parts
from npp.recipes.picture_floats import as_floats
from npp.recipes.recipe import Recipe

_NOT_RESTORED = Parts(restorer=False)


class LossCurves(NamedTuple):
    """The result of :func:`npp.loss_curves`, as :func:`npp.share_bits` takes it.

    Attributes:
        bits: (N, 52) float64, bits of each picture's file at qp 0 to 51.
        divergence: (N, 52) float64, loss of the network for each picture at these qps.
    """

    bits: Tensor
    divergence: Tensor


@shows_options(defaults=False)
def rate_curves(
    images: Sequence[SingleImage],
    *,
    recipe: Recipe | None = None,
    qps: Sequence[int] = RATE_QPS,
    threads: int | None = None,
    **options: Unpack[CodecOptions],
) -> Tensor:
    """Bits of each picture at every qp, from a few quick encodes.

    Files of a higher effort are smaller than these curves say, at high qps by up to a third. Where a total is
    to be used up, give the ``effort`` of the files, or multiply by the ratio that the files themselves show.

    Args:
        images: several pictures, as for :func:`npp.encode`; sizes may differ.
        recipe: the recipe that the files will be made with.
        qps: at least two qps that are encoded, in any order. Where a recipe changes the size at some qp, each
            range of one size is encoded at those of them that lie in it, and at its ends where they tell
            too little of it.
        threads: codec threads, as in :func:`npp.encode`.
        **options: see :class:`npp.CodecOptions`, instead of the recipe's; ``effort`` is 1 unless given.

    Returns:
        (N, 52) float64, as :func:`npp.share_bits` takes them.

    Raises:
        TypeError: images is a single picture, recipe is no :class:`npp.Recipe`, or as :func:`npp.encode`.
        ValueError: less than two qps, or qps or threads out of range.
        EncodeError: as :func:`npp.encode`.
    """
    curves, _ = _sampled(several_pictures(images, "images"), images, recipe, qps, threads, options)
    return torch.from_numpy(bits_of(curves))


@shows_options(defaults=False)
def loss_curves(
    images: Sequence[SingleImage],
    keep: Keep,
    *,
    recipe: Recipe | None = None,
    qps: Sequence[int] = SAMPLED_QPS,
    threads: int | None = None,
    **options: Unpack[CodecOptions],
) -> LossCurves:
    """Bits of each picture and a network's loss for it at every qp, from a few quick encodes.

    ``npp.share_bits(bits, total_bits, divergence=divergence, belief=0.5)`` then chooses the qps. For the
    network that looks, and for others like it, a set saves several points more in this way than by its rate
    curves alone (docs/results.md). Losses that are below a ten thousandth of the set's mean count as that.

    Args:
        images: several pictures, as for :func:`npp.encode`; sizes may differ.
        keep: called with each clean picture (1, 3, H, W) in [0, 1], gray as RGB and without alpha; gives a
            function of such decoded ones to their loss, finite and at least 0. It may be
            ``lambda x: npp.keep_prediction(network, x)``, or with a task
            ``lambda x: task.bind(task.targets(x))``.
        recipe: the recipe that the files will be made with. The network gets the decoded pictures without the
            restorer, at their original size.
        qps: at least two qps that are encoded; with a recipe, see :func:`npp.rate_curves`.
        threads: codec threads, ``None`` for all usable cores.
        **options: see :class:`npp.CodecOptions`, instead of the recipe's; ``effort`` is 1 unless given.

    Raises:
        TypeError: images is a single picture, or as :func:`npp.encode`; ``keep`` gives no number.
        ValueError: less than two qps, or qps out of range; ``keep`` gives another number of losses than one.
        EncodeError: as :func:`npp.encode`, or a loss that is not finite or below 0; ``index`` says of which
            picture.
    """
    pictures = several_pictures(images, "images")
    if not callable(keep) or hasattr(keep, "bind"):
        raise TypeError(
            f"keep must be a function of clean pictures, not {type(keep).__name__}: of a task it is "
            "lambda x: task.bind(task.targets(x))"
        )
    curves, files = _sampled(pictures, images, recipe, qps, threads, options)
    codec = Recipe() if recipe is None else recipe

    def with_losses(span: CurveSpan, index: int) -> CurveSpan:
        shown = codec.decode(
            [files[index][qp] for qp in span.qps], parts=_NOT_RESTORED, dtype=torch.float32, threads=threads
        )
        try:
            return replace(span, losses=seen_losses(as_floats(pictures[index]), shown, keep))
        except EncodeError as error:
            raise indexed(EncodeError, f"images[{index}]: {error}", index) from None

    curves = [
        replace(curve, spans=[with_losses(span, index) for span in curve.spans])
        for index, curve in enumerate(curves)
    ]
    return LossCurves(torch.from_numpy(bits_of(curves)), torch.from_numpy(losses_of(curves)))


def _sampled(
    pictures: Sequence[CodecImage],
    images: Sequence[SingleImage],
    recipe: Recipe | None,
    qps: Sequence[int],
    threads: int | None,
    options: CodecOptions,
) -> tuple[list[PictureCurve], list[dict[int, bytes]]]:
    """Each picture's curve, without losses, and its files by qp; ``pictures`` were made from ``images``."""
    if recipe is not None and not isinstance(recipe, Recipe):
        raise TypeError(f"recipe must be an npp.Recipe or None, not {brief(recipe)}; see npp.Recipe.load")
    sampled = sampled_qps(qps)
    resolve_options(options)
    codec = Recipe() if recipe is None else recipe
    quick: Any = {"effort": SAMPLING_EFFORT, **options}
    sizes = [_size(picture) for picture in pictures]
    spans = [spans_to_sample(height, width, codec.scale, sampled) for height, width in sizes]
    qp_lists = [[qp for span in row for qp in span.qps] for row in spans]
    files = _files(list(images), qp_lists, codec, threads, quick)
    curves = [
        PictureCurve(
            height * width,
            [replace(span, sizes=[len(files_by_qp[qp]) for qp in span.qps]) for span in row],
        )
        for (height, width), row, files_by_qp in zip(sizes, spans, files, strict=True)
    ]
    return curves, files


def _files(
    images: list[SingleImage], qp_lists: list[list[int]], codec: Recipe, threads: int | None, options: Any
) -> list[dict[int, bytes]]:
    """Each picture's files by qp. All pictures are encoded in one call, so that errors have their index."""
    searched = for_several_qps(codec)
    files: list[dict[int, bytes]] = [{} for _ in images]
    for turn in range(max(map(len, qp_lists))):
        rows = [row for row, qps in enumerate(qp_lists) if turn < len(qps)]
        qps = [qp_lists[row][turn] for row in rows]
        bitstreams = searched.encode([images[row] for row in rows], qps, threads=threads, **options)
        for row, qp, file in zip(rows, qps, bitstreams, strict=True):
            files[row][qp] = file
    return files


def _size(picture: CodecImage) -> tuple[int, int]:
    _, height, width = picture.samples.shape
    return height, width
