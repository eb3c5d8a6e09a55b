"""What ``npp encode`` was asked for, and where its files may go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from npp.batch.file_encoding import EncodeSettings
from npp.batch.named_judges import NamedJudge
from npp.batch.picture_reading import PICTURE_SUFFIXES
from npp.batch.rate_sampling import SamplingGoal
from npp.batch.shards import Shard
from npp.cli.exit_codes import UsageError
from npp.cli.input_files import find_inputs
from npp.cli.manifest_record import check_manifest
from npp.cli.output_files import STDOUT, Job, WritePolicy, plan
from npp.cli.share_state import STATE_NAME, check_state


@dataclass(frozen=True)
class ShareSettings:
    """What the command line asks of all files together.

    Attributes:
        total_bytes: at most; ``None`` with ``mean_bpp``.
        mean_bpp: all bits for each pixel of all pictures, at most.
        predicted: the recipe's allocator says which pictures lose more than others.
        judge: a network says so instead.
        keep_state: the file of :class:`~npp.cli.share_state.ShareState` stays.
    """

    total_bytes: int | None
    mean_bpp: float | None
    predicted: bool
    judge: NamedJudge | None
    keep_state: bool

    @property
    def by(self) -> str:
        """Who says which pictures lose more: a judge's name, ``predicted``, or ``sizes`` alone."""
        if self.judge is not None:
            return self.judge.spec
        return "predicted" if self.predicted else "sizes"

    @property
    def sampling(self) -> SamplingGoal:
        """What is found out about each picture."""
        return SamplingGoal(self.predicted, self.judge)


@dataclass(frozen=True)
class EncodeRequest:
    """What the options of a command ask for, each of them checked.

    Attributes:
        inputs: arguments that name what is read.
        output: the argument of ``--output``.
        settings: of every file.
        policy: about files that exist.
        recursive: search folders below folders.
        threads: files at the same time; ``None`` for all usable cores.
        max_pixels: the largest picture; ``None`` for the usual limit.
        manifest: the argument of ``--manifest``.
        sharing: of all files together; ``None`` where each is by itself.
        part: of the files, which is this machine's; ``None`` for all.
        quiet: say only what failed.
    """

    inputs: Sequence[str]
    output: str
    settings: EncodeSettings
    policy: WritePolicy
    recursive: bool = False
    threads: int | None = None
    max_pixels: int | None = None
    manifest: str | None = None
    sharing: ShareSettings | None = None
    part: Shard | None = None
    quiet: bool = False


def planned(request: EncodeRequest) -> tuple[list[Job], Path | None]:
    """This machine's files with their targets, and where the manifest goes, if there is to be one.

    Raises:
        UsageError: there are no such files, or results cannot go there.
    """
    inputs = find_inputs(request.inputs, PICTURE_SUFFIXES, recursive=request.recursive)
    jobs = plan(inputs, request.output, ".bpg")
    _check_suffixes(jobs)
    manifest = _manifest_path(request, jobs)
    jobs = _jobs_of_shard(jobs, request.part)
    if request.sharing is not None:
        _check_shared(request, jobs, manifest)
    return jobs, manifest


def _check_suffixes(jobs: Sequence[Job]) -> None:
    """Raises UsageError where a BPG file would get the name of another format's."""
    for target in (job.target for job in jobs):
        suffix = "" if target is None else target.suffix.lower()
        if suffix != ".bpg" and suffix in Image.registered_extensions():
            raise UsageError(f"{target}: {suffix} is another format's suffix, and this would be a BPG file")


def _manifest_path(request: EncodeRequest, jobs: Sequence[Job]) -> Path | None:
    """Where the manifest that was asked for goes, each part's own."""
    if request.manifest is None:
        return None
    if request.output == STDOUT:
        raise UsageError("--manifest is about files, and --output - writes none")
    path = Path(request.manifest)
    if request.part is not None:
        path = request.part.own_name(path)
    state = Path(request.output) / STATE_NAME
    check_manifest(path, jobs, request.policy, goes_on=None if request.sharing is None else state.is_file())
    return path


def _jobs_of_shard(jobs: list[Job], shard: Shard | None) -> list[Job]:
    """What of all jobs is this machine's."""
    if shard is None:
        return jobs
    if any(job.source.path is None for job in jobs):
        raise UsageError("--shard is about files, and standard input has no name")
    return [job for job in jobs if shard.has(job.source.relative.as_posix())]


def _check_shared(request: EncodeRequest, jobs: Sequence[Job], manifest: Path | None) -> None:
    """Raises UsageError unless these files can share bits in this folder."""
    settings, output = request.settings, request.output
    for option, is_used in (
        ("--qp", settings.qp is not None),
        ("--target-bpp", settings.target_bpp is not None),
        ("--lossless", settings.options.get("lossless", False)),
        ("--refine", settings.refine is not None),
    ):
        if is_used:
            raise UsageError(f"--share and {option} exclude each other")
    if request.policy.skip_existing:
        raise UsageError("--share and --skip-existing exclude each other: a stopped run goes on by itself")
    if output == STDOUT or not (Path(output).is_dir() or len(jobs) > 1 or output.endswith("/")):
        raise UsageError(f"--share writes into a folder, not to {output}")
    if any(job.source.path is None for job in jobs):
        raise UsageError("--share reads every picture twice, and standard input can be read once")
    check_state(Path(output) / STATE_NAME, jobs, manifest)
