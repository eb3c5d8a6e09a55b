"""The tasks' targets: their predictions on the pictures before the codec, which a loss compares with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from npp.tasks import Task


class TargetCache:
    """The tasks' predictions on clean pictures, kept by photo if wanted.

    Args:
        tasks: by label.
        keep: whether they are remembered by photo; only where a photo always gives the same picture.
    """

    def __init__(self, tasks: Mapping[str, Task], *, keep: bool) -> None:
        self._tasks = tasks
        self._kept: dict[int, dict[str, Any]] | None = {} if keep else None

    def of(self, x: Tensor, photo: Tensor) -> dict[str, list[Any]]:
        """Returns the targets by label, each a list with an entry for each picture.

        Args:
            x: (N, 3, H, W) clean pictures.
            photo: (N,) which photos they are.
        """
        if self._kept is None:
            return self._predict(x)
        keys = [int(index) for index in photo]
        for i, key in enumerate(keys):
            if key not in self._kept:
                # One by one: the last bits depend on the batch, and a resumed run has other batches.
                predictions = self._predict(x[i : i + 1])
                self._kept[key] = {label: values[0] for label, values in predictions.items()}
        return {label: [self._kept[key][label] for key in keys] for label in self._tasks}

    def _predict(self, x: Tensor) -> dict[str, list[Any]]:
        with torch.no_grad():
            return {label: task.loss_targets(x) for label, task in self._tasks.items()}
