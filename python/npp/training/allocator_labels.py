"""Pictures with the importance of their blocks for several networks: what an allocator learns from.

Everything random about a shard follows from the seed and its number, so that a run that was stopped goes on
with the first shard that is missing.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from npp.allocation import importance
from npp.allocation.block_importance import MOST_DRAWS
from npp.checks import MAX_QP, number, whole, whole_at_least, wholes
from npp.codec.options import MAX_EFFORT
from npp.codec.qp_maps import MAP_BLOCK
from npp.files import write_file
from npp.photos.loading import open_photo, to_tensor
from npp.progress import Progress, no_progress
from npp.tasks import Task
from npp.tasks.region_task import Region, RegionTask

#: Blocks that labels are smoothed with where they are learned and ranked: as npp.qp_map smooths maps.
SIGMA = 0.7
_LEAST_PART = 0.3  # of a photo's area in a crop
_LEAST_WHOLE = 0.75  # of a photo's sides in one that is seen whole
_MOST_ENLARGED = 1.4
_ASPECT = 1.25
_AROUND = (2.0, 5.0)  # sides of a picture around a region, in the region's longer side
_NOTHING = 2.0**-20  # of a picture's most important block: outside of what its task sees
_MARGIN = 32  # pixels around a region that are coded with it
_BESIDE = 2.0**-6  # what blocks beside a region count, against those in it


@dataclass(frozen=True)
class LabelSettings:
    """What is drawn from the photos and how it is labelled.

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


class Labelled(NamedTuple):
    """One picture with its labels.

    Attributes:
        x: (H, W, 3) uint8, sides multiples of 16.
        qp: at which it was labelled.
        logarithms: log2 importance (H/16, W/16) float32 by the name of the network.
    """

    x: np.ndarray
    qp: int
    logarithms: dict[str, np.ndarray]

    def picture(self) -> Tensor:
        """(1, 3, H, W) in [0, 1]."""
        return torch.from_numpy(self.x).permute(2, 0, 1)[None].float() / 255


def _cut(
    image: Image.Image, size: tuple[int, int], part: tuple[float, float], rng: np.random.Generator
) -> Tensor:
    """A random place in a photo, ``part`` (width, height) large, at (height, width), mirrored at times."""
    left, top = (rng.uniform(0, whole - cut) for whole, cut in zip(image.size, part, strict=True))
    box = (left, top, left + part[0], top + part[1])
    x = to_tensor(image.resize((size[1], size[0]), Image.Resampling.BICUBIC, box=box))
    return x.flip(2) if rng.random() < 0.5 else x


def _crop(image: Image.Image, side: int, rng: np.random.Generator) -> Tensor:
    aspect = np.exp(rng.uniform(-np.log(_ASPECT), np.log(_ASPECT)))
    area = image.width * image.height * rng.uniform(_LEAST_PART, 1)
    width, height = (
        min(own, cut)
        for own, cut in zip(image.size, ((area * aspect) ** 0.5, (area / aspect) ** 0.5), strict=True)
    )
    return _cut(image, (side, side), (width, height), rng)


def _view(
    image: Image.Image, longest: tuple[int, int], rng: np.random.Generator
) -> tuple[tuple[float, float], tuple[int, int]]:
    """Width and height of nearly all of a photo, and rows and columns of the picture of it."""
    width, height = (side * rng.uniform(_LEAST_WHOLE, 1) for side in image.size)
    long = min(rng.uniform(*longest), _MOST_ENLARGED * max(width, height))
    rows, columns = (
        max(2, round(side * long / max(width, height) / MAP_BLOCK)) * MAP_BLOCK for side in (height, width)
    )
    return (width, height), (rows, columns)


def _overview(image: Image.Image, longest: tuple[int, int], rng: np.random.Generator) -> Tensor:
    part, size = _view(image, longest, rng)
    return _cut(image, size, part, rng)


def _within(region: Region, image: Image.Image) -> Region:
    """What of a region is in a photo, some at least."""
    right, bottom = min(region.right, image.width), min(region.bottom, image.height)
    return Region(min(region.left, right - 1), min(region.top, bottom - 1), right, bottom)


