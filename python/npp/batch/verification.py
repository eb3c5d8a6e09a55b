"""Checks of files against a manifest: they exist, are complete and can be decoded."""

from __future__ import annotations

from pathlib import Path

from npp.batch.manifest import ManifestRow
from npp.batch.outcomes import checksum_of, describe
from npp.checks import flag
from npp.codec.decoding import decode, probe
from npp.codec.metadata import check_pixels


def verify_row(row: ManifestRow, folder: Path, *, pixels: bool = True) -> str | None:
    """The fault of a row's output file, if it has one.

    Args:
        row: a row of a manifest.
        folder: the folder of the manifest.
        pixels: whether BPG files are decoded too.

    Returns:
        A line about the fault; ``None`` if there is none, or if the row itself is about an error.

    Raises:
        ValueError: ``pixels`` is neither True nor False.
        MemoryError: there is too little memory to decode the file, so the check has no result.
    """
    flag("pixels", pixels)
    if row.output is None:
        return None
    try:
        file = (folder / row.output).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: the name cannot be that of a file
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
