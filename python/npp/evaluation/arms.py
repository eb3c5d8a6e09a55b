"""What may happen to a picture before the codec: nothing, a blur, a Preprocessor, or refine."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from npp.codec.options import CodecOptions
from npp.gradient.refinement import refine

if TYPE_CHECKING:
    from npp.preprocessing import Preprocessor
import re
from dataclasses import dataclass
from typing import Literal, cast

from npp.codec.options import resolve_options
from npp.config.yaml_files import ConfigError, Section

#: Gives the losses of the seen networks: decoded pictures to (N,).
Losses = Callable[[], Sequence[Callable[[Tensor], Tensor]]]


class Prefilter(ABC):
    """Changes pictures before the codec."""

    @abstractmethod
    def identity(self, qp: int) -> Any:
        """A JSON value that says what it does at a qp; ``None`` where it leaves pictures as they are."""

    @abstractmethod
    def __call__(self, images: Tensor, qp: int, losses: Losses, options: CodecOptions) -> Tensor:
        """Filtered pictures.

        Args:
            images: (N, 3, H, W) floats in [0, 1].
            qp: of the file that will be written.
            losses: makes the losses of the seen networks.
            options: of the file.
        """


class Unfiltered(Prefilter):
    """Leaves pictures as they are."""

    def identity(self, qp: int) -> Any:
        """Always ``None``."""
        return None

    def __call__(self, images: Tensor, qp: int, losses: Losses, options: CodecOptions) -> Tensor:
        """The pictures."""
        return images


class BlurByQp(Prefilter):
    """A Gaussian blur whose sigma depends on the qp.

    Args:
        sigmas: qp to sigma in pixels, 0 to 8; 0 leaves pictures as they are.

    Raises:
        ValueError: a sigma out of range.
    """

    def __init__(self, sigmas: Mapping[int, float]) -> None:
        from npp.preprocessing import Preprocessor

        # One network for each sigma: the taps of a common one would be as many as the widest needs.
        self._networks = {sigma: Preprocessor("blur", sigmas={0: sigma}) for sigma in set(sigmas.values())}
        self.sigmas = dict(sigmas)

    def identity(self, qp: int) -> Any:
        """The sigma."""
        return {"blur": self.sigmas[qp]} if self.sigmas[qp] > 0 else None

    def __call__(self, images: Tensor, qp: int, losses: Losses, options: CodecOptions) -> Tensor:
        """Blurred pictures."""
        sigma = self.sigmas[qp]
        blurred: Tensor = self._networks[sigma](images, qp) if sigma > 0 else images
        return blurred


class Learned(Prefilter):
    """A trained :class:`npp.Preprocessor`.

    Args:
        preprocessor: used in evaluation mode.
    """

    def __init__(self, preprocessor: Preprocessor) -> None:
        self._network = preprocessor.eval()
        digest = hashlib.sha256(f"{preprocessor.network} {sorted(preprocessor.settings.items())}".encode())
        for name, tensor in sorted(preprocessor.state_dict().items()):
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        self._digest = digest.hexdigest()

    def identity(self, qp: int) -> Any:
        """A hash of kind, settings and weights."""
        return {"preprocessor": self._digest}

    @torch.no_grad()
    def __call__(self, images: Tensor, qp: int, losses: Losses, options: CodecOptions) -> Tensor:
        """The network's output."""
        filtered: Tensor = self._network(images, qp)
        return filtered


class Refine(Prefilter):
    """:func:`npp.refine` on every picture, with the seen networks as tasks.

    Args:
        settings: keyword arguments of :func:`npp.refine`.
        threads: of the codec.
    """

    def __init__(self, settings: Mapping[str, Any], threads: int | None) -> None:
        self._settings = dict(settings)
        self._threads = threads

    def identity(self, qp: int) -> Any:
        """The settings."""
        return {"refine": self._settings}

    def __call__(self, images: Tensor, qp: int, losses: Losses, options: CodecOptions) -> Tensor:
        """The refined pixels."""
        return refine(images, qp, losses(), threads=self._threads, **self._settings, **options).x


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
        return BlurByQp(config.value)
    if config.kind == "preprocessor":
        from npp.preprocessing import Preprocessor

        try:
            return Learned(Preprocessor.load(config.value, device=device))
        except (OSError, ValueError) as error:
            raise ConfigError(f"arm {config.name}: {error}") from error
    if config.kind == "refine":
        return Refine(config.value, threads)
    return Unfiltered()
