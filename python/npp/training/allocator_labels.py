"""Labels pictures with the importance of their blocks for several networks: what an allocator learns from.

Everything random about a shard follows from the seed and its number, so that a run that was stopped goes on
with the first shard that is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from npp.allocation import importance
from npp.allocation.block_importance import MOST_DRAWS
from npp.checks import MAX_QP, number, whole, whole_at_least, wholes
from npp.codec.options import MAX_EFFORT
from npp.codec.qp_maps import MAP_BLOCK
from npp.photos.loading import open_photo
from npp.progress import Progress, no_progress
from npp.tasks import Task
from npp.tasks.region_task import Region, RegionTask
from npp.training.label_crops import crop_around_region, overview, overview_with_region, random_crop
from npp.training.label_store import Labelled, shard_path, write_shard

_NOTHING = 2.0**-20  # of a picture's most important block: less is outside of what its task sees
_MARGIN = 32  # pixels around a region that are coded with it
_BESIDE = 2.0**-6  # of the mean of a region's blocks: what blocks beside it count


@dataclass(frozen=True)
class LabelSettings:
    """The settings by which pictures are drawn from photos and labelled.

    Attributes:
        count: pictures, 1 to 10 million; rounded up to whole shards.
        size: sides of crops in pixels, a multiple of 16, 32 to 2048: what classifiers see.
        whole: part of the pictures that show nearly the whole photo, 0 to 1: what detectors see. The others
            are crops, around a region where there are some.
        longest: least and greatest length of their longer side, 32 to 4096.
        qps: least and greatest qp.
        draws: 1 to 1000, see :func:`npp.importance`.
        effort: of the codec, 0 to 9; 1 is good enough.
        shard: pictures in a file, 1 to 4096.
        seed: of everything that is drawn.
    """

    count: int = 4000
    size: int = 224
    whole: float = 0.33
    longest: tuple[int, int] = (288, 640)
    qps: tuple[int, int] = (28, 44)
    draws: int = 1
    effort: int = 1
    shard: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        wholes(self, 1, 10**7, "count")
        wholes(self, 32, 2048, "size")
        if self.size % MAP_BLOCK:
            raise ValueError(f"size must be a multiple of {MAP_BLOCK}, not {self.size}")
        number("whole", self.whole, 0, 1)
        wholes(self, 1, 4096, "shard")
        wholes(self, 1, MOST_DRAWS, "draws")
        wholes(self, 0, MAX_EFFORT, "effort")
        whole_at_least(self, 0, "seed")
        for name, (low, high), least, most in (
            ("longest", self.longest, 32, 4096),
            ("qps", self.qps, 0, MAX_QP),
        ):
            lowest = whole(name, low, least, most)
            object.__setattr__(self, name, (lowest, whole(name, high, lowest, most)))


def _logarithm(values: Tensor, *, beside: float = 0.0) -> np.ndarray:
    """log2 of the importance (h, w) of blocks.

    Args:
        values: the importance, 0 or more.
        beside: every block counts at least as this part of the mean of those that count.
    """
    counting = values[values >= _NOTHING * values.max()]
    least = max(float(beside * counting.mean()), torch.finfo(torch.float32).tiny)
    found: np.ndarray = values.clamp_min(least).log2().numpy()
    return found


def _near(region: Region, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of whole blocks that hold a region and some pixels around it, within a picture."""
    rows, columns = (
        slice(
            max(0, math.floor((first - _MARGIN) / MAP_BLOCK) * MAP_BLOCK),
            min(side, math.ceil((last + _MARGIN) / MAP_BLOCK) * MAP_BLOCK),
        )
        for first, last, side in ((region.top, region.bottom, height), (region.left, region.right, width))
    )
    return rows, columns


