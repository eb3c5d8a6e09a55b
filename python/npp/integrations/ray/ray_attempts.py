"""Counts the attempts at each batch: one that has killed its worker again and again is suspicious."""

from __future__ import annotations

from typing import Any

from npp.integrations.ray.ray_sessions import actor, beside_the_driver


def attempt_counter() -> Any:
    """An actor whose ``begin(name)`` gives the number of attempts at a batch; ``end(name)`` forgets them."""

    # In here, so that Ray carries the class itself: to count, no process has to load npp and torch.
    class Attempts:
        def __init__(self) -> None:
            self._counts: dict[str, int] = {}

        def begin(self, name: str) -> int:
            self._counts[name] = self._counts.get(name, 0) + 1
            return self._counts[name]

        def end(self, name: str) -> None:
            self._counts.pop(name, None)

    return actor(Attempts, **beside_the_driver())
