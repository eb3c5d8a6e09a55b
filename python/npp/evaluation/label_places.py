"""Checks that labels lie in their photo, and were made for a photo of its size."""

from __future__ import annotations

from collections.abc import Iterable

from npp.tasks.region_task import Region


def size_said(size: tuple[int, int]) -> str:
    """Height and width as width and height, for messages."""
    height, width = size
    return f"{width}x{height}"


def check_size(what: str, name: str, listed: tuple[int, int], size: tuple[int, int]) -> None:
    """Raises ValueError unless labels are of a photo of this size.

    Args:
        what: annotations or masks, for messages.
        name: name of the photo, or of the file about it.
        listed: height and width of the photo according to the labels.
        size: height and width of the photo as it is loaded, turned as its EXIF data says.

    Raises:
        ValueError: the sizes differ; the message names the photo and both sizes.
    """
    if listed != size:
        turned = ", perhaps turned by its EXIF data" if listed == size[::-1] else ""
        raise ValueError(
            f"{what}: {name} must be {size_said(size)} (width x height), as its photo is loaded{turned}, not "
            f"{size_said(listed)}"
        )


def check_places(what: str, name: str, places: Iterable[Region], size: tuple[int, int]) -> None:
    """Raises ValueError unless each place has a pixel of the photo; it may reach over the edges.

    A place without area is allowed if it lies in the photo or at its edge.

    Args:
        what: annotations or regions, for messages.
        name: name of the photo.
        places: the places in pixels of the photo.
        size: height and width of the photo as it is loaded.

    Raises:
        ValueError: a place lies outside; the message names photo, place and size.
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
