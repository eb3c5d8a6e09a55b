"""Whether a file is what a manifest says: there, whole, and good."""

from __future__ import annotations

from pathlib import Path

from npp.batch.manifest import ManifestRow
from npp.batch.outcomes import checksum_of, describe
from npp.checks import flag
from npp.codec.decoding import decode, probe
from npp.codec.metadata import check_pixels


def verify_row(row: ManifestRow, folder: Path, *, pixels: bool = True) -> str | None:
    """What is wrong with the output of a row.

    Args:
        row: of a manifest.
        folder: of the manifest.
        pixels: decode BPG files, too.

    Returns:
        A line about it; ``None`` where all is well, and where the row itself has an error.

    Raises:
        ValueError: ``pixels`` is neither True nor False.
        MemoryError: there is too little to decode it, so that nobody knows.
    """
    flag("pixels", pixels)
    if row.output is None:
        return None
    try:
        file = (folder / row.output).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: no name that a file can have
        return describe(error)
    if len(file) != row.bytes:
        return f"has {len(file)} bytes, not {row.bytes}"
    if checksum_of(file) != row.checksum:
        return "has another checksum"
    if pixels and row.output.lower().endswith(".bpg"):
        try:
            check_pixels(probe(file))  # which says what moves the limit
            decode(file, threads=1)
        except MemoryError:
            raise  # which is not the file's fault
        except Exception as error:
            return f"does not decode: {describe(error)}"
    return None
