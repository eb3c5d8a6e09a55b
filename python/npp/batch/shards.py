"""Parts of a set of files, one for each of several machines."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from npp.checks import is_int

_TEXT = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True)
class Shard:
    """A part of a set.

    Files belong to a part by their names alone, so all machines agree at any time, and a file that is added
    later is done by one machine. Parts are therefore only about equally large: each of n files' parts has
    n / world files, plus or minus a few times the square root of that.

    Attributes:
        rank: which part, 0 to ``world - 1``.
        world: how many parts there are.

    Raises:
        ValueError: ``rank`` is not below ``world``, or either is no whole number of at least 0.
    """

    rank: int
    world: int

    def __post_init__(self) -> None:
        are_integers = is_int(self.rank) and is_int(self.world)
        if not are_integers or not 0 <= self.rank < self.world:
            raise ValueError(f"a shard must be RANK/WORLD with 0 <= RANK < WORLD, not {self}")

    def __str__(self) -> str:
        return f"{self.rank}/{self.world}"

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str] | None = None) -> Shard:
        """A shard from text: ``3/8``, or ``auto`` for the one that the environment gives.

        ``auto`` takes ``RANK`` and ``WORLD_SIZE`` (torchrun), else ``SLURM_PROCID`` and ``SLURM_NTASKS``
        (srun), each of them within ``SLURM_ARRAY_TASK_ID`` where the job is one of an array.

        Args:
            text: as above.
            environment: the variables; by default those of the process.

        Raises:
            ValueError: the text is no shard, or the environment gives none.
        """
        if text == "auto":
            return _of_environment(os.environ if environment is None else environment)
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f"a shard must be RANK/WORLD or auto, not {text!r}")
        return cls(int(match[1]), int(match[2]))

    def has(self, name: str) -> bool:
        """Whether the file of this name within the set belongs to the part."""
        if self.world == 1:
            return True
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.world == self.rank

    def own_name(self, path: Path) -> Path:
        """The path with the shard in the file's name, as in ``manifest.00003-of-00008.jsonl``."""
        if self.world == 1:
            return path
        return path.with_name(f"{path.stem}.{self.rank:05d}-of-{self.world:05d}{path.suffix}")


def _number(environment: Mapping[str, str], name: str) -> int:
    try:
        return int(environment[name])
    except ValueError:
        raise ValueError(f"{name} must be a whole number, not {environment[name]!r}") from None


def _of_environment(environment: Mapping[str, str]) -> Shard:
    if "RANK" in environment and "WORLD_SIZE" in environment:
        return Shard(_number(environment, "RANK"), _number(environment, "WORLD_SIZE"))
    shard = None
    if "SLURM_PROCID" in environment and "SLURM_NTASKS" in environment:
        shard = Shard(_number(environment, "SLURM_PROCID"), _number(environment, "SLURM_NTASKS"))
    if "SLURM_ARRAY_TASK_ID" in environment:
        index, count = _in_array(environment)
        inner = shard or Shard(0, 1)
        return Shard(index * inner.world + inner.rank, count * inner.world)
    if shard is None:
        raise ValueError(
            "a shard of auto needs RANK and WORLD_SIZE, SLURM_PROCID and SLURM_NTASKS, or SLURM_ARRAY_TASK_ID"
        )
    return shard


def _in_array(environment: Mapping[str, str]) -> tuple[int, int]:
    """The index of this job in its array, and the number of jobs."""
    names = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX")
    missing = [name for name in names if name not in environment]
    if missing:
        raise ValueError(f"a shard of auto needs {missing[0]} beside SLURM_ARRAY_TASK_ID")
    index, first, last = (_number(environment, name) for name in names)
    step = _number(environment, "SLURM_ARRAY_TASK_STEP") if "SLURM_ARRAY_TASK_STEP" in environment else 1
    count = (last - first) // step + 1
    stated_count = (
        _number(environment, "SLURM_ARRAY_TASK_COUNT") if "SLURM_ARRAY_TASK_COUNT" in environment else count
    )
    if stated_count != count:
        raise ValueError(
            f"the array of {stated_count} jobs from {first} to {last} has gaps: "
            "name the shard as RANK/WORLD instead of auto"
        )
    return (index - first) // step, count
