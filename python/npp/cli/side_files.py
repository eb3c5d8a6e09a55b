"""Files that a command writes beside its results, which must be neither inputs nor results."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from npp.batch.outcomes import describe
from npp.cli.exit_codes import UsageError
from npp.cli.output_files import Job
from npp.files import check_target


def check_side_file(name: str, path: Path, jobs: Sequence[Job]) -> None:
    """Raises UsageError unless a file may be written beside the results of some jobs.

    Args:
        name: its name in messages, such as that of an option.
        path: the file, which need not exist.
        jobs: the files that the command reads and writes.

    Raises:
        UsageError: the path is an input or an output or lies in one, an output would lie in it, or it is a
            folder or no ordinary file.
    """
    try:
        real = check_target(path, force=True)
    except OSError as error:
        raise UsageError(f"{name}: {describe(error)}") from None
    for job in jobs:
        if job.source.path is not None and Path(os.path.realpath(job.source.path)) == real:
            raise UsageError(f"{name} {path} is read as an input; give it another name")
        if job.target is None:
            continue
        target = Path(os.path.realpath(job.target))
        if target == real:
            raise UsageError(f"{name} {path} is an output of the command, too; give it another name")
        if target in real.parents or real in target.parents:
            raise UsageError(f"{name} {path} and the output {job.target} cannot both be there")
