"""A picture sampled by a few quick encodes: the sizes of the files, and the losses of a network in them."""

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

_ROUNDING = 1e-5  # a divergence may be this far below 0

#: Called with a clean picture (1, 3, H, W); returns the function that gives the loss of decoded ones.
Keep = Callable[[Tensor], PictureLoss]


@dataclass(frozen=True)
class SamplingGoal:
    """What sampling measures of each picture besides the sizes of its files.

    Attributes:
        predicted: whether the sensitivity that the recipe's allocator predicts is wanted.
        keep: the network whose losses are measured; ``None`` for none.
    """

    predicted: bool = False
    keep: Keep | None = None


def sampling_effort(settings: EncodeSettings) -> int:
    """The effort of the quick encodes, at most that of the settings."""
    return min(SAMPLING_EFFORT, int(settings.options.get("effort", SAMPLING_EFFORT)))


def _rule(settings: EncodeSettings) -> ScaleRule | None:
    use = settings.recipe
    return None if use is None or not use.parts.scale else use.recipe.scale


@torch.no_grad()
def seen_losses(x: Tensor, shown: Iterable[Tensor], keep: Keep) -> list[float]:
    """Loss of a network for each decoded file (C, H, W) of a picture (1, C, H, W), both given to it as RGB.

    Raises:
        EncodeError: a loss is not finite, or below 0 by more than rounding.
        TypeError: ``keep`` does not return a function of pictures, or that does not return a number.
        ValueError: it returns more or fewer than one number.
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
    """The loss of one picture as a number, from a number or a tensor or array of shape (1,) or ()."""
    value = torch.as_tensor(loss) if isinstance(loss, (Real, np.ndarray)) else loss
    return float(values_by_picture("keep", "a loss", value, 1, floating=False))


def _file_losses(source: Source, files: Sequence[bytes], keep: Keep) -> list[float]:
    """Losses of a network for a picture's files, decoded without the restorer and at the picture's size."""
    shown = (decoded_for_task(decode(file, dtype=torch.float32, threads=1), file, None) for file in files)
    return seen_losses(as_floats(CodecImage(source.frames[0], "image")), shown, keep)


def sample_curve(source: Source, settings: EncodeSettings, sampling: SamplingGoal) -> PictureCurve:
    """The curve of a picture: for each range of qps the sizes, and the losses if wanted, of a few files."""
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
    """The span with the sizes of its files, and with the losses in them if there is a network."""
    files = [encode_source(source, qp, quick) for qp in span.qps]
    span = replace(span, sizes=[len(file) for file in files])
    if keep is None:
        return span
    if source.durations is not None:  # the loss of an animation is that of its first frame
        source = replace(source, frames=source.frames[:1], durations=None)
        files = [encode_source(source, qp, quick) for qp in span.qps]
    return replace(span, losses=_file_losses(source, files, keep))
