"""What may happen to a picture before the codec: nothing, a blur, a Preprocessor, one's own, or refine."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from npp.checks import kind_of, number
from npp.codec.options import CodecOptions
from npp.config.digests import hash_files, hash_state, note_modules
from npp.config.kept_values import hash_values
from npp.gradient.refinement import Over, Refined, refine
from npp.preprocessing.blur import MAX_SIGMA
from npp.tasks.python_objects import imported

if TYPE_CHECKING:
    from npp.preprocessing import Preprocessor

#: Gives the losses of the seen networks: decoded pictures to (N,).
Losses = Callable[[], Sequence[Callable[[Tensor], Tensor]]]


class Prefilter(ABC):
    """Changes pictures before the codec, whatever will look at them."""

    @abstractmethod
    def identity(self, qp: int) -> Any:
        """A JSON value that says what it does at a qp; ``None`` where it leaves pictures as they are."""

    @abstractmethod
    def __call__(self, images: Tensor, qp: int) -> Tensor:
        """Filtered pictures.

        Args:
            images: (N, 3, H, W) floats in [0, 1].
            qp: of the file that will be written.
        """


class Unfiltered(Prefilter):
    """Leaves pictures as they are."""

    def identity(self, qp: int) -> Any:
        """Always ``None``."""
        return None

    def __call__(self, images: Tensor, qp: int) -> Tensor:
        """The pictures."""
        return images


class BlurByQp(Prefilter):
    """A Gaussian blur whose sigma depends on the qp.

    Args:
        sigmas: qp to sigma in pixels, 0 to 8; 0 leaves pictures as they are. At other qps the nearest one's.

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
        return {"blur": self._at(qp)} if self._at(qp) > 0 else None

    def _at(self, qp: int) -> float:
        return self.sigmas[min(self.sigmas, key=lambda one: (abs(one - qp), one))]

    def __call__(self, images: Tensor, qp: int) -> Tensor:
        """Blurred pictures."""
        sigma = self._at(qp)
        blurred: Tensor = self._networks[sigma](images, qp) if sigma > 0 else images
        return blurred


class Learned(Prefilter):
    """A trained :class:`npp.Preprocessor`.

    Args:
        preprocessor: used in evaluation mode.
    """

    def __init__(self, preprocessor: Preprocessor) -> None:
        self._network = preprocessor.eval()
        kind = f"{preprocessor.network} {sorted(preprocessor.settings.items())}"
        self._digest = hash_state(preprocessor, kind)

    def identity(self, qp: int) -> Any:
        """A hash of kind, settings and weights."""
        return {"preprocessor": self._digest}

    @torch.no_grad()
    def __call__(self, images: Tensor, qp: int) -> Tensor:
        """The network's output."""
        filtered: Tensor = self._network(images, qp)
        return filtered


class PythonFilter(Prefilter):
    """What a function gives: called with pictures (N, 3, H, W) in [0, 1] and a qp, it filters them.

    A network that it gives is used in evaluation mode.

    Args:
        path: ``package.module:function``, which is called without arguments.
        device: where a network is put.

    Raises:
        ValueError, ModuleNotFoundError: there is no such function, or what it gives cannot be called.
        ConfigError: the module has changed since it was imported.
    """

    def __init__(self, path: str, device: torch.device) -> None:
        self._path = path
        self._spec = f"python:{path}"
        filtering = imported(path)()
        note_modules([self._spec])
        if not callable(filtering):
            raise ValueError(f"{self._spec} must give what filters pictures, not {kind_of(filtering)}")
        is_network = isinstance(filtering, nn.Module)
        self._filter: Callable[[Tensor, int], Any] = filtering.eval().to(device) if is_network else filtering

    def identity(self, qp: int) -> Any:
        """Hashes of the module's file and, of a network, of its weights and what it keeps besides."""
        identity: dict[str, Any] = {"python": self._path, "files": hash_files([self._spec])}
        if isinstance(self._filter, nn.Module):
            identity["weights"] = hash_state(self._filter)
            identity["values"] = hash_values([self._spec], self._filter)
        return identity

    @torch.no_grad()
    def __call__(self, images: Tensor, qp: int) -> Tensor:
        """Filtered pictures.

        Raises:
            ValueError: these are no pictures of the same shape, or have NaN or infinite samples.
        """
        filtered = self._filter(images.clone(), qp)
        shape = tuple(images.shape)
        if not isinstance(filtered, Tensor) or tuple(filtered.shape) != shape:
            given = tuple(filtered.shape) if isinstance(filtered, Tensor) else kind_of(filtered)
            raise ValueError(f"{self._spec} must give pictures of shape {shape}, not {given}")
        if not filtered.is_floating_point() or not bool(filtered.isfinite().all()):
            what = "NaN or infinite samples" if filtered.is_floating_point() else str(filtered.dtype)
            raise ValueError(f"{self._spec} must give floats in [0, 1], not {what}")
        return filtered.to(images)


