"""Parts of a set: every file in one, whoever lists it; and what torchrun and SLURM say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from npp.batch import Shard


def test_every_file_is_in_one_part() -> None:
    names = [f"folder/{number}.png" for number in range(3000)]
    shards = [Shard(rank, 7) for rank in range(7)]
    owners = [[shard.rank for shard in shards if shard.has(name)] for name in names]
    assert all(len(ranks) == 1 for ranks in owners)
    sizes = Counter(ranks[0] for ranks in owners)
    assert all(abs(size - 3000 / 7) < 4 * (3000 / 7) ** 0.5 for size in sizes.values())
    assert all(Shard(0, 1).has(name) for name in names[:10])


def test_parts_do_not_change_between_versions() -> None:
    assert [Shard(rank, 3).has("a.png") for rank in range(3)] == [False, False, True]
    # SHA-256 of "abc" begins with ba7816bf8f01cfea, as its specification says.
    (rank,) = [rank for rank in range(1000) if Shard(rank, 1000).has("abc")]
    assert rank == 0xBA7816BF8F01CFEA % 1000


@pytest.mark.parametrize(
    ("environment", "shard"),
    [
        ({"RANK": "3", "WORLD_SIZE": "8"}, Shard(3, 8)),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "4"}, Shard(1, 4)),
        ({"RANK": "3", "WORLD_SIZE": "8", "SLURM_PROCID": "1", "SLURM_NTASKS": "4"}, Shard(3, 8)),
        (
            {"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "10"},
            Shard(4, 10),
        ),
        (
            {
                "SLURM_PROCID": "1",
                "SLURM_NTASKS": "2",
                "SLURM_ARRAY_TASK_ID": "14",
                "SLURM_ARRAY_TASK_MIN": "10",
                "SLURM_ARRAY_TASK_MAX": "20",
                "SLURM_ARRAY_TASK_STEP": "2",
                "SLURM_ARRAY_TASK_COUNT": "6",
            },
            Shard(5, 12),
        ),
    ],
)
def test_the_environment_says_which_part(environment: dict[str, str], shard: Shard) -> None:
    assert Shard.parse("auto", environment) == shard


def test_what_is_no_part() -> None:
    assert Shard.parse("3/8") == Shard(3, 8)
    for text in ("3", "3/", "8/8", "-1/8", "1/0", "a/b", ""):
        with pytest.raises(ValueError, match="a shard must be RANK/WORLD"):
            Shard.parse(text)
    with pytest.raises(ValueError, match="a shard of auto needs RANK and WORLD_SIZE"):
        Shard.parse("auto", {})
    with pytest.raises(ValueError, match="RANK must be a whole number, not 'x'"):
        Shard.parse("auto", {"RANK": "x", "WORLD_SIZE": "2"})
    array = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_MIN": "3", "SLURM_ARRAY_TASK_MAX": "7"}
    with pytest.raises(ValueError, match="has gaps"):
        Shard.parse("auto", {**array, "SLURM_ARRAY_TASK_COUNT": "2"})


def test_each_part_has_files_of_its_own() -> None:
    assert Shard(3, 8).own_name(Path("out/m.jsonl")) == Path("out/m.00003-of-00008.jsonl")
    assert Shard(0, 1).own_name(Path("out/m.jsonl")) == Path("out/m.jsonl")


@pytest.mark.parametrize(("rank", "world"), [("a", 2), (0.5, 2), (True, 2), (0, 2.0), (2, 2), (-1, 2)])
def test_a_shard_is_of_integers(rank: Any, world: Any) -> None:
    with pytest.raises(ValueError, match="a shard must be RANK/WORLD with"):
        Shard(rank, world)
