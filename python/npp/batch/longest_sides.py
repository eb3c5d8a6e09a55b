"""The largest pictures that formats can hold."""

from __future__ import annotations

from types import MappingProxyType

#: Pixels that a side has at the most, by Pillow's name of the format; the others hold all that BPG does.
LONGEST_SIDES = MappingProxyType({"GIF": 65_535, "JPEG": 65_500, "WEBP": 16_383})


def check_sides(format_name: str, height: int, width: int, instead: str) -> None:
    """That a picture fits a format.

    Args:
        format_name: Pillow's.
        height, width: in pixels, of the picture that is to be written.
        instead: which formats hold it, for the message.

    Raises:
        ValueError: a side is too long.
    """
    longest = LONGEST_SIDES.get(format_name)
    if longest is not None and max(height, width) > longest:
        raise ValueError(
            f"the picture is {width}x{height}; {format_name} allows {longest} pixels a side: write {instead}"
        )
