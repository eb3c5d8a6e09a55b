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


class Ramp(nn.Module):
    """Two classes at two places of a row, whatever the picture."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tensor([[[[0.0, 8.0]], [[0.0, 0.0]]]]).expand(len(x), -1, -1, -1)


def test_logits_are_enlarged_by_the_middles_of_their_places() -> None:
    """Four pixels over two places: their middles lie at -1/4, 1/4, 3/4, 5/4; outside the border goes on."""
    task = build_task("segmentation", model=Ramp())
    (found,) = task.targets(torch.rand(1, 3, 1, 4))
    torch.testing.assert_close(found[0, 0] - found[1, 0], torch.tensor([0.0, 2.0, 6.0, 8.0]))
    letterboxed = build_task("segmentation", model=Ramp(), input={"size": 4, "resize": "letterbox"})
    (found,) = letterboxed.targets(torch.rand(1, 3, 2, 4))
    torch.testing.assert_close(found[0] - found[1], torch.tensor([0.0, 2.0, 6.0, 8.0]).expand(2, 4))


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


def test_wrong_maps_are_named_by_the_metric() -> None:
    task = build_task("segmentation", model=Painter())
    predictions = task.predict(torch.rand(1, 3, 4, 4))
    for target, text in (
        (torch.zeros(2, 8).long(), r"labels \(4, 4\)"),
        (torch.full((4, 4), 7), "from 0 to 1 or 255"),
    ):
        with pytest.raises(ValueError, match=text):
            task.metric().update(predictions, [target])


def test_a_letterboxed_picture_has_its_own_pixels_only() -> None:
    image = torch.zeros(1, 3, 16, 32)
    image[..., 16:] = 1
    for place in ("corner", "centre"):
        settings = {"size": 32, "resize": "letterbox", "fill": 1.0, "place": place}
        task = build_task("segmentation", model=Painter(), input=settings)
        assert torch.equal(task.predict(image)[0], (image[0, 0] > 0.5).long())
        large = image.repeat_interleave(3, 2).repeat_interleave(3, 3)
        assert (task.predict(large)[0] == (large[0, 0] > 0.5)).float().mean() > 0.95
    with pytest.raises(ValueError, match="'crop' leaves pixels without a class"):
        build_task("segmentation", model=Painter(), input={"size": 8, "resize": "crop"})


def test_a_single_class_is_named() -> None:
    with pytest.raises(ValueError, match="at least 2 classes"):
        build_task("segmentation", model=nn.Conv2d(3, 1, 1)).targets(torch.rand(1, 3, 4, 4))
