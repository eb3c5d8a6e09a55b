"""Whose a file is, where rows of a data set become files: two may have names that become the same one."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from npp.integrations.ray.ray_sessions import actor, beside_the_driver


class Owners(Protocol):
    """Gives each file to one row."""

    def claim(self, batch: str, targets: Sequence[str], inputs: Sequence[str]) -> list[str | None]:
        """Claims files for the rows of a batch, which may do so again.

        Args:
            batch: its name.
            targets: the files, one a row.
            inputs: what becomes of them.

        Returns:
            For each row ``None`` where the file is its own, else the input of the row that has it.
        """


def register() -> type[Owners]:
    """The class that keeps the owners; it is made with those that are known, as inputs by files."""

    # In here, so that Ray carries the class itself: to keep names, no process has to load npp and torch.
    class Register:
        def __init__(self, known: Mapping[str, str]) -> None:
            # By file: the input and its batch; None stands for an earlier run.
            self._owners: dict[str, tuple[str, str | None]] = {
                target: (name, None) for target, name in known.items()
            }

        def claim(self, batch: str, targets: Sequence[str], inputs: Sequence[str]) -> list[str | None]:
            rivals: list[str | None] = []
            claimed = set()  # a second row of the same name does not get what the first has
            for target, name in zip(targets, inputs, strict=True):
                owner, owners_batch = self._owners.get(target, (name, None))
                if owner == name and owners_batch in (None, batch) and target not in claimed:
                    self._owners[target] = (name, batch)
                    claimed.add(target)
                    rivals.append(None)
                else:
                    rivals.append(owner)
            return rivals

    return Register


class OwnersOnTheCluster:
    """Gives each file to one row among all workers of a run. It can be pickled where Ray pickles.

    Args:
        known: inputs by files that earlier runs have made.
    """

    def __init__(self, known: Mapping[str, str]) -> None:
        self._register = actor(register(), dict(known), **beside_the_driver())

    def claim(self, batch: str, targets: Sequence[str], inputs: Sequence[str]) -> list[str | None]:
        """Claims files for the rows of a batch; see :meth:`Owners.claim`."""
        ray: Any = importlib.import_module("ray")
        rivals: list[str | None] = ray.get(self._register.claim.remote(batch, targets, inputs))
        return rivals
