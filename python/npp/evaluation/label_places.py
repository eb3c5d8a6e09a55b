"""That what is said to be in a photo lies in it."""

from __future__ import annotations

from collections.abc import Iterable

from npp.tasks.region_task import Region


def size_said(size: tuple[int, int]) -> str:
    """For messages: height and width as width and height."""
    height, width = size
    return f"{width}x{height}"


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
    for one in places:
        empty = one.left >= one.right or one.top >= one.bottom
        reached = one.left <= width and one.top <= height and min(one.right, one.bottom) >= 0
        if one.lies_beside(height, width) and not (empty and reached):
            corner = f"{one.left:g}, {one.top:g} to {one.right:g}, {one.bottom:g}"
            raise ValueError(
                f"{what}: {name} must be marked within its {size_said(size)} pixels (width x height), as it"
                f" is loaded, not from {corner}"
            )
