"""What tasks see in the pictures before the codec."""

from __future__ import annotations

import torch
from small_runs import pictures

from npp.training.target_cache import TargetCache


def test_targets_are_made_once_where_photos_come_again() -> None:
    class Counting:
        seen = 0

        def loss_targets(self, x: torch.Tensor) -> list[float]:
            self.seen += len(x)
            return x.flatten(1).sum(1).tolist()

    task, x = Counting(), pictures(3, 8)
    kept = TargetCache({"a": task}, keep=True)  # type: ignore[dict-item]
    first = kept.of(x, torch.tensor([5, 6, 7]))
    assert first == {"a": [float(one.sum()) for one in x]}  # each photo's own
    again = kept.of(x[[2, 0]], torch.tensor([7, 5]))
    assert again == {"a": [first["a"][2], first["a"][0]]} and task.seen == 3
    always = TargetCache({"a": task}, keep=False)  # type: ignore[dict-item]
    assert always.of(x, torch.tensor([5, 6, 7])) == first and task.seen == 6
    assert always.of(x[[1]], torch.tensor([5])) == {"a": [first["a"][1]]}, "another picture of the photo"
