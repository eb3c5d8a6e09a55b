"""Counts how often each batch was begun: one that has killed its worker again and again is suspicious."""

from __future__ import annotations

from typing import Any

from npp.integrations.ray.ray_sessions import actor, beside_the_driver


def counter() -> Any:
    """An actor: ``begin(name)`` gives how often a batch was begun, ``end(name)`` ends the count."""

    # In here, so that Ray carries the class itself: to count, no process has to load npp and torch.
    class Tries:
        def __init__(self) -> None:
            self._counts: dict[str, int] = {}

        def begin(self, name: str) -> int:
            self._counts[name] = self._counts.get(name, 0) + 1
            return self._counts[name]

        def end(self, name: str) -> None:
            self._counts.pop(name, None)

    return actor(Tries, **beside_the_driver())
