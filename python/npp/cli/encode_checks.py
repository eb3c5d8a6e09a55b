"""What ``npp encode`` asks of its options before it looks for files: their values, and which go together."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from npp.batch.named_judges import NamedJudge
from npp.batch.outcomes import describe
from npp.batch.recipe_use import RecipeUse, asks_allocator
from npp.batch.refined_frames import load_exported
from npp.batch.shards import Shard
from npp.cli.encode_options import Engine, Sensitivity
from npp.cli.encode_request import ShareSettings
from npp.cli.exit_codes import UsageError
from npp.cli.recipe_options import load_recipe, parts_of
from npp.cli.shared_options import checked
from npp.codec.options import CodecOptions, resolve_options, resolve_qp

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]i?|)b?", re.IGNORECASE)


def check_no_quantiser(inputs: Sequence[str]) -> None:
    """Raises UsageError where a number stands among the inputs, as after the -q of other encoders."""
    for argument in inputs:
        if argument.isascii() and argument.isdigit() and not os.path.lexists(argument):
            raise UsageError(f"{argument} is no file; the quantiser is --qp {argument}, -q is --quiet")


def codec_options(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The codec's options among all parameters of the command, as far as they were given, checked."""
    values = {name: parameters[name] for name in CodecOptions.__annotations__}
    options = {name: value for name, value in values.items() if value is not None and value is not False}
    checked(resolve_options, options)
    return options


def check_rate(qp: int | None, target_bpp: float | None, lossless: bool, refine: bool) -> None:
    """Raises UsageError unless at most one option says how much is kept, and in its range."""
    if sum([qp is not None, target_bpp is not None, lossless]) > 1:
        raise UsageError("--qp, --target-bpp and --lossless exclude each other")
    if lossless and refine:
        raise UsageError("--refine and --lossless exclude each other")
    if qp is not None:
        checked(resolve_qp, qp, 1)
    if target_bpp is not None and not 0 < target_bpp < math.inf:
        raise UsageError(f"--target-bpp must be above 0 and finite, not {target_bpp:g}")


def checked_views(refine: str | None, views: bool | None) -> bool:
    """Whether the network of ``--refine``, which is loaded, looks at more than the picture."""
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
    except Exception as error:  # whatever the packages and modules that it names raise
        raise UsageError(f"--judge {spec}: {describe(error)}") from None
    return judge


def recipe_use(name: str | None, *, lossless: bool, **switches: bool) -> RecipeUse | None:
    """The recipe of ``--for``, loaded once for all files."""
    if name is None:
        options = [f"--{switch.replace('_', '-')}" for switch, on in switches.items() if on]
        if options:
            raise UsageError(f"{options[0]} needs --for")
        return None
    if lossless:
        raise UsageError("--for and --lossless exclude each other")
    return load_recipe(name, parts_of(**switches))


def _check_no_share(**needing: object) -> None:
    """Raises UsageError where something is given that only ``--share`` asks for."""
    for name, value in needing.items():
        if value is not None and value is not False:
            raise UsageError(f"--{name.replace('_', '-')} needs --share")


def _check_total(total: str | None, mean_bpp: float | None) -> None:
    if (total is None) == (mean_bpp is None):
        raise UsageError("--share needs one of --total and --mean-bpp")
    if mean_bpp is not None and not 0 < mean_bpp < math.inf:
        raise UsageError(f"--mean-bpp must be above 0 and finite, not {mean_bpp:g}")


def parse_size(text: str) -> int:
    """Bytes of a size as people write it: ``12M`` and ``500k`` are decimal, ``12Mi`` is 12 * 2**20.

    Raises:
        UsageError: no size above 0.
    """
    match = _SIZE.fullmatch(text.strip())
    size = 0.0 if match is None else float(match[1]) * _UNITS[match[2].lower()]
    if not 1 <= size < math.inf:
        raise UsageError(f"--total must be bytes as 500000, 500k, 12M or 12Mi, not {text!r}")
    return int(size)


def _is_predicted(sensitivity: Sensitivity | None, judge: str | None, recipe: RecipeUse | None) -> bool:
    """Whether the recipe's allocator says which pictures lose more."""
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
    """What is asked of all files together; ``None`` without ``--share``."""
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
    """The part of the files that is this machine's; ``None`` where all are."""
    if shard is None:
        return None
    parsed: Shard = checked(Shard.parse, shard)
    if share:
        raise UsageError("--share and --shard exclude each other: bits are shared over all files")
    return parsed


def check_engine(engine: Engine, address: str | None, **switches: bool) -> None:
    """Raises UsageError for an address without Ray, or for switches that Ray does not know."""
    if engine is Engine.threads:
        if address is not None:
            raise UsageError("--address needs --engine ray")
        return
    for switch, on in switches.items():
        if on:
            raise UsageError(f"--engine ray and --{switch} exclude each other")
