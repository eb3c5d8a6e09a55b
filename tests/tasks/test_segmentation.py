"""Segmentation: pixels that count, and their classes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from npp.tasks import build_task


class Painter(nn.Module):
    """Class by brightness, at half the size, in torchvision's dict."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        level = F.avg_pool2d(x.mean(1, keepdim=True), 2)
        return {"out": 20 * torch.cat([0.5 - level, level - 0.5], 1)}


def test_segmentation_values() -> None:
    image = torch.zeros(1, 3, 8, 12)
    image[..., 6:] = 1
    task = build_task("segmentation", model=Painter())
    (labels,) = task.predict(image)
    assert torch.equal(labels, (image[0, 0] > 0.5).long())
    truth = labels.clone()
    truth[:, 0] = 1  # 8 of 96 pixels are wrong
    truth[0, 1:3] = 255
    scores = task.scores(image, [truth])
    assert float(scores["pixel_accuracy"]) == pytest.approx(86 / 94)
    logits = F.interpolate(Painter()(image)["out"], (8, 12), mode="bilinear")
    expected = F.cross_entropy(logits, truth[None], ignore_index=255)
    torch.testing.assert_close(task.loss(image, [truth]), expected[None])
    metric = task.metric()
    metric.update([labels], [truth])
    values = metric.compute()
    assert values["miou"] == pytest.approx((38 / 46 + 48 / 56) / 2)
    assert values["pixel_accuracy"] == pytest.approx(86 / 94)


def test_segmentation_without_a_pixel_that_counts() -> None:
    task = build_task("segmentation", model=Painter())
    images, whole, nothing = torch.rand(2, 3, 4, 4), torch.zeros(4, 4).long(), torch.full((4, 4), 255)
    for measure in (task.loss, task.scores):
        with pytest.raises(ValueError, match=r"targets\[1\] must have a pixel that counts, not 255"):
            measure(images, [whole, nothing])
    with pytest.raises(ValueError, match=r"targets\[0\] must have a pixel that counts"):
        task.metric().update(task.predict(images)[:1], [nothing])


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (torch.zeros(3, 3, dtype=torch.int64), r"\(4, 4\)"),
        (torch.full((4, 4), 2), "from 0 to 1 or 255"),
        (torch.zeros(2, 2, 2), r"\(2, 4, 4\)"),
    ],
)
def test_wrong_maps_are_named(target: Tensor, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        build_task("segmentation", model=Painter()).loss(torch.rand(1, 3, 4, 4), [target])