def _cut_with(
    image: Image.Image,
    region: Region,
    part: tuple[float, float],
    size: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[Tensor, Region]:
    """A place in a photo with all of a region in it, not mirrored, and where the region then is.

    Args:
        image, region: the two.
        part: width and height of the place, at least the region's.
        size: height and width of the picture.
        rng: draws the place.
    """
    width, height = part
    left = rng.uniform(max(0, region.right - width), min(region.left, image.width - width))
    top = rng.uniform(max(0, region.bottom - height), min(region.top, image.height - height))
    box = (left, top, left + width, top + height)
    x = to_tensor(image.resize((size[1], size[0]), Image.Resampling.BICUBIC, box=box))
    across, down = size[1] / width, size[0] / height
    return x, Region(
        (region.left - left) * across,
        (region.top - top) * down,
        (region.right - left) * across,
        (region.bottom - top) * down,
    )


def _around(image: Image.Image, region: Region, side: int, rng: np.random.Generator) -> tuple[Tensor, Region]:
    """A square with all of a region somewhere in it."""
    region = _within(region, image)
    longest = max(region.right - region.left, region.bottom - region.top)
    cut = max(longest * np.exp(rng.uniform(*np.log(_AROUND))), side / _MOST_ENLARGED)
    square = max(longest, min(cut, *image.size))
    width, height = (min(own, square) for own in image.size)
    return _cut_with(image, region, (width, height), (side, side), rng)


def _overview_with(
    image: Image.Image, region: Region, longest: tuple[int, int], rng: np.random.Generator
) -> tuple[Tensor, Region]:
    """Nearly all of a photo with all of a region in it."""
    region = _within(region, image)
    (width, height), size = _view(image, longest, rng)
    part = max(width, region.right - region.left), max(height, region.bottom - region.top)
    return _cut_with(image, region, part, size, rng)


def _logarithm(importance_: Tensor, *, beside: float = 0.0) -> np.ndarray:
    """log2 (h, w) of an importance; blocks have at least that part of the mean of those that count."""
    counting = importance_[importance_ >= _NOTHING * importance_.max()]
    least = max(float(beside * counting.mean()), torch.finfo(torch.float32).tiny)
    found: np.ndarray = importance_.clamp_min(least).log2().numpy()
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


def _of_region(
    x: Tensor, region: Region, task: Task, found_in: Callable[[Tensor, Task], Tensor]
) -> np.ndarray:
    """log2 importance (h, w) of a picture (3, H, W) for a task that looks at a region alone.

    What is far from the region is neither coded nor differentiated, for it counts as what lies beside it.
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
            logarithms[name] = _of_region(x, region, task, found_in)
    pixels = (x * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return Labelled(pixels, qp, logarithms)


def _shard(
    number_: int,
    paths: Sequence[Path],
    tasks: Mapping[str, Task],
    settings: LabelSettings,
    regions: Mapping[Path, Sequence[Region]],
) -> Iterator[Labelled]:
    rng = np.random.default_rng([settings.seed, number_])
    first = number_ * settings.shard
    for k in range(first, first + settings.shard):
        order = np.random.default_rng([settings.seed, 1, k // len(paths)]).permutation(len(paths))
        path = paths[order[k % len(paths)]]
        image = open_photo(path)
        region = None
        whole_photo = rng.random() < settings.whole
        if regions:
            chosen = regions[path][int(rng.integers(len(regions[path])))]
            if whole_photo:
                x, region = _overview_with(image, chosen, settings.longest, rng)
            else:
                x, region = _around(image, chosen, settings.size, rng)
        elif whole_photo:
            x = _overview(image, settings.longest, rng)
        else:
            x = _crop(image, settings.size, rng)
        qp = int(rng.integers(settings.qps[0], settings.qps[1] + 1))
        yield _label(x, qp, tasks, settings, int(rng.integers(2**31)), region)


def _packed(labelled: Sequence[Labelled]) -> bytes:
    arrays: dict[str, np.ndarray] = {}
    for index, one in enumerate(labelled):
        arrays[f"{index}.x"] = one.x
        arrays[f"{index}.qp"] = np.array(one.qp)
        for name, values in one.logarithms.items():
            arrays[f"{index}.map.{name}"] = values.astype(np.float16)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


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
    for number_ in range(-(-settings.count // settings.shard)):
        path = folder / f"labels-{settings.seed}-{number_:05d}.npz"
        if path.is_file():
            progress(settings.shard)
            continue
        labelled = []
        for one in _shard(number_, paths, tasks, settings, regions or {}):
            labelled.append(one)
            progress(1)
        write_file(path, _packed(labelled), force=True)
        written += 1
    return written


def read_shards(folder: Path) -> list[Labelled]:
    """All pictures of a folder of shards and of the folders in it, in order.

    Raises:
        ValueError: there are none.
    """
    found = []
    for path in sorted(folder.rglob("labels-*.npz")):
        with np.load(path, allow_pickle=False) as arrays:
            for index in range(sum(name.endswith(".x") for name in arrays.files)):
                prefix = f"{index}.map."
                names = [name.removeprefix(prefix) for name in arrays.files if name.startswith(prefix)]
                maps = {name: arrays[prefix + name].astype(np.float32) for name in names}
                found.append(Labelled(arrays[f"{index}.x"], int(arrays[f"{index}.qp"]), maps))
    if not found:
        raise ValueError(f"{folder} holds no labels; label_photos writes them")
    return found
