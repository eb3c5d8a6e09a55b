"""A task that looks at a region of each picture."""

from __future__ import annotations

import pytest
import torch
from task_nets import ALPHABET, Reader
from torch import Tensor

from npp.tasks import build_task
from npp.tasks.region_task import Region, RegionTask


def test_it_says_what_the_task_says_of_the_cut_pictures(images: Tensor) -> None:
    torch.manual_seed(3)
    task = build_task("recognition", model=Reader(), alphabet=ALPHABET)
    height, width = images.shape[-2:]
    regions = [Region(3.5, 0, 20.2, 16), Region(8, 4, width + 9, height)]
    cuts = [images[:1, :, 0:16, 3:21], images[1:2, :, 4:, 8:]]
    seen = RegionTask(task, regions)
    pair = images[:2]
    assert seen.predict(pair) == [task.predict(cut)[0] for cut in cuts]
    for found, cut in zip(seen.targets(pair), cuts, strict=True):
        assert torch.equal(found, task.targets(cut)[0])
    scores = seen.scores(pair, ["ab", "b"])
    assert set(scores) == {"ctc", "word_accuracy", "character_error_rate"}
    assert torch.allclose(scores["ctc"][1], task.loss(cuts[1], ["b"])[0])
    assert seen.name == "recognition" and seen.higher_is_better["word_accuracy"]
    assert seen.metric().compute() == {}


def test_gradients_reach_the_region_alone(images: Tensor) -> None:
    torch.manual_seed(3)
    task = RegionTask(build_task("recognition", model=Reader(), alphabet=ALPHABET), [Region(8, 8, 24, 24)])
    x = images[:1].clone().requires_grad_()
    task.loss(x, ["ab"]).sum().backward()
    assert x.grad is not None
    inside = x.grad[..., 8:24, 8:24].abs().sum()
    assert inside > 0 and torch.allclose(inside, x.grad.abs().sum())


def test_there_is_a_region_for_each_picture(images: Tensor) -> None:
    task = RegionTask(build_task("recognition", model=Reader(), alphabet=ALPHABET), [Region(0, 0, 9, 9)])
    with pytest.raises(ValueError, match=r"images must be 1, one for each region, not 2"):
        task.targets(images[:2])


def test_a_region_at_the_border_is_looked_at_with_8_pixels(images: Tensor) -> None:
    width = images.shape[-1]
    task = build_task("recognition", model=Reader(), alphabet=ALPHABET)
    beyond = RegionTask(task, [Region(width - 2, 0, width + 4, 2)])
    assert torch.equal(beyond.targets(images[:1])[0], task.targets(images[:1, :, :8, width - 8 :])[0])


@pytest.mark.parametrize("place", [(0, -9, 9, 0), (-9, 0, 0, 9), (1e4, 0, 1e5, 9), (0, 1e4, 9, 1e5)])
def test_a_region_beside_a_picture_is_refused(images: Tensor, place: tuple[float, ...]) -> None:
    """It would look at 8 pixels of the border, where nothing is."""
    task = RegionTask(build_task("recognition", model=Reader(), alphabet=ALPHABET), [Region(*place)])
    with pytest.raises(
        ValueError, match=r"^regions must have pixels of pictures of \d+x\d+ .*, not lie beside"
    ):
        task.targets(images[:1])