def _region_logarithm(
    x: Tensor, region: Region, task: Task, found_in: Callable[[Tensor, Task], Tensor]
) -> np.ndarray:
    """log2 importance (h, w) of a picture's blocks for a task that looks at a region alone.

    What is far from the region is neither coded nor differentiated, for it counts as what lies beside it.

    Args:
        x: (3, H, W), sides multiples of 16.
        region: in pixels of x.
        task: the task.
        found_in: gives the importance (h, w) of a picture for a task.
    """
    rows, columns = _near(region, x.shape[1], x.shape[2])
    moved = Region(
        region.left - columns.start,
        region.top - rows.start,
        region.right - columns.start,
        region.bottom - rows.start,
    )
    near = _logarithm(found_in(x[:, rows, columns], RegionTask(task, [moved])), beside=_BESIDE)
    found = np.full((x.shape[1] // MAP_BLOCK, x.shape[2] // MAP_BLOCK), near.min(), np.float32)
    blocks = tuple(slice(one.start // MAP_BLOCK, one.stop // MAP_BLOCK) for one in (rows, columns))
    found[blocks] = near
    return found


def _label(
    x: Tensor,
    qp: int,
    tasks: Mapping[str, Task],
    settings: LabelSettings,
    seed: int,
    region: Region | None = None,
) -> Labelled:
    """Labels a picture (3, H, W) for each task; where there is a region, the tasks look at that alone."""
    generator = torch.Generator().manual_seed(seed)

    def found_in(picture: Tensor, seen: Task) -> Tensor:
        return importance(
            picture[None],
            seen,
            qp,
            draws=settings.draws,
            generator=generator,
            threads=1,
            effort=settings.effort,
        )[0]

    logarithms = {}
    for name, task in tasks.items():
        if region is None:
            logarithms[name] = _logarithm(found_in(x, task))
        else:
            logarithms[name] = _region_logarithm(x, region, task, found_in)
    pixels = (x * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return Labelled(pixels, qp, logarithms)


def _draw(
    image: Image.Image, regions: Sequence[Region] | None, settings: LabelSettings, rng: np.random.Generator
) -> tuple[Tensor, Region | None]:
    """Draws a picture (3, H, W) from a photo, with one of its regions in it where it has some."""
    whole_photo = rng.random() < settings.whole
    if regions is None:
        if whole_photo:
            return overview(image, settings.longest, rng), None
        return random_crop(image, settings.size, rng), None
    region = regions[int(rng.integers(len(regions)))]
    if whole_photo:
        return overview_with_region(image, region, settings.longest, rng)
    return crop_around_region(image, region, settings.size, rng)


def _shard(
    index: int,
    paths: Sequence[Path],
    tasks: Mapping[str, Task],
    settings: LabelSettings,
    regions: Mapping[Path, Sequence[Region]],
) -> Iterator[Labelled]:
    """Draws and labels the pictures of the shard of an index, one after the other."""
    rng = np.random.default_rng([settings.seed, index])
    first = index * settings.shard
    for k in range(first, first + settings.shard):
        order = np.random.default_rng([settings.seed, 1, k // len(paths)]).permutation(len(paths))
        path = paths[order[k % len(paths)]]
        image = open_photo(path)
        x, region = _draw(image, regions[path] if regions else None, settings, rng)
        qp = int(rng.integers(settings.qps[0], settings.qps[1] + 1))
        yield _label(x, qp, tasks, settings, int(rng.integers(2**31)), region)


def label_photos(
    paths: Sequence[Path],
    tasks: Mapping[str, Task],
    folder: Path,
    settings: LabelSettings | None = None,
    *,
    regions: Mapping[Path, Sequence[Region]] | None = None,
    progress: Progress = no_progress,
) -> int:
    """Draws pictures from photos and labels them with the importance that each network gives.

    It costs about 60 ms a picture and network of EfficientNet-Lite0's size on one core; run several with
    other seeds into other folders to use more. What is in the folder already stays.

    Args:
        paths: photos; none of those that results will be reported on.
        tasks: by the name that the allocator's head will have.
        folder: for the shards.
        settings: see :class:`LabelSettings`.
        regions: of each photo the parts that the tasks look at; every picture then has all of one of them in
            it. The rest of a picture counts as a sixty-fourth of what the region's blocks do in the mean.
        progress: told how many pictures are there since the last time.

    Returns:
        Number of shards that were written now.

    Raises:
        ValueError: no photos or no tasks.
    """
    settings = settings or LabelSettings()
    if not paths or not tasks:
        raise ValueError(f"{'paths' if not paths else 'tasks'} must not be empty")
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    for index in range(-(-settings.count // settings.shard)):
        path = shard_path(folder, settings.seed, index)
        if path.is_file():
            progress(settings.shard)
            continue
        labelled = []
        for one in _shard(index, paths, tasks, settings, regions or {}):
            labelled.append(one)
            progress(1)
        write_shard(path, labelled)
        written += 1
    return written
