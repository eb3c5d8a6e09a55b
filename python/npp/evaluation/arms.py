"""Arms: settings of the codec and what happens to pictures before it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from npp.config_files import ConfigError, Section
from npp.evaluation.prefilters import Blur, Learned, Prefilter, Refine, Unfiltered
from npp.options import CodecOptions, resolve_options

#: In place of an arm's name or a blur's sigmas: found on the selection photos.
BEST = "best"

Kind = Literal["none", "blur", "preprocessor", "refine"]
_KINDS = ("none", "blur", "preprocessor", "refine")
# Names become names of files and of arrays.
_NAME = re.compile(r"[\w.+-]+( [\w.+-]+)*")
_REFINE = ("steps", "weight", "lr", "search_effort", "surrogate", "patience")


@dataclass(frozen=True)
class ArmConfig:
    """An arm as the configuration describes it.

    Attributes:
        name: in results.
        options: of the codec.
        codec_of: take the codec's options of this arm, or of the :data:`BEST` unfiltered one.
        kind: of the prefilter.
        value: the blur's sigmas by qp or :data:`BEST`, the preprocessor's name or path, refine's settings.
    """

    name: str
    options: CodecOptions
    codec_of: str | None
    kind: Kind
    value: Any


@dataclass(frozen=True)
class Arm:
    """An arm that is ready to run."""

    name: str
    options: CodecOptions
    prefilter: Prefilter

    def key(self, qp: int) -> dict[str, Any]:
        """What decides its files at a qp."""
        options = vars(resolve_options(self.options))
        return {"codec": options, "prefilter": self.prefilter.identity(qp), "qp": qp}


def _sigmas(section: Section, qps: tuple[int, ...]) -> Any:
    value = section.take("blur")
    if value == BEST:
        return BEST
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return {qp: float(value) for qp in qps}
    if not isinstance(value, Mapping):
        raise section.error("blur", f"must be a sigma, sigmas by qp, or {BEST}, not {value!r}")
    by_qp = section.section("blur")
    return {qp: by_qp.number(cast(Any, qp)) for qp in qps}


def _prefilter(section: Section, qps: tuple[int, ...]) -> tuple[Kind, Any]:
    value = section.take("prefilter", "none")
    if value is None or value == "none":
        return "none", None
    if not isinstance(value, Mapping) or len(value) != 1 or next(iter(value)) not in _KINDS[1:]:
        raise section.error(
            "prefilter", f"must be none or one of {', '.join(_KINDS[1:])} with its value, not {value!r}"
        )
    inner = section.section("prefilter")
    if "blur" in inner:
        return "blur", _sigmas(inner, qps)
    if "preprocessor" in inner:
        return "preprocessor", inner.text("preprocessor")
    settings = inner.section("refine", {})
    chosen = {name: settings.take(name) for name in _REFINE if name in settings}
    settings.finish()
    return "refine", chosen


def read_arm(section: Section, qps: tuple[int, ...]) -> ArmConfig:
    """One of ``arms:``: ``name``, ``prefilter``, ``codec_of``, options of the codec."""
    name = section.text("name")
    if not _NAME.fullmatch(name):
        raise section.error("name", f"must be of letters, digits, spaces and . _ + -, not {name!r}")
    kind, value = _prefilter(section, qps)
    codec_of = section.text("codec_of") if "codec_of" in section else None
    options = section.rest()
    if codec_of is not None and options:
        raise section.error(next(iter(options)), f"and codec_of ({codec_of}) exclude each other")
    try:
        resolve_options(options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{section.name(name)}: {error}") from None
    return ArmConfig(name, cast(CodecOptions, options), codec_of, kind, value)


def build_prefilter(config: ArmConfig, device: str, threads: int | None) -> Prefilter:
    """An arm's prefilter; a blur's sigmas must be known.

    Raises:
        ConfigError: the preprocessor cannot be loaded; it names the arm.
    """
    if config.kind == "blur":
        return Blur(config.value)
    if config.kind == "preprocessor":
        from npp.preprocessing import Preprocessor

        try:
            return Learned(Preprocessor.load(config.value, device=device))
        except (OSError, ValueError) as error:
            raise ConfigError(f"arm {config.name}: {error}") from error
    if config.kind == "refine":
        return Refine(config.value, threads)
    return Unfiltered()
