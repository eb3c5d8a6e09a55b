"""Pictures cut out of photos to be labelled: crops, and views of nearly all of a photo."""

from __future__ import annotations

import numpy as np
from PIL import Image
from torch import Tensor

from npp.codec.qp_maps import MAP_BLOCK
from npp.photos.loading import to_tensor
from npp.tasks.region_task import Region

_LEAST_PART = 0.3  # of a photo's area in a crop
_LEAST_WHOLE = 0.75  # of a photo's sides in a view of nearly all of it
_MOST_ENLARGED = 1.4  # pixels of a picture for each of the photo, along a side
_ASPECT = 1.25  # most by which the sides of a crop differ
_AROUND = (2.0, 5.0)  # sides of a crop around a region, in the region's longer side


def _cut(
    image: Image.Image, size: tuple[int, int], part: tuple[float, float], rng: np.random.Generator
) -> Tensor:
    """Cuts out a random place of a photo, mirrored half of the times.

    Args:
        image: the photo.
        size: height and width of the picture.
        part: width and height of the place, at most the photo's.
        rng: draws the place.

    Returns:
        (3, *size) in [0, 1].
    """
    left, top = (rng.uniform(0, whole - cut) for whole, cut in zip(image.size, part, strict=True))
    box = (left, top, left + part[0], top + part[1])
    x = to_tensor(image.resize((size[1], size[0]), Image.Resampling.BICUBIC, box=box))
    return x.flip(2) if rng.random() < 0.5 else x


def random_crop(image: Image.Image, side: int, rng: np.random.Generator) -> Tensor:
    """A square picture (3, side, side) in [0, 1] of a random part of a photo, mirrored half of the times."""
    aspect = np.exp(rng.uniform(-np.log(_ASPECT), np.log(_ASPECT)))
    area = image.width * image.height * rng.uniform(_LEAST_PART, 1)
    width, height = (
        min(own, cut)
        for own, cut in zip(image.size, ((area * aspect) ** 0.5, (area / aspect) ** 0.5), strict=True)
    )
    return _cut(image, (side, side), (width, height), rng)


def _view_size(
    image: Image.Image, longest: tuple[int, int], rng: np.random.Generator
) -> tuple[tuple[float, float], tuple[int, int]]:
    """Width and height of nearly all of a photo, and rows and columns of the picture of it."""
    width, height = (side * rng.uniform(_LEAST_WHOLE, 1) for side in image.size)
    long = min(rng.uniform(*longest), _MOST_ENLARGED * max(width, height))
    rows, columns = (
        max(2, round(side * long / max(width, height) / MAP_BLOCK)) * MAP_BLOCK for side in (height, width)
    )
    return (width, height), (rows, columns)


def overview(image: Image.Image, longest: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """A picture (3, H, W) in [0, 1] of nearly all of a photo, mirrored half of the times.

    Args:
        image: the photo.
        longest: least and greatest length of the picture's longer side; both sides become multiples of 16.
        rng: draws the part and the size.
    """
    part, size = _view_size(image, longest, rng)
    return _cut(image, size, part, rng)


def _within(region: Region, image: Image.Image) -> Region:
    """The part of a region that lies in a photo; at least one pixel."""
    right, bottom = min(region.right, image.width), min(region.bottom, image.height)
    return Region(min(region.left, right - 1), min(region.top, bottom - 1), right, bottom)


def _cut_with_region(
    image: Image.Image,
    region: Region,
    part: tuple[float, float],
    size: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[Tensor, Region]:
    """Cuts out a place of a photo with all of a region in it, not mirrored.

    Args:
        image: the photo.
        region: a part of it, in its pixels.
        part: width and height of the place, at least the region's.
        size: height and width of the picture.
        rng: draws the place.

    Returns:
        (3, *size) in [0, 1], and where the region is in it.
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


def crop_around_region(
    image: Image.Image, region: Region, side: int, rng: np.random.Generator
) -> tuple[Tensor, Region]:
    """A square picture (3, side, side) with all of a region somewhere in it, and where that is."""
    region = _within(region, image)
    longest = max(region.right - region.left, region.bottom - region.top)
    cut = max(longest * np.exp(rng.uniform(*np.log(_AROUND))), side / _MOST_ENLARGED)
    square = max(longest, min(cut, *image.size))
    width, height = (min(own, square) for own in image.size)
    return _cut_with_region(image, region, (width, height), (side, side), rng)


def overview_with_region(
    image: Image.Image, region: Region, longest: tuple[int, int], rng: np.random.Generator
) -> tuple[Tensor, Region]:
    """A picture (3, H, W) as :func:`overview` makes it, with all of a region in it, and where that is."""
    region = _within(region, image)
    (width, height), size = _view_size(image, longest, rng)
    part = max(width, region.right - region.left), max(height, region.bottom - region.top)
    return _cut_with_region(image, region, part, size, rng)
