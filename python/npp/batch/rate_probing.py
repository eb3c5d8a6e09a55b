"""How many bits a picture takes at every qp, found by a few quick encodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from npp.allocation.sharing import PREDICTED_POWER, PROBE_EFFORT, PROBED_QPS, RateCurve
from npp.batch.file_encoding import EncodeSettings, encode_source
from npp.batch.picture_reading import Source
from npp.codec.image_inputs import CodecImage
from npp.pchip import Floats

_LAST_QP = 51
_BELIEVED = 6.0  # doublings


def probe_effort(settings: EncodeSettings) -> int:
    """Of the quick encodes."""
    return min(PROBE_EFFORT, int(settings.options.get("effort", PROBE_EFFORT)))


def _probed_qps(first: int, last: int) -> list[int]:
    """Qps that describe a curve from one to another."""
    found = sorted({min(max(qp, first), last) for qp in PROBED_QPS})
    return found if len(found) > 1 else sorted({first, last})


def _spans(source: Source, settings: EncodeSettings) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """Height and width of a picture, and the ranges of qps in which it is coded at one size."""
    size = CodecImage(source.frames[0], "image").samples.shape[-2:]
    use = settings.recipe
    if use is None or use.recipe.scale is None or not use.parts.scale:
        return size, [(0, _LAST_QP)]
    return size, use.recipe.scale.spans(*size)


def probe_curve(source: Source, settings: EncodeSettings, predicted: bool) -> dict[str, Any]:
    """A picture's curve: its pixels, and for each range of qps the sizes of a few files."""
    quick = replace(settings, options={**settings.options, "effort": probe_effort(settings)})
    (height, width), spans = _spans(source, settings)
    pieces = []
    for first, last in spans:
        qps = _probed_qps(first, last)
        sizes = [len(encode_source(source, qp, quick)) for qp in qps]
        pieces.append({"first": first, "last": last, "qps": qps, "bytes": sizes})
    curve: dict[str, Any] = {"pixels": height * width * len(source.frames), "pieces": pieces}
    if predicted and settings.recipe is not None:
        curve["sensitivity"] = settings.recipe.sensitivity(source.frames[0])
    return curve


def curve_bits(curve: Mapping[str, Any]) -> list[float]:
    """(52,) bits at every qp of a probed picture."""
    bits: list[float] = []
    for piece in curve["pieces"]:
        qps, sizes = piece["qps"], [8 * size for size in piece["bytes"]]
        if len(qps) == 1:
            bits += sizes
        else:
            at = RateCurve(qps, sizes).at
            bits += [at(qp) for qp in range(piece["first"], piece["last"] + 1)]
    return bits


def sensitivity_factors(logarithms: Sequence[float]) -> Floats:
    """How much more than the middle one each picture loses; no prediction is believed beyond a limit."""
    doublings = np.clip(np.array(logarithms) - np.median(logarithms), -_BELIEVED, _BELIEVED)
    factors: Floats = np.exp2(PREDICTED_POWER * doublings)
    return factors
