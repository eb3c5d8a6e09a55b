"""The request of ``npp encode``: its checked options, and the plan of the files to write."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from npp.batch.file_encoding import EncodeSettings, ExclusiveSettingsError, exclusion_of
from npp.batch.named_judges import NamedJudge
from npp.batch.outcomes import describe
from npp.batch.picture_reading import PICTURE_SUFFIXES
from npp.batch.rate_sampling import SamplingGoal
from npp.batch.recipe_use import RecipeUse, asks_allocator
from npp.batch.refined_frames import load_exported
from npp.batch.shards import Shard
from npp.cli.encode_options import Engine, Sensitivity
from npp.cli.exit_codes import UsageError
from npp.cli.input_files import find_inputs
from npp.cli.manifest_record import check_manifest
from npp.cli.output_files import STDOUT, Job, WritePolicy, plan
from npp.cli.recipe_options import load_recipe, parts_of
from npp.cli.share_state import STATE_NAME, check_state
from npp.cli.shared_options import checked
from npp.codec.options import CodecOptions, resolve_options, resolve_qp

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]i?|)b?", re.IGNORECASE)
_OPTION_NAMES = {"recipe": "--for"}  # options that have another name than the setting


@dataclass(frozen=True)
class ShareSettings:
    """How the files share their bits.

    Attributes:
        total_bytes: the most bytes of all files together; ``None`` if ``mean_bpp`` is given.
        mean_bpp: the most bits of all files together, divided by the pixels of all pictures.
        predicted: whether the recipe's allocator predicts the sensitivity of each picture.
        judge: a network that measures the losses of each picture instead.
        keep_state: whether the file of :class:`~npp.cli.share_state.ShareState` is kept in the end.
    """

    total_bytes: int | None
    mean_bpp: float | None
    predicted: bool
    judge: NamedJudge | None
    keep_state: bool

    @property
    def by(self) -> str:
        """The source of the sensitivities: a judge's name, ``predicted``, or ``sizes`` for none."""
        if self.judge is not None:
            return self.judge.spec
        return "predicted" if self.predicted else "sizes"

    @property
    def sampling(self) -> SamplingGoal:
        """What sampling measures of each picture."""
        return SamplingGoal(self.predicted, self.judge)


@dataclass(frozen=True)
class EncodeRequest:
    """The options of one ``npp encode``, all of them checked.

    Attributes:
        inputs: the arguments that name the input files.
        output: the argument of ``--output``.
        settings: the settings for every file.
        policy: what happens to files that exist.
        recursive: whether subfolders are searched.
        threads: number of files at the same time; ``None`` for all usable cores.
        max_pixels: limit on the pixels of a picture; ``None`` for the usual limit.
        manifest: the argument of ``--manifest``.
        sharing: how the files share bits; ``None`` if they do not.
        part: this machine's part of the files; ``None`` for all.
        quiet: whether only failures are reported.
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


def check_no_quantiser(inputs: Sequence[str]) -> None:
    """Raises UsageError unless no input is a bare number, as after the -q of other encoders."""
    for argument in inputs:
        if argument.isascii() and argument.isdigit() and not os.path.lexists(argument):
            raise UsageError(f"{argument} is no file; the quantiser is --qp {argument}, -q is --quiet")


def codec_options(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The codec options among the parameters of the command, checked and without those not given."""
    values = {name: parameters[name] for name in CodecOptions.__annotations__}
    options = {name: value for name, value in values.items() if value is not None and value is not False}
    checked(resolve_options, options)
    return options


@contextmanager
def _exclusions_in_options() -> Iterator[None]:
    """Turns errors about settings that exclude each other into a UsageError that names the options."""
    try:
        yield
    except ExclusiveSettingsError as error:
        names = [_OPTION_NAMES.get(name, f"--{name.replace('_', '-')}") for name in error.names]
        raise UsageError(exclusion_of(names)) from None


def rate_settings(
    qp: int | None, target_bpp: float | None, options: Mapping[str, Any], refine: str | None
) -> EncodeSettings:
    """Encode settings with the options for rate and quality; the others have their defaults.

    Raises:
        UsageError: options exclude each other, or a value is out of range.
    """
    with _exclusions_in_options():
        settings = EncodeSettings(qp, target_bpp, dict(options), refine=refine)
    if qp is not None:
        checked(resolve_qp, qp, 1)
    if target_bpp is not None and not 0 < target_bpp < math.inf:
        raise UsageError(f"--target-bpp must be above 0 and finite, not {target_bpp:g}")
    return settings


def checked_views(refine: str | None, views: bool | None) -> bool:
    """Whether the network of ``--refine`` must also keep what it sees in views of a picture.

    The network is loaded, so that a wrong file is found before any work.

    Raises:
        UsageError: the network cannot be loaded, or views are asked for without ``--refine``.
    """
    if refine is None and views is not None:
        raise UsageError("--refine-views and --no-refine-views need --refine")
    if refine is not None and not Path(refine).exists():
        is_name = not Path(refine).suffix and os.sep not in refine
        hint = ", names such as efficientnet-lite0 are for --judge" if is_name else ""
        raise UsageError(
            f"--refine: there is no file {refine}; --refine takes a file of torch.export.save{hint}"
        )
    try:
        if refine is not None:
            load_exported(refine)
    except ValueError as error:
        raise UsageError(f"--refine: {error}") from None
    return views is not False


