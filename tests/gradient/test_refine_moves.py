"""How refining moves: Adam as torch has it, without what torch's loads."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from npp.gradient.adam import Adam
from npp.gradient.refine_moves import MapOffsets, MapSearch, PixelChange, SearchCandidate
from npp.gradient.refine_objective import RefineStep
from npp.gradient.refinement import BestCandidates, cosine_decay


def test_adam_moves_as_torchs_does() -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.rand(2, 3, 8, 8, generator=generator)
    theirs, ours = start.clone().requires_grad_(), start.clone()
    torchs, adam = torch.optim.Adam([theirs], lr=1.0), Adam(start)
    for step in range(12):
        gradient = torch.randn(start.shape, generator=generator) * 10 ** (step % 3 - 2)
        lr = 0.03 / (step + 1)
        torchs.param_groups[0]["lr"] = lr
        theirs.grad = gradient
        torchs.step()
        ours -= adam.change(gradient, lr)
        assert torch.allclose(ours, theirs.detach(), rtol=1e-5, atol=1e-7)


def test_steps_fall_along_a_cosine_to_a_tenth() -> None:
    assert [cosine_decay(step, 12) for step in (0, 4, 6, 8, 12)] == pytest.approx(
        [1, 0.775, 0.55, 0.325, 0.1]
    )


def test_best_step_of_each_picture_is_kept_and_ties_keep_the_earlier() -> None:
    def at(step: int, *objectives: float) -> tuple[SearchCandidate, RefineStep]:
        values = torch.tensor(objectives)
        candidate = SearchCandidate(
            torch.full((2, 1, 1, 1), float(step)), torch.full((2, 1, 1), float(-step))
        )
        return candidate, RefineStep(step, values, values, values)

    best = BestCandidates(*at(0, 3.0, 3.0))
    assert not best.update(*at(1, 3.0, 3.0))
    assert best.update(*at(2, 2.0, 4.0))
    assert best.update(*at(3, 2.0, 1.0))
    assert not best.update(*at(4, 2.5, 1.0))
    assert isinstance(best.maps, torch.Tensor)
    assert best.x.flatten().tolist() == best.step.tolist() == (-best.maps).flatten().tolist() == [2, 3]
    assert best.objective.tolist() == [2, 1]


def test_pixel_steps_scale_with_quantiser_step_and_decay() -> None:
    """BPG's qps 27 and 33 are coded at 24 and 30: steps of 2^(20/6) and twice that, of 255."""
    pixels = PixelChange(torch.full((2, 1, 1, 2), 0.5), [27, 33], lr=0.5)
    pixels.move(torch.tensor([1.0, -1.0]).expand(2, 1, 1, 2), 0.1)
    change = (pixels.value().detach() - 0.5).flatten(1)
    step = 0.5 * 0.1 * 2 ** (20 / 6) / 255
    assert change.tolist() == [pytest.approx([-step, step], 1e-4), pytest.approx([-2 * step, 2 * step], 1e-4)]


def test_offset_steps_do_not_depend_on_the_gradients_size() -> None:
    offsets = MapOffsets(torch.zeros(2, 1, 2), MapSearch(lr=2.0, limit=50.0, zero_mean=False))
    directions = torch.tensor([[[1.0, -1.0]], [[3.0, 4.0]]])
    offsets.move(directions * torch.tensor([1e-6, 1e3])[:, None, None], 0.5)
    root = 12.5**0.5
    assert offsets.parameter.flatten(1).tolist() == [
        pytest.approx([-1, 1]),
        pytest.approx([-3 / root, -4 / root]),
    ]


def test_offsets_keep_the_mean_of_every_picture_at_zero() -> None:
    offsets = MapOffsets(torch.zeros(2, 1, 2), MapSearch(lr=2.0, limit=50.0, zero_mean=True))
    offsets.move(torch.tensor([[[1.0, 2.0]], [[-1.0, -3.0]]]), 1.0)
    assert offsets.parameter.mean((1, 2)).tolist() == pytest.approx([0, 0], abs=1e-6)
    assert offsets.parameter.abs().amin() > 0.1


def test_start_beyond_the_limit_is_kept_as_that_pictures_limit() -> None:
    start = torch.tensor([[[20.0, -3.0]], [[1.0, -2.0]]])
    offsets = MapOffsets(start, MapSearch(lr=50.0, limit=8.0, zero_mean=False))
    assert torch.equal(offsets.value().detach(), start)
    offsets.move(torch.tensor([[[-1.0, 1.0]], [[-1.0, 1.0]]]), 1.0)
    assert offsets.value().tolist() == [[[20, -20]], [[8, -8]]]
    assert start.tolist() == [[[20, -3]], [[1, -2]]], "the caller's own is left alone"


def test_refining_loads_no_compiler() -> None:
    """It takes longer than all the steps of a picture."""
    script = """
import sys, torch, npp
npp.refine(torch.rand(1, 3, 32, 32), 30, lambda x: x.square().mean((1, 2, 3)), steps=2, effort=0)
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
