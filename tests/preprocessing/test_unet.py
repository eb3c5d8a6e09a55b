"""The published networks."""

from __future__ import annotations

import math

import pytest
import torch
from preprocessors import make, pictures

from npp import Preprocessor
from npp.preprocessing.unet import LAMBDAS, lambda_of


def test_parameters_of_the_published_networks() -> None:
    """9.42 M, and about 39 k more for the adaptive one."""
    count = Preprocessor("unet").parameter_count()
    assert count == 9_420_518
    assert Preprocessor("unet-adaptive").parameter_count() - count == 38_722


def test_lambda_follows_the_methods_table() -> None:
    qps = torch.tensor([float(qp) for qp in LAMBDAS])
    torch.testing.assert_close(lambda_of(qps), torch.tensor(list(LAMBDAS.values())))
    between, below, above = lambda_of(torch.tensor([26.5, 22.0, 48.0])).tolist()
    assert between == pytest.approx(math.sqrt(16 * 8))
    assert below == pytest.approx(32)
    assert above == pytest.approx(0.25**2 / 0.65)


def test_scalings_are_shown_an_eighth_of_lambda() -> None:
    """The table has 16, 8, 2 and 0.25 for these qps."""
    preprocessor, shown = make("unet-adaptive"), []
    for scaling in preprocessor.filter.get_submodule("scalings"):
        scaling.register_forward_pre_hook(lambda _, given: shown.append(given[0]))
    preprocessor(torch.rand(4, 3, 32, 32), [25, 28, 34, 44])
    assert len(shown) == 9
    for strength in shown:
        torch.testing.assert_close(strength, torch.tensor([[2.0], [1.0], [0.25], [1 / 32]]))


@pytest.mark.parametrize("network", ["unet", "unet-adaptive"])
def test_batch_norm_learns_in_training_only(network: str) -> None:
    preprocessor, x = make(network), pictures()
    before = {name: value.clone() for name, value in preprocessor.named_buffers()}
    preprocessor(x, 30)
    assert all(torch.equal(value, before[name]) for name, value in preprocessor.named_buffers())
    preprocessor.train()(x, 30)
    assert all(not torch.equal(value, before[name]) for name, value in preprocessor.named_buffers())


def test_macs_of_the_unet_are_the_hand_count() -> None:
    widths = [2, 4, 8, 16, 32]
    count = 3 * 2 + 2 * 3 + 2 * 3.0
    for level, width in enumerate(widths):
        entering = 3 if level == 0 else widths[level - 1]
        count += 9 * (entering * width + width * width) / 4**level
    for level, width in enumerate(widths[:-1]):
        down, up = 9 * width * width / 4, 9 * 2 * width * width / 4
        decoder = 9 * (2 * width * width + width * width)
        count += (down + up + decoder) / 4**level
    assert Preprocessor("unet", width=2).macs_per_pixel() == pytest.approx(count)
