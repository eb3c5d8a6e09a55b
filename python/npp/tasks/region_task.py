"""A task on one region of each picture, such as reading a number plate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from npp.tasks.task import Metric, Task

_LEAST_REGION = 8  # pixels of a side


class Region(NamedTuple):
    """A rectangle in pixels of a photo, ends not included."""

    left: float
    top: float
    right: float
    bottom: float

    def lies_beside(self, height: int, width: int) -> bool:
        """Whether the region has no pixel of a picture of that size."""
        return self.left >= width or self.top >= height or min(self.right, self.bottom) <= 0


def _span(first: float, last: float, side: int) -> slice:
    """Whole pixels that cover a part of a side, but at least a few."""
    start = min(max(0, int(first)), max(0, side - _LEAST_REGION))
    return slice(start, max(start + _LEAST_REGION, min(side, math.ceil(last))))


class RegionTask(Task):
    """A task that gets one region of each picture instead of the picture.

    Pictures are cropped and processed one by one, for their regions differ in size.

    Args:
        task: the task for the regions, which is not copied.
        regions: one for each picture of the batches. Regions are cut at the edges of the picture, and must
            overlap it; crops have at least 8 pixels a side.
    """

    def __init__(self, task: Task, regions: Sequence[Region]) -> None:
        super().__init__(task.network, copy=False)
        self._task = [task]  # in a list, so that it is no submodule
        self._regions = tuple(regions)
        self.name = task.name
        self.higher_is_better: Mapping[str, bool] = task.higher_is_better

    def _crops(self, images: Tensor) -> list[Tensor]:
        """The crops of the pictures, (1, 3, h, w) each.

        Raises:
            ValueError: there are not as many regions as pictures, or one lies outside its picture.
        """
        if len(images) != len(self._regions):
            raise ValueError(f"images must be {len(self._regions)}, one for each region, not {len(images)}")
        height, width = images.shape[-2:]
        for region in self._regions:
            if region.lies_beside(height, width):
                raise ValueError(
                    f"regions must have pixels of pictures of {width}x{height} (width x height), not lie "
                    f"beside them, as {tuple(region)}"
                )
        return [
            image[None, :, _span(region.top, region.bottom, height), _span(region.left, region.right, width)]
            for image, region in zip(images, self._regions, strict=True)
        ]

    def targets(self, images: Tensor) -> list[Any]:
        """The targets of each region."""
        return [self._task[0].targets(crop)[0] for crop in self._crops(images)]

    def loss_targets(self, images: Tensor) -> list[Any]:
        """The part of :meth:`targets` that the task's loss needs."""
        return [self._task[0].loss_targets(crop)[0] for crop in self._crops(images)]

    def predict(self, images: Tensor) -> list[Any]:
        """The predictions for each region, in the form for the task's metric."""
        return [self._task[0].predict(crop)[0] for crop in self._crops(images)]

    def loss(self, images: Tensor, targets: Sequence[Any]) -> Tensor:
        """The task's loss of each region (N,)."""
        crops = self._crops(images)
        return torch.cat([self._task[0].loss(crop, targets[i : i + 1]) for i, crop in enumerate(crops)])

    def scores(self, images: Tensor, targets: Sequence[Any]) -> dict[str, Tensor]:
        """The task's scores of each region."""
        crops = self._crops(images)
        by_crop = [self._task[0].scores(crop, targets[i : i + 1]) for i, crop in enumerate(crops)]
        return {name: torch.cat([scores[name] for scores in by_crop]) for name in by_crop[0]}

    def metric(self) -> Metric:
        """A new, empty metric of the task."""
        return self._task[0].metric()
