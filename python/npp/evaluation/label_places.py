"""Checks that what is said to be in a photo lies in it, and was said of a photo of its size."""

from __future__ import annotations

from collections.abc import Iterable

from npp.tasks.region_task import Region


def size_said(size: tuple[int, int]) -> str:
    """Height and width as width and height, for messages."""
    height, width = size
    return f"{width}x{height}"


def check_size(what: str, name: str, listed: tuple[int, int], size: tuple[int, int]) -> None:
    """Refuses what is said of a photo of another size.

    Args:
        what: annotations or masks, for messages.
        name: of the photo, or of the file about it.
        listed: height and width as they are said to be.
        size: height and width of the photo as it is loaded, turned as its EXIF data says.

    Raises:
        ValueError: they differ; it names photo and sizes.
    """
    if listed != size:
        turned = ", perhaps turned by its EXIF data" if listed == size[::-1] else ""
        raise ValueError(
            f"{what}: {name} must be {size_said(size)} (width x height), as its photo is loaded{turned}, not "
            f"{size_said(listed)}"
        )


def check_places(what: str, name: str, places: Iterable[Region], size: tuple[int, int]) -> None:
    """Refuses places without a pixel of their photo; such as reach over its edges have some.

    What has no area says little, but nothing wrong where it lies in the photo or at its edge.

    Args:
        what: annotations or regions, for messages.
        name: of the photo.
        places: in its pixels.
        size: height and width of the photo as it is loaded.

    Raises:
        ValueError: there is one; it names photo, place and size.
    """
    height, width = size
    for region in places:
        empty = region.left >= region.right or region.top >= region.bottom
        reached = region.left <= width and region.top <= height and min(region.right, region.bottom) >= 0
        if region.lies_beside(height, width) and not (empty and reached):
            corner = f"{region.left:g}, {region.top:g} to {region.right:g}, {region.bottom:g}"
            raise ValueError(
                f"{what}: {name} must be marked within its {size_said(size)} pixels (width x height), as it"
                f" is loaded, not from {corner}"
            )
