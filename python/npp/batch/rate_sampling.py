"""A picture sampled by a few quick encodes: what they take, and what a network loses in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from npp.allocation.sharing import SAMPLING_EFFORT
from npp.batch.file_encoding import EncodeSettings, encode_source
from npp.batch.picture_curves import CurveSpan, PictureCurve, spans_to_sample
from npp.batch.picture_reading import Source
from npp.batch.refined_frames import colour_of
from npp.codec.decoding import decode
from npp.codec.errors import EncodeError
from npp.codec.image_inputs import CodecImage
from npp.gradient.prediction import PictureLoss
from npp.per_picture import values_by_picture
from npp.recipes.picture_floats import as_floats, decoded_for_task
from npp.recipes.scale import ScaleRule
from npp.torch_state import memory_error_names

_ROUNDING = 1e-5  # by which a divergence may come out below 0

#: What a network must go on seeing in a clean picture (1, 3, H, W): gives the loss of decoded ones.
Keep = Callable[[Tensor], PictureLoss]


@dataclass(frozen=True)
class SamplingGoal:
    """What is found out about each picture beside its sizes.

    Attributes:
        predicted: what the recipe's allocator says of it.
        keep: what a network loses of it.
    """

    predicted: bool = False
    keep: Keep | None = None


def sampling_effort(settings: EncodeSettings) -> int:
    """Of the quick encodes."""
    return min(SAMPLING_EFFORT, int(settings.options.get("effort", SAMPLING_EFFORT)))


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
    loss_of = keep(colour_of(x).clone())  # some networks change their input in place
    if not callable(loss_of):
        raise TypeError(
            "keep must give a function of decoded pictures for each clean one, not "
            f"{type(loss_of).__name__}: of a network it is lambda x: npp.keep_prediction(network, x)"
        )
    losses = [_one_loss(loss_of(colour_of(picture[None]).clone())) for picture in shown]
    if not all(math.isfinite(loss) and loss > -_ROUNDING for loss in losses):
        values = ", ".join(f"{loss:.4g}" for loss in losses)
        raise EncodeError(f"losses must be finite and at least 0, and the network's are {values}")
    return [max(loss, 0.0) for loss in losses]


def _one_loss(loss: object) -> float:
    """Of one picture: a number, or a tensor or array (1,) or () of one."""
    value = torch.as_tensor(loss) if isinstance(loss, (Real, np.ndarray)) else loss
    return float(values_by_picture("keep", "a loss", value, 1, floating=False))


def _file_losses(source: Source, files: Sequence[bytes], keep: Keep) -> list[float]:
    """Losses of a picture's files as any decoder shows them, at the picture's size."""
    shown = (decoded_for_task(decode(file, dtype=torch.float32, threads=1), file, None) for file in files)
    return seen_losses(as_floats(CodecImage(source.frames[0], "image")), shown, keep)


def sample_curve(source: Source, settings: EncodeSettings, sampling: SamplingGoal) -> PictureCurve:
    """A picture's curve: its pixels, and for each range of qps the sizes, and losses, of a few files."""
    options = {**settings.options, "effort": sampling_effort(settings)}
    quick = replace(settings, options=options).for_several_qps()
    height, width = source.size
    recipe = quick.recipe if sampling.predicted else None
    with memory_error_names("probing", height, width):
        ranges = spans_to_sample(height, width, _rule(settings))
        spans = [_sampled(span, source, quick, sampling.keep) for span in ranges]
        sensitivity = None if recipe is None else recipe.sensitivity(source.frames[0])
    return PictureCurve(height * width * len(source.frames), spans, sensitivity)


def _sampled(span: CurveSpan, source: Source, quick: EncodeSettings, keep: Keep | None) -> CurveSpan:
    """A range of qps with what its files take, and lose where there is a network."""
    files = [encode_source(source, qp, quick) for qp in span.qps]
    span = replace(span, sizes=[len(file) for file in files])
    if keep is None:
        return span
    if source.durations is not None:  # its first frame says what is lost of an animation
        source = replace(source, frames=source.frames[:1], durations=None)
        files = [encode_source(source, qp, quick) for qp in span.qps]
    return replace(span, losses=_file_losses(source, files, keep))
