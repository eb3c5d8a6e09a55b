"""Tasks whose losses are random are warned of before a training goes by them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor

from npp.evaluation.score_stability import ChangedScore, blurred, changed_answer
from npp.tasks import Task


@torch.no_grad()
def warn_of_random_losses(tasks: Mapping[str, Task], images: Tensor) -> None:
    """Warns of each task that says something else of the same picture when it is asked again.

    Costs two looks at each picture, alone, and a third where the answers differ. Errors of a network in them
    are ignored, for they need not occur in the training.

    Args:
        tasks: by label.
        images: (N, 3, H, W) in [0, 1], on the tasks' device.
    """
    for label, task in tasks.items():
        try:
            changed = [_changed_loss(task, image) for image in torch.split(images, 1)]
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception:  # the network may raise anything
            continue
        difference = next((found for found in changed if found is not None), None)
        if difference is not None:
            warnings.warn(
                f"task {label}: its loss of a photo is {difference.before:.4g} and, asked again, "
                f"{difference.after:.4g}: its answers are random, and so is what the training goes by",
                stacklevel=2,
            )


def _changed_loss(task: Task, image: Tensor) -> ChangedScore | None:
    """Two losses of one picture (1, 3, H, W) that differ by more than rounding; ``None`` without any."""
    targets = task.loss_targets(image)
    before, again = ({"loss": task.loss(image, targets)} for _ in range(2))
    if torch.equal(before["loss"], again["loss"]):
        return None
    return changed_answer(before, again, {"loss": task.loss(blurred(image), targets)})
