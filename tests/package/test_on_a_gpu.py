"""What takes pictures takes those of a GPU, and means the same by them; skipped where there is none."""

from __future__ import annotations

import copy

import pytest
import torch
from pictures import pictures
from task_nets import Body
from torch import Tensor, nn

import npp
from npp.tasks import build_task

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
CUDA = torch.device("cuda")


@pytest.fixture(autouse=True)
def _exact() -> None:
    """TensorFloat-32 off: results are compared with a CPU's."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_files_are_the_same_bytes(dtype: torch.dtype) -> None:
    x = (pictures(3) * 255).round()
    x = x.to(dtype) if dtype == torch.uint8 else (x / 255).to(dtype)
    maps = torch.linspace(-4, 4, 12).reshape(3, 2, 2)
    expected = npp.encode(list(x), 30, qp_map=maps)
    assert npp.encode(list(x.to(CUDA)), 30, qp_map=maps.to(CUDA)) == expected
    assert npp.compress(x.to(CUDA), 30, qp_map=maps.to(CUDA)).bitstreams == expected


def test_nothing_that_is_queued_is_waited_for() -> None:
    """The codec's result is there, and the GPU is still busy with what was queued after the pictures."""
    x = pictures(2, 64).to(CUDA)
    npp.compress(x, 40)
    heavy = torch.randn(8192, 8192, device=CUDA)
    parts = npp.compress_in_parts(x, 40, parts=2)
    for _ in range(40):
        heavy = heavy @ heavy
    queued = torch.cuda.Event()
    queued.record()
    for part in parts:
        assert part.bpp.device.type == "cuda"
        assert not queued.query()
    torch.cuda.synchronize()


@pytest.mark.parametrize("name", ["classification", "machines", "detection"])
def test_recipes(name: str) -> None:
    recipe = npp.Recipe.load(name)
    x = pictures(2, 224)
    expected = recipe.compress(x, 34)
    on_gpu = copy.deepcopy(recipe).to(CUDA)
    found = on_gpu.compress(x.to(CUDA), 34)
    assert found.x_hat.device.type == "cuda"
    # A filter's or a map's last digit may differ, and with it single samples.
    torch.testing.assert_close(found.bpp.cpu(), expected.bpp, rtol=0.02, atol=0)
    assert (found.x_hat.cpu() - expected.x_hat).abs().mean() < 0.01


def test_importance_and_refinement() -> None:
    network = nn.Sequential(Body(10), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    task = build_task("classification", model=network)
    on_gpu = copy.deepcopy(task).to(CUDA)
    x = pictures(2, 64)
    ones = [npp.importance(x, task, 34, generator=_generator("cpu"), draws=64)]
    ones.append(npp.importance(x.to(CUDA), on_gpu, 34, generator=_generator("cuda"), draws=64).cpu())
    correlation = torch.corrcoef(torch.stack([one.log2().flatten() for one in ones]))[0, 1]
    assert correlation > 0.9
    targets = on_gpu.targets(x.to(CUDA))

    def loss(x_hat: Tensor) -> Tensor:
        return on_gpu.loss(x_hat, targets)

    refined = npp.refine(x.to(CUDA), 34, loss, steps=2)
    assert refined.x_hat.device.type == "cuda" and torch.isfinite(refined.bpp).all()


def _generator(device: str) -> torch.Generator:
    return torch.Generator(device).manual_seed(0)
