"""How refining moves: Adam as torch has it, without what torch's loads."""

from __future__ import annotations

import subprocess
import sys

import torch

from npp.gradient.refine_moves import MapSearch, _Adam, _Offsets


def test_adam_moves_as_torchs_does() -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.rand(2, 3, 8, 8, generator=generator)
    theirs, ours = start.clone().requires_grad_(), start.clone()
    torchs, adam = torch.optim.Adam([theirs], lr=1.0), _Adam(start)
    for step in range(12):
        gradient = torch.randn(start.shape, generator=generator) * 10 ** (step % 3 - 2)
        lr = 0.03 / (step + 1)
        torchs.param_groups[0]["lr"] = lr
        theirs.grad = gradient
        torchs.step()
        ours -= adam.change(gradient, lr)
        assert torch.allclose(ours, theirs.detach(), rtol=1e-5, atol=1e-7)


def test_a_start_beyond_the_limit_is_not_cut_and_bounds_its_own_picture() -> None:
    start = torch.tensor([[[20.0, -3.0]], [[1.0, -2.0]]])
    offsets = _Offsets(start, MapSearch(lr=50.0, limit=8.0, zero_mean=False))
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
