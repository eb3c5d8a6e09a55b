"""What pictures take and lose at every qp, for sharing bits over them by what a network says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Unpack

from npp.allocation.sharing import PROBE_EFFORT, PROBED_QPS
from npp.batch.rate_probing import Keep, curve_bits, curve_losses, probed_pieces, seen_losses
from npp.codec.image_inputs import CodecImage, SingleImage, several_pictures
from npp.codec.options import CodecOptions, resolve_qp
from npp.recipes.parts import Parts
from npp.recipes.picture_floats import as_floats
from npp.recipes.recipe import Recipe

_TOGETHER = 16  # pictures whose decoded files are in memory at a time
_NOT_RESTORED = Parts(restorer=False)


class LossCurves(NamedTuple):
    """What :func:`npp.loss_curves` found, as :func:`npp.share_bits` takes it.

    Attributes:
        bits: (N, 52) float64, of each picture's file at qp 0 to 51.
        divergence: (N, 52) float64, what the network loses of it there.
    """

    bits: Tensor
    divergence: Tensor


def loss_curves(
    images: Sequence[SingleImage],
    keep: Keep,
    *,
    recipe: Recipe | None = None,
    qps: Sequence[int] = PROBED_QPS,
    threads: int | None = None,
    **options: Unpack[CodecOptions],
) -> LossCurves:
    """Bits of each picture at every qp and what a network loses of it, from a few quick encodes.

    ``npp.share_bits(bits, total_bits, divergence=divergence, belief=0.5)`` then chooses the qps. For the
    network that looks, and for others like it, a set saves several points more in this way than by its rate
    curves alone (docs/results.md). Losses that are below a ten thousandth of the set's mean count as that.

    Args:
        images: several pictures, as for :func:`npp.encode`; sizes may differ.
        keep: called with each clean picture (1, C, H, W) in [0, 1]; gives a function of decoded ones to
            their losses, as ``lambda x: npp.keep_prediction(network, x)`` does, or with a task
            ``lambda x: task.bind(task.targets(x))``.
        recipe: that the files will be made with. The network sees them as any decoder shows them, at the
            pictures' own size.
        qps: at least two that are encoded; with a recipe in each range in which it codes at one size.
        threads: codec threads, ``None`` for all usable cores.
        **options: see :class:`npp.CodecOptions`, instead of the recipe's; ``effort`` is 1 unless given.

    Raises:
        TypeError: images is a single picture, or as :func:`npp.encode`.
        ValueError: less than two qps, or qps out of range.
        EncodeError: as :func:`npp.encode`, or a loss that is no finite number.
    """
    pictures = several_pictures(images, "images")
    probed = sorted({resolve_qp(qp, 1)[0] for qp in qps})
    if len(probed) < 2:
        raise ValueError(f"qps must be at least two different ones, not {list(qps)}")
    codec = Recipe() if recipe is None else recipe
    chosen: Any = {"effort": PROBE_EFFORT, **options}
    curves: list[dict[str, Any]] = []
    for first in range(0, len(pictures), _TOGETHER):
        some = pictures[first : first + _TOGETHER]
        given = list(images[first : first + _TOGETHER])
        curves += _curves(some, given, keep, codec, probed, threads, chosen)
    bits = np.array([curve_bits(curve) for curve in curves])
    return LossCurves(torch.from_numpy(bits), torch.from_numpy(curve_losses(curves)))


def _curves(
    pictures: Sequence[CodecImage],
    images: Sequence[SingleImage],
    keep: Keep,
    codec: Recipe,
    probed: Sequence[int],
    threads: int | None,
    options: Any,
) -> list[dict[str, Any]]:
    """Curves as :func:`npp.batch.rate_probing.probe_curve` makes them."""
    plans = [probed_pieces(*_size(picture), codec.scale, probed) for picture in pictures]
    jobs = [(place, qp) for place, plan in enumerate(plans) for piece in plan for qp in piece["qps"]]
    files = codec.encode(
        [images[place] for place, _ in jobs], [qp for _, qp in jobs], threads=threads, **options
    )
    decoded = codec.decode(files, parts=_NOT_RESTORED, dtype=torch.float32, threads=threads)
    found = iter(zip(files, decoded, strict=True))
    for picture, plan in zip(pictures, plans, strict=True):
        for piece in plan:
            mine = [next(found) for _ in piece["qps"]]
            piece["bytes"] = [len(file) for file, _ in mine]
            piece["losses"] = seen_losses(as_floats(picture), [shown[None] for _, shown in mine], keep)
    return [{"pieces": plan} for plan in plans]


def _size(picture: CodecImage) -> tuple[int, int]:
    _, height, width = picture.samples.shape
    return height, width
