"""One picture sampled by quick encodes: their effort, what is counted, and losses that are none."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from torch import Tensor

import npp
from npp.batch.file_encoding import EncodeSettings
from npp.batch.picture_reading import Source
from npp.batch.rate_sampling import SamplingGoal, sample_curve, sampling_effort, seen_losses
from npp.codec.image_inputs import SingleImage
from npp.gradient.prediction import PictureLoss

SIDE = 64


def _keep(x: Tensor) -> PictureLoss:
    """Squared error, as a judge that can be computed by hand."""
    return lambda shown: ((shown - x) ** 2).mean(dim=(1, 2, 3))


def _floats(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None] / 255


@pytest.mark.parametrize(("options", "effort"), [({}, 1), ({"effort": 0}, 0), ({"effort": 8}, 1)])
def test_probing_takes_no_more_effort_than_the_files(options: dict[str, Any], effort: int) -> None:
    assert sampling_effort(EncodeSettings(qp=30, options=options)) == effort


def test_the_curve_of_an_animation_has_all_its_pixels_and_the_losses_of_its_first_frame() -> None:
    photo = skimage.data.astronaut()[:SIDE, 150 : 150 + SIDE]
    frames: list[SingleImage] = [photo, photo[::-1].copy(), photo]
    durations = [Fraction(1, 25)] * 3
    source = Source(frames, durations, 0, False, npp.Metadata(), ())
    curve = sample_curve(source, EncodeSettings(options={"effort": 0}), SamplingGoal(keep=_keep))
    (span,) = curve.spans
    assert curve.pixels == 3 * photo[..., 0].size and span.qps == [24, 34, 44]
    files = [npp.encode_animation(frames, qp, durations=durations, effort=0) for qp in span.qps]
    assert span.sizes == list(map(len, files))
    bits = curve.bits()
    assert len(bits) == 52 and [bits[qp] for qp in span.qps] == pytest.approx(
        [8 * len(file) for file in files]
    )
    shown = [npp.decode(npp.encode(photo, qp, effort=0), dtype=torch.float32) for qp in span.qps]
    wanted = [float(_keep(_floats(photo))(one[None])) for one in shown]
    assert span.losses == pytest.approx(wanted, rel=1e-5)
    still = sample_curve(replace(source, frames=frames[:1], durations=None), EncodeSettings(), SamplingGoal())
    assert still.pixels == photo[..., 0].size and not still.sampled_losses()


def test_a_loss_a_little_below_zero_is_none() -> None:
    """Rounding alone can make it so; more than 0.00001 is something else."""
    x = torch.rand(1, 3, 8, 8)
    shown = [torch.rand(3, 8, 8) for _ in range(3)]
    said = iter([0.5, -0.9e-5, 0.0])
    assert seen_losses(x, shown, lambda _: lambda _: next(said)) == [0.5, 0.0, 0.0]
    with pytest.raises(npp.EncodeError, match=r"at least 0, and the network's are -1\.1e-05, "):
        seen_losses(x, shown, lambda _: lambda _: -1.1e-5)