def _checked_judge(spec: str | None) -> NamedJudge | None:
    if spec is None:
        return None
    judge = NamedJudge.of(spec)
    try:
        judge.check()
    except Exception as error:  # a user's own module may raise anything
        raise UsageError(f"--judge {spec}: {describe(error)}") from None
    return judge


def with_recipe(settings: EncodeSettings, name: str | None, **switches: bool) -> EncodeSettings:
    """The settings with the recipe of ``--for``, which is loaded once for all files.

    Raises:
        UsageError: a switch needs a recipe, there is none of that name, or the settings exclude one.
    """
    if name is None:
        options = [f"--{switch.replace('_', '-')}" for switch, on in switches.items() if on]
        if options:
            raise UsageError(f"{options[0]} needs --for")
        return settings
    with _exclusions_in_options():
        return replace(settings, recipe=load_recipe(name, parts_of(**switches)))


def _check_no_share(**needing: object) -> None:
    """Raises UsageError unless all of these options, which need ``--share``, are absent."""
    for name, value in needing.items():
        if value is not None and value is not False:
            raise UsageError(f"--{name.replace('_', '-')} needs --share")


def _check_total(total: str | None, mean_bpp: float | None) -> None:
    if (total is None) == (mean_bpp is None):
        raise UsageError("--share needs one of --total and --mean-bpp")
    if mean_bpp is not None and not 0 < mean_bpp < math.inf:
        raise UsageError(f"--mean-bpp must be above 0 and finite, not {mean_bpp:g}")


def parse_size(text: str) -> int:
    """Bytes from a text: ``12M`` and ``500k`` are decimal, ``12Mi`` is 12 * 2**20.

    Raises:
        UsageError: the text is no size above 0.
    """
    match = _SIZE.fullmatch(text.strip())
    size = 0.0 if match is None else float(match[1]) * _UNITS[match[2].lower()]
    if not 1 <= size < math.inf:
        raise UsageError(f"--total must be bytes as 500000, 500k, 12M or 12Mi, not {text!r}")
    return int(size)


def _is_predicted(sensitivity: Sensitivity | None, judge: str | None, recipe: RecipeUse | None) -> bool:
    """Whether the sensitivities come from the recipe's allocator."""
    if judge is not None:
        if sensitivity is not None:
            raise UsageError("--judge and --sensitivity exclude each other: the network says what is lost")
        return False
    asked = None if sensitivity is None else sensitivity is Sensitivity.predicted
    refusal = "--sensitivity predicted needs --for with a recipe that has an allocator"
    predicted: bool = checked(asks_allocator, recipe, asked, refusal)
    return predicted


def share_settings(
    share: bool,
    total: str | None,
    mean_bpp: float | None,
    sensitivity: Sensitivity | None,
    judge: str | None,
    keep_state: bool,
    recipe: RecipeUse | None,
) -> ShareSettings | None:
    """How the files share bits; ``None`` without ``--share``."""
    if not share:
        _check_no_share(
            total=total, mean_bpp=mean_bpp, sensitivity=sensitivity, judge=judge, keep_state=keep_state
        )
        return None
    _check_total(total, mean_bpp)
    predicted = _is_predicted(sensitivity, judge, recipe)
    size = None if total is None else parse_size(total)
    return ShareSettings(size, mean_bpp, predicted, _checked_judge(judge), keep_state)


def checked_shard(shard: str | None, share: bool) -> Shard | None:
    """This machine's part of the files; ``None`` for all."""
    if shard is None:
        return None
    parsed: Shard = checked(Shard.parse, shard)
    if share:
        raise UsageError("--share and --shard exclude each other: bits are shared over all files")
    return parsed


def check_engine(engine: Engine, address: str | None, **switches: bool) -> None:
    """Raises UsageError unless the options fit the engine: an address needs Ray, and Ray has no switches."""
    if engine is Engine.threads:
        if address is not None:
            raise UsageError("--address needs --engine ray")
        return
    for switch, on in switches.items():
        if on:
            raise UsageError(f"--engine ray and --{switch} exclude each other")


def planned(request: EncodeRequest) -> tuple[list[Job], Path | None]:
    """This machine's jobs, and the path of the manifest, ``None`` without one.

    Raises:
        UsageError: there are no input files, or results cannot be written to the output.
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
    """Raises UsageError unless no BPG file would get the suffix of another format."""
    for target in (job.target for job in jobs):
        suffix = "" if target is None else target.suffix.lower()
        if suffix != ".bpg" and suffix in Image.registered_extensions():
            raise UsageError(f"{target}: {suffix} is another format's suffix, and this would be a BPG file")


def _manifest_path(request: EncodeRequest, jobs: Sequence[Job]) -> Path | None:
    """The path of the manifest, with the part in its name; ``None`` if none was asked for."""
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
    """The jobs in this machine's part."""
    if shard is None:
        return jobs
    if any(job.source.path is None for job in jobs):
        raise UsageError("--shard is about files, and standard input has no name")
    return [job for job in jobs if shard.has(job.source.relative.as_posix())]


def _check_shared(request: EncodeRequest, jobs: Sequence[Job], manifest: Path | None) -> None:
    """Raises UsageError unless these files can share bits in the output folder."""
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
