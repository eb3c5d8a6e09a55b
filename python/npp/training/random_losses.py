"""Tasks whose losses are random are warned of before a training goes by them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor

from npp.evaluation.score_stability import blurred, changed_answer
from npp.tasks import Task


@torch.no_grad()
def warn_of_random_losses(tasks: Mapping[str, Task], images: Tensor) -> None:
    """Warns of each task that says something else of the same pictures when it is asked again.

    Costs two looks at these pictures, and a third where the answers differ.

    Args:
        tasks: by label.
        images: (N, 3, H, W) in [0, 1], on the tasks' device.
    """
    for label, task in tasks.items():
        targets = task.loss_targets(images)
        before, again = ({"loss": task.loss(images, targets)} for _ in range(2))
        if torch.equal(before["loss"], again["loss"]):
            continue
        difference = changed_answer(before, again, {"loss": task.loss(blurred(images), targets)})
        if difference is not None:
            warnings.warn(
                f"task {label}: its loss of a photo is {difference.before:.4g} and, asked again, "
                f"{difference.after:.4g}: its answers are random, and so is what the training goes by",
                stacklevel=2,
            )
