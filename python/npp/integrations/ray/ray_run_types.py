"""The arguments of a Ray run (its input, its output, its cluster) and the summary of its results."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from npp import checks
from npp.batch.manifest import ManifestRow
from npp.integrations.ray.ray_columns import DEFAULT_PICTURE
from npp.integrations.ray.ray_shared import Sharing
from npp.integrations.ray.ray_sinks import Existing

Format: TypeAlias = Literal["files", "parquet", "webdataset"]
_MOST_GPUS = 4096
#: Called with every row as it is known.
OnRow: TypeAlias = Callable[[ManifestRow], None]


@dataclass
class RaySummary:
    """What became of a set.

    Attributes:
        written: files or rows that are there now and were not before.
        skipped: left alone: they were there.
        failed: inputs without a result.
        bytes: of what was written.
        errors: the first hundred inputs that failed, with why.
    """

    written: int = 0
    skipped: int = 0
    failed: int = 0
    bytes: int = 0
    errors: dict[str, str] = field(default_factory=dict)

    def count(self, row: ManifestRow) -> None:
        """Takes a row into account."""
        if row.output is None:
            self.failed += 1
            if len(self.errors) < 100:
                self.errors[row.input] = row.error or ""
        else:
            self.written += 1
            self.bytes += row.bytes or 0


@dataclass(frozen=True)
class Cluster:
    """Where a run takes place and how much of it is used.

    Attributes:
        address: of a Ray cluster; by default the one that this process is connected to or ``RAY_ADDRESS``
            names, else one on this machine for the time of the run.
        workers: of the codec at most, one CPU each; by default all CPUs. Ray on this machine alone is started
            with so many CPUs, which must not be above 256 or the cores that there are.
        gpus: actors, 0 to 4,096, with a GPU each for a recipe's networks; by default as many as there are
            GPUs. Without any the networks run in the codec's workers.

    Raises:
        TypeError: ``address`` is no text.
        ValueError: ``workers`` is no integer from 1 on, or ``gpus`` none from 0 to 4,096.
    """

    address: str | None = None
    workers: int | None = None
    gpus: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.address, (str, type(None))):
            raise TypeError(f"address must be text or None, not {checks.brief(self.address)}")
        checks.whole_at_least(self, 1, "workers")
        if self.gpus is not None:
            checks.wholes(self, 0, _MOST_GPUS, "gpus")


@dataclass(frozen=True)
class RunInput:
    """What a run reads; see :func:`encode`.

    Attributes:
        source: a data set, pictures with their targets, or paths, whose place listings take as a run begins.
        suffixes: of what counts in folders and tars.
        key, column, recursive: as there.
    """

    source: Any
    suffixes: frozenset[str]
    key: str = "path"
    column: str = DEFAULT_PICTURE
    recursive: bool = True


@dataclass(frozen=True)
class RunOutput:
    """What a run writes; see :func:`encode`.

    Attributes:
        out, format, existing, manifest, rows_per_part: as there.
        suffix: of results.
        sharing: the qps of all files are chosen together.
    """

    out: str | os.PathLike[str] | None
    format: Format = "files"
    existing: Existing = "error"
    manifest: str | os.PathLike[str] | None = None
    rows_per_part: int = 64
    suffix: str = ".bpg"
    sharing: Sharing | None = None

    def __post_init__(self) -> None:
        checks.one_of("format", self.format, get_args(Format))
        checks.one_of("existing", self.existing, get_args(Existing))
        checks.wholes(self, 1, 10**9, "rows_per_part")
        if self.manifest is not None and (self.out is None or self.format != "files"):
            raise ValueError("manifest is about files: parquet and webdataset have their rows themselves")