class Refine:
    """:func:`npp.refine` on every picture, with the seen networks as tasks: no filter, as it needs them.

    Args:
        settings: of :func:`npp.refine`.
        threads: of the codec.
    """

    def __init__(self, settings: RefineSettings, threads: int | None) -> None:
        self._settings = settings
        self._threads = threads

    def identity(self, qp: int) -> Any:
        """The settings."""
        return {"refine": self._settings.at(qp)}

    def refined(
        self, images: Tensor, qp: int, losses: Losses, options: CodecOptions, start: Tensor | None
    ) -> Refined:
        """The refined pixels and map.

        Args:
            images: (N, 3, H, W) floats in [0, 1].
            qp: of the file that will be written.
            losses: makes the losses of the seen networks.
            options: of the file.
            start: (N, h, w) offsets to begin with, or ``None``.
        """
        settings = self._settings.at(qp)
        return refine(images, qp, losses(), qp_map=start, threads=self._threads, **settings, **options)


#: In place of an arm's name or a blur's sigmas: found on the selection photos.
BEST: Literal["best"] = "best"


def _check_by_qp(key: str, values: Mapping[int, float], qps: Sequence[int]) -> None:
    for qp in qps:
        if qp not in values:
            raise ValueError(f"{key}.{qp} is missing")
    for qp, value in values.items():
        number(f"{key}.{qp}", value, 0, math.inf)


@dataclass(frozen=True)
class BlurConfig:
    """``{blur: ...}``: a sigma from 0 on, sigmas by qp, or :data:`BEST`."""

    blur: Literal["best"] | float | dict[int, float]

    def check(self, key: str, qps: Sequence[int]) -> None:
        """Raises ValueError where a qp has no sigma, or a wrong one."""
        if self.blur == BEST:
            return
        if isinstance(self.blur, dict):
            _check_by_qp(key, self.blur, qps)
            for qp, sigma in self.blur.items():
                number(f"{key}.{qp}", sigma, 0, MAX_SIGMA)
        else:
            number(key, self.blur, 0, MAX_SIGMA)

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
class PythonConfig:
    """``{python: package.module:function}``, see :class:`PythonFilter`."""

    python: str


@dataclass(frozen=True)
class RefineSettings:
    """Arguments of :func:`npp.refine`; what is not given has its default.

    Attributes:
        weight: one number, or one for every qp that is measured.
    """

    over: Over | None = None
    steps: int | None = None
    weight: float | dict[int, float] | None = None
    lr: float | None = None
    map_lr: float | None = None
    map_limit: float | None = None
    search_effort: int | None = None
    surrogate: str | None = None
    patience: int | None = None

    def given(self) -> dict[str, Any]:
        """Those that are given."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def at(self, qp: int) -> dict[str, Any]:
        """Those that are given, for pictures of a qp; a weight between two given ones lies between them."""
        if not isinstance(self.weight, dict):
            return self.given()
        qps = sorted(self.weight)
        return self.given() | {"weight": float(np.interp(qp, qps, [self.weight[one] for one in qps]))}


@dataclass(frozen=True)
class RefineConfig:
    """``{refine: ...}``: :func:`npp.refine` for the seen networks."""

    refine: RefineSettings

    def check(self, key: str, qps: Sequence[int]) -> None:
        """Raises ValueError where a qp has no weight, or a wrong one."""
        weight = self.refine.weight
        if isinstance(weight, dict):
            _check_by_qp(f"{key}.weight", weight, qps)
        elif weight is not None:
            number(f"{key}.weight", weight, 0, math.inf)


PrefilterConfig = Literal["none"] | BlurConfig | LearnedConfig | PythonConfig | RefineConfig


def build_prefilter(
    chosen: PrefilterConfig | None, qps: Sequence[int], device: torch.device, threads: int | None
) -> Prefilter | Refine:
    """A prefilter as the configuration describes it; a blur's sigmas must be known.

    Raises:
        ImportError, OSError, ValueError: the preprocessor or one's own filter cannot be loaded.
    """
    if isinstance(chosen, BlurConfig):
        return BlurByQp(chosen.sigmas(qps))
    if isinstance(chosen, LearnedConfig):
        from npp.preprocessing import Preprocessor

        return Learned(Preprocessor.load(chosen.preprocessor, device=device))
    if isinstance(chosen, PythonConfig):
        return PythonFilter(chosen.python, device)
    if isinstance(chosen, RefineConfig):
        return Refine(chosen.refine, threads)
    return Unfiltered()
