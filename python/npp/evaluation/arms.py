"""What may happen to a picture before the codec: nothing, a blur, a Preprocessor, or refine."""

from __future__ import annotations

import hashlib
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor

from npp.codec.options import CodecOptions, resolve_options
from npp.config.typed import REST
from npp.config.yaml_files import ConfigError
from npp.gradient.refinement import refine

if TYPE_CHECKING:
    from npp.preprocessing import Preprocessor

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
BEST: Literal["best"] = "best"

# Names become names of files and of arrays.
_NAME = re.compile(r"[\w.+-]+( [\w.+-]+)*")


@dataclass(frozen=True)
class BlurConfig:
    """``{blur: ...}``: a sigma from 0 on, sigmas by qp, or :data:`BEST`."""

    blur: Literal["best"] | float | dict[int, float]

    def check(self, key: str, qps: Sequence[int]) -> None:
        """Raises ValueError where a qp has no sigma, or a wrong one."""
        if self.blur == BEST:
            return
        given = self.blur if isinstance(self.blur, dict) else dict.fromkeys(qps, self.blur)
        for qp in qps:
            if qp not in given:
                raise ValueError(f"{key}.{qp} is missing")
        for qp, sigma in given.items():
            where = f"{key}.{qp}" if isinstance(self.blur, dict) else key
            if not 0 <= sigma < math.inf:
                raise ValueError(f"{where} must be at least 0, not {sigma!r}")

    def sigmas(self, qps: Sequence[int]) -> dict[int, float]:
        """By qp."""
        assert self.blur != BEST
        if isinstance(self.blur, dict):
            return {qp: self.blur[qp] for qp in qps}
        return dict.fromkeys(qps, self.blur)


@dataclass(frozen=True)
class LearnedConfig:
    """``{preprocessor: ...}``: a name or a path, as :meth:`npp.Preprocessor.load` takes it."""

    preprocessor: str


@dataclass(frozen=True)
class RefineSettings:
    """Arguments of :func:`npp.refine`; what is not given has its default."""

    steps: int | None = None
    weight: float | None = None
    lr: float | None = None
    search_effort: int | None = None
    surrogate: str | None = None
    patience: int | None = None

    def given(self) -> dict[str, Any]:
        """Those that are given."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class RefineConfig:
    """``{refine: ...}``: :func:`npp.refine` for the seen networks."""

    refine: RefineSettings


@dataclass(frozen=True)
class ArmConfig:
    """An arm.

    Attributes:
        name: in results; letters, digits, spaces and . _ + -.
        codec_of: take the codec's options of this arm, or of the :data:`BEST` unfiltered one.
        prefilter: what happens to a picture before the codec.
        options: of the codec; all other keys.
    """

    name: str
    codec_of: str | None = None
    prefilter: Literal["none"] | BlurConfig | LearnedConfig | RefineConfig | None = None
    options: dict[str, Any] = field(default_factory=dict, metadata=REST)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name must be of letters, digits, spaces and . _ + -, not {self.name!r}")
        if self.codec_of is not None and self.options:
            raise ValueError(f"{next(iter(self.options))} and codec_of ({self.codec_of}) exclude each other")
        try:
            resolve_options(self.options)
        except TypeError as error:
            raise ValueError(str(error)) from None

    @property
    def kind(self) -> str:
        """Of the prefilter: none, blur, preprocessor or refine."""
        if self.prefilter is None or isinstance(self.prefilter, str):
            return "none"
        return next(iter(vars(self.prefilter)))

    @property
    def codec_options(self) -> CodecOptions:
        """The options as encoding functions take them."""
        return cast(CodecOptions, self.options)


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


def build_prefilter(
    config: ArmConfig, qps: Sequence[int], device: torch.device, threads: int | None
) -> Prefilter:
    """An arm's prefilter; a blur's sigmas must be known.

    Raises:
        ConfigError: the preprocessor cannot be loaded; it names the arm.
    """
    chosen = config.prefilter
    if isinstance(chosen, BlurConfig):
        return BlurByQp(chosen.sigmas(qps))
    if isinstance(chosen, LearnedConfig):
        from npp.preprocessing import Preprocessor

        try:
            return Learned(Preprocessor.load(chosen.preprocessor, device=device))
        except (OSError, ValueError) as error:
            raise ConfigError(f"arm {config.name}: {error}") from error
    if isinstance(chosen, RefineConfig):
        return Refine(chosen.refine.given(), threads)
    return Unfiltered()
