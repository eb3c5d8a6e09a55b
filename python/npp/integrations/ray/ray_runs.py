"""``encode`` and ``decode`` for sets of any size, on the machines of a Ray cluster."""

from __future__ import annotations

import os
from typing import Any

from typing_extensions import Unpack

from npp.batch.batch_units import BatchDecoder, BatchEncoder
from npp.batch.picture_reading import PICTURE_SUFFIXES
from npp.checks import flag
from npp.codec.option_signature import shows_options
from npp.codec.options import CodecOptions
from npp.integrations.ray.ray_pipelines import run
from npp.integrations.ray.ray_run_types import Cluster, Format, RunInput, RunOutput
from npp.integrations.ray.ray_shared import Sharing
from npp.integrations.ray.ray_sinks import Existing
from npp.photos.finding import BPG_SUFFIXES
from npp.recipes.parts import Parts
from npp.recipes.recipe import Recipe


@shows_options(defaults=False)
def encode(
    source: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    qp: int | None = None,
    recipe: str | os.PathLike[str] | Recipe | None = None,
    parts: Parts | None = None,
    target_bpp: float | None = None,
    keep_metadata: bool = True,
    max_pixels: int | None = None,
    sharing: Sharing | None = None,
    format: Format = "files",  # noqa: A002
    existing: Existing = "error",
    manifest: str | os.PathLike[str] | None = None,
    key: str = "path",
    column: str = "bytes",
    rows_per_part: int = 64,
    recursive: bool = True,
    cluster: Cluster | None = None,
    **options: Unpack[CodecOptions],
) -> Any:
    """Encodes a set of pictures as ``npp encode`` does, on all machines of a Ray cluster; same bytes.

    A photo that cannot be encoded is a row with an error. Workers and machines may die: their work is done
    again, and nothing is there twice or by half. After the driver has died the same call with
    ``existing="skip"`` goes on.

    Args:
        source: a Ray data set with the columns ``key`` and ``column`` (or paths alone), or paths and URLs:
            pictures, folders of pictures (a URL of a folder ends with ``/``), Parquet files with these
            columns, or tars of WebDataset. All workers must see what paths mean.
        out: folder of the results, a path or a URL; ``None`` gives the data set back with the column ``bpg``
            in place of ``column`` and the columns ``input``, ``bytes``, ``bpp``, ``qp``, ``checksum`` and
            ``error``. No other column of the data set may be called so, unless npp has written it.
        qp, recipe, parts, target_bpp, keep_metadata, max_pixels: as in :class:`npp.batch.BatchEncoder`,
            and so are ``**options``.
        sharing: the qps of all files are chosen together so that they take what it says, to about one
            percent; every picture is read twice.
        format: ``"files"``, one a photo; ``"parquet"`` or ``"webdataset"``: parts of many rows each, with
            all other columns or members, as labels. In tars, text, numbers and bytes of a column are members
            called as it, and all others are the member ``columns.json``.
        existing: where results are there, ``"error"`` says so, ``"skip"`` leaves them, ``"replace"``
            replaces them.
        manifest: of files: one row an input, as ``npp encode --manifest`` writes it.
        key: the column of the data set, or of Parquet, that names its rows, each differently: text or
            numbers, and never null.
        column: the column with the pictures' bytes. Only ``"bytes"`` may be missing: names are paths then.
        rows_per_part: of Parquet and WebDataset.
        recursive: search folders below folders too.
        cluster: which one, and how much of it.

    Returns:
        A :class:`RaySummary`, or the data set where ``out`` is ``None``.

    Raises:
        TypeError, ValueError, FileExistsError: arguments that are wrong, or results that are there.
        BlockingIOError: another run writes the manifest.
        OSError: what is given, or ``out``, cannot be read or written as a whole.
        ModuleNotFoundError: Ray is not installed.
    """
    if sharing is not None and (qp is not None or target_bpp is not None or out is None):
        raise ValueError("sharing excludes qp and target_bpp, and needs out")
    unit = BatchEncoder(
        qp,
        recipe=recipe,
        parts=parts,
        target_bpp=target_bpp,
        keep_metadata=keep_metadata,
        max_pixels=max_pixels,
        **options,
    )
    if sharing is not None:
        sharing.probing(unit.settings)  # raises what would come up in the workers
    run_output = RunOutput(out, format, existing, manifest, rows_per_part, ".bpg", sharing)
    run_input = RunInput(source, PICTURE_SUFFIXES, key, column, flag("recursive", recursive))
    return run(unit, run_input, run_output, cluster or Cluster())


def decode(
    source: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    suffix: str = ".png",
    bit_depth: int = 8,
    quality: int = 95,
    keep_metadata: bool = True,
    restore_size: bool = False,
    recipe: str | os.PathLike[str] | Recipe | None = None,
    max_pixels: int | None = None,
    format: Format = "files",  # noqa: A002
    existing: Existing = "error",
    manifest: str | os.PathLike[str] | None = None,
    key: str = "path",
    column: str = "bytes",
    rows_per_part: int = 64,
    recursive: bool = True,
    cluster: Cluster | None = None,
) -> Any:
    """Decodes a set of BPG files as ``npp decode`` does, one picture file each.

    Args:
        source, out, format, existing, manifest, key, column, rows_per_part, recursive, cluster: as in
            :func:`encode`, which writes Parquet with the column ``bpg``. The results' column or member is
            called as their suffix.
        suffix, bit_depth, quality, keep_metadata, restore_size, recipe, max_pixels: as in
            :class:`npp.batch.BatchDecoder`.

    Returns, Raises:
        As :func:`encode`.
    """
    unit = BatchDecoder(
        suffix,
        bit_depth=bit_depth,
        quality=quality,
        keep_metadata=keep_metadata,
        restore_size=restore_size,
        recipe=recipe,
        max_pixels=max_pixels,
    )
    run_output = RunOutput(out, format, existing, manifest, rows_per_part, suffix.lower())
    return run(
        unit,
        RunInput(source, BPG_SUFFIXES, key, column, flag("recursive", recursive)),
        run_output,
        cluster or Cluster(),
    )
