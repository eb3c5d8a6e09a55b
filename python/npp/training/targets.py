"""Clean predictions, made once where a picture comes again."""

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
        keys = [int(one) for one in photo]
        new = [i for i, key in enumerate(keys) if key not in self._kept]
        if new:
            found = self._predict(x[new])
            for place, i in enumerate(new):
                self._kept[keys[i]] = {label: values[place] for label, values in found.items()}
        return {label: [self._kept[key][label] for key in keys] for label in self._tasks}

    def _predict(self, x: Tensor) -> dict[str, list[Any]]:
        with torch.no_grad():
            return {label: task.targets(x) for label, task in self._tasks.items()}
