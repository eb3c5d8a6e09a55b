"""What tasks see in the pictures before the codec: the predictions that a loss compares with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from npp.tasks import Task


class Targets:
    """What the tasks see in clean pictures.

    Args:
        tasks: by label.
        keep: remember them by photo; only where a photo always gives the same picture.
    """

    def __init__(self, tasks: Mapping[str, Task], *, keep: bool) -> None:
        self._tasks = tasks
        self._kept: dict[int, dict[str, Any]] | None = {} if keep else None

    def of(self, x: Tensor, photo: Tensor) -> dict[str, list[Any]]:
        """Targets by label, an entry for each picture.

        Args:
            x: (N, 3, H, W) clean pictures.
            photo: (N,) which photos they are.
        """
        if self._kept is None:
            return self._predict(x)
        keys = [int(index) for index in photo]
        for i, key in enumerate(keys):
            if key not in self._kept:
                # Alone: in a batch the last bits differ, and a run that goes on begins with other ones.
                predictions = self._predict(x[i : i + 1])
                self._kept[key] = {label: values[0] for label, values in predictions.items()}
        return {label: [self._kept[key][label] for key in keys] for label in self._tasks}

    def _predict(self, x: Tensor) -> dict[str, list[Any]]:
        with torch.no_grad():
            return {label: task.loss_targets(x) for label, task in self._tasks.items()}
