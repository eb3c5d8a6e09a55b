"""How many bits a picture takes at every qp, and what a network loses of it, found by a few quick encodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from npp.allocation.qp_curves import LEAST_SURE, LossCurve, RateCurve, least_loss
from npp.allocation.sharing import PROBE_EFFORT, PROBED_BELIEF, PROBED_QPS, expected_sensitivity
from npp.batch.file_encoding import EncodeSettings, encode_source
from npp.batch.picture_reading import Source
from npp.batch.refined_frames import colour_of
from npp.checks import MAX_QP
from npp.codec.decoding import decode
from npp.codec.errors import EncodeError
from npp.codec.image_inputs import CodecImage
from npp.gradient.prediction import PictureLoss
from npp.pchip import Floats
from npp.per_picture import values_by_picture
from npp.recipes.picture_floats import as_floats, decoded_for_task
from npp.recipes.scale import ScaleRule

_LEAST_SPREAD = 8  # qps between the first and the last that describe a curve
_ROUNDING = 1e-5  # by which a divergence may come out below 0

#: What a network must go on seeing in a clean picture (1, 3, H, W): gives the loss of decoded ones.
Keep = Callable[[Tensor], PictureLoss]


@dataclass(frozen=True)
class Probing:
    """What is found out about each picture beside its sizes.

    Attributes:
        predicted: what the recipe's allocator says of it.
        keep: what a network loses of it.
    """

    predicted: bool = False
    keep: Keep | None = None


def probe_effort(settings: EncodeSettings) -> int:
    """Of the quick encodes."""
    return min(PROBE_EFFORT, int(settings.options.get("effort", PROBE_EFFORT)))


def _probed_qps(first: int, last: int, qps: Sequence[int]) -> list[int]:
    """Qps that describe a curve from one to another; neighbours alone would say nothing of its ends."""
    found = sorted({min(max(qp, first), last) for qp in qps})
    return found if found[-1] - found[0] >= min(_LEAST_SPREAD, last - first) else sorted({first, last})


def probed_pieces(
    height: int, width: int, rule: ScaleRule | None, qps: Sequence[int] = PROBED_QPS
) -> list[dict[str, Any]]:
    """The ranges of qps in which a picture is coded at one size, each with the qps that describe it."""
    spans = [(0, MAX_QP)] if rule is None else rule.spans(height, width)
    return [{"first": first, "last": last, "qps": _probed_qps(first, last, qps)} for first, last in spans]


def _rule(settings: EncodeSettings) -> ScaleRule | None:
    use = settings.recipe
    return None if use is None or not use.parts.scale else use.recipe.scale


@torch.no_grad()
def seen_losses(x: Tensor, shown: Iterable[Tensor], keep: Keep) -> list[float]:
    """What a network loses of a picture (1, C, H, W) in each of its decoded files (C, H, W); it sees RGB.

    Raises:
        EncodeError: a loss is no finite number, or below 0 by more than rounding.
        TypeError: ``keep`` does not give a number.
        ValueError: it gives another number of them than one.
    """
    lost = keep(colour_of(x).clone())  # some networks change their input in place
    if not callable(lost):
        raise TypeError(
            "keep must give a function of decoded pictures for each clean one, not "
            f"{type(lost).__name__}: of a network it is lambda x: npp.keep_prediction(network, x)"
        )
    losses = [_one_loss(lost(colour_of(one[None]).clone())) for one in shown]
    if not all(math.isfinite(loss) and loss > -_ROUNDING for loss in losses):
        said = ", ".join(f"{loss:.4g}" for loss in losses)
        raise EncodeError(f"losses must be finite and at least 0, and the network's are {said}")
    return [max(loss, 0.0) for loss in losses]


def _one_loss(loss: object) -> float:
    """Of one picture: a number, or a tensor or array (1,) or () of one."""
    given = torch.as_tensor(loss) if isinstance(loss, (Real, np.ndarray)) else loss
    return float(values_by_picture("keep", "a loss", given, 1, floating=False))


def _looked_at(source: Source, files: Sequence[bytes], keep: Keep) -> list[float]:
    """Losses of a picture's files as any decoder shows them, at the picture's size."""
    shown = (decoded_for_task(decode(file, dtype=torch.float32, threads=1), file, None) for file in files)
    return seen_losses(as_floats(CodecImage(source.frames[0], "image")), shown, keep)


def probe_curve(source: Source, settings: EncodeSettings, probing: Probing) -> dict[str, Any]:
    """A picture's curve: its pixels, and for each range of qps the sizes, and losses, of a few files."""
    quick = replace(settings, options={**settings.options, "effort": probe_effort(settings)})
    height, width = CodecImage(source.frames[0], "image").samples.shape[-2:]
    pieces = probed_pieces(height, width, _rule(settings))
    still = replace(source, frames=source.frames[:1], durations=None)
    for piece in pieces:
        files = [encode_source(source, qp, quick) for qp in piece["qps"]]
        piece["bytes"] = [len(file) for file in files]
        if probing.keep is not None:
            if source.durations is not None:  # its first frame says what is lost of an animation
                files = [encode_source(still, qp, quick) for qp in piece["qps"]]
            piece["losses"] = _looked_at(still, files, probing.keep)
    curve: dict[str, Any] = {"pixels": height * width * len(source.frames), "pieces": pieces}
    if probing.predicted and settings.recipe is not None:
        curve["sensitivity"] = settings.recipe.sensitivity(source.frames[0])
    return curve


def curve_bits(curve: Mapping[str, Any]) -> list[float]:
    """(52,) bits at every qp of a probed picture."""
    return _over_pieces(curve, lambda piece: [8 * size for size in piece["bytes"]], RateCurve)


def curve_losses(curves: Sequence[Mapping[str, Any]]) -> Floats:
    """(N, 52) what the network loses at every qp of probed pictures of one set.

    What is next to nothing against the others' losses is rounding, and counts as that.
    """
    least = least_loss(_all_losses(curves))

    def losses(piece: Mapping[str, Any]) -> list[float]:
        return [max(loss, least) for loss in piece["losses"]]

    return np.array([_over_pieces(curve, losses, LossCurve) for curve in curves])


def _all_losses(curves: Sequence[Mapping[str, Any]]) -> list[float]:
    return [loss for curve in curves for piece in curve["pieces"] for loss in piece["losses"]]


def _over_pieces(
    curve: Mapping[str, Any],
    values_of: Callable[[Mapping[str, Any]], list[float]],
    kind: type[RateCurve] | type[LossCurve],
) -> list[float]:
    found: list[float] = []
    for piece in curve["pieces"]:
        qps, values = piece["qps"], values_of(piece)
        if len(qps) == 1:
            found += values
        else:
            at = kind(qps, values).at
            found += [at(qp) for qp in range(piece["first"], piece["last"] + 1)]
    return found


def set_losses(curves: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What :func:`npp.share_bits` is told of the losses of probed pictures, all probed in the same way.

    Nothing where a network lost nothing of any of them: then the sizes alone decide.
    """
    if not curves:
        return {}
    if "losses" in curves[0]["pieces"][0]:
        sure = max(_all_losses(curves)) > LEAST_SURE
        return {"divergence": curve_losses(curves), "belief": PROBED_BELIEF} if sure else {}
    if "sensitivity" in curves[0]:
        return {"sensitivity": expected_sensitivity([curve["sensitivity"] for curve in curves])}
    return {}
