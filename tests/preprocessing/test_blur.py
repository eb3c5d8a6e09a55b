"""The blur by qp."""

from __future__ import annotations

import pytest
import skimage.filters
import torch
from preprocessors import make

from npp import Preprocessor


def test_blur_is_differentiable() -> None:
    x = torch.rand(1, 3, 4, 5, dtype=torch.float64) * 0.8 + 0.1
    blur = make("blur")
    assert torch.autograd.gradcheck(lambda x: blur(x, 35), x.requires_grad_())


@pytest.mark.parametrize("sigma", [0.3, 0.5, 1.5])
def test_blur_is_gaussian(sigma: float) -> None:
    x = torch.rand(1, 3, 21, 30, dtype=torch.float64)
    y = Preprocessor("blur", sigmas={34: sigma})(x, 34)
    expected = skimage.filters.gaussian(x[0].numpy(), sigma, mode="nearest", truncate=4.0, channel_axis=0)
    # The same taps where 4 sigma is a whole number; ours go a pixel farther otherwise.
    torch.testing.assert_close(y[0], torch.from_numpy(expected), atol=2e-4, rtol=0)


def test_blur_of_nothing_is_the_identity() -> None:
    x = torch.rand(2, 3, 21, 30)
    blur = Preprocessor("blur", sigmas={30: 0, 40: 2})
    assert torch.equal(blur(x, [20, 30]), x)


def test_blur_between_its_entries() -> None:
    x = torch.rand(1, 3, 21, 30)
    table = Preprocessor("blur", sigmas={40: 1.0, 30: 0.0, 44: 1.2})
    for qp, sigma in {35: 0.5, 42: 1.1, 51: 1.2}.items():
        expected = Preprocessor("blur", sigmas={0: sigma})(x, qp)
        torch.testing.assert_close(table(x, qp), expected, atol=1e-4, rtol=0)


def test_macs_of_a_blur_are_its_taps() -> None:
    assert Preprocessor("blur", sigmas={30: 0.5}).macs_per_pixel() == 2 * 3 * 5
