"""Filters before the codec: none, a blur, a Preprocessor, a user's own function, or refining."""

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

#: Returns the losses of the seen networks, each a function from decoded pictures to (N,).
Losses = Callable[[], Sequence[Callable[[Tensor], Tensor]]]


class Prefilter(ABC):
    """A filter before the codec that does not depend on the judges."""

    @abstractmethod
    def identity(self, qp: int) -> Any:
        """A JSON value that determines the filter at a qp; ``None`` if it changes nothing."""

    @abstractmethod
    def __call__(self, images: Tensor, qp: int) -> Tensor:
        """Filtered pictures.

        Args:
            images: (N, 3, H, W) floats in [0, 1].
            qp: qp of the file that will be written.
        """


class Unfiltered(Prefilter):
    """No filter: pictures are not changed."""

    def identity(self, qp: int) -> Any:
        """Always ``None``, for nothing is changed."""
        return None

    def __call__(self, images: Tensor, qp: int) -> Tensor:
        """The pictures, unchanged."""
        return images


class BlurByQp(Prefilter):
    """A Gaussian blur whose sigma depends on the qp.

    Args:
        sigmas: qp to sigma in pixels, 0 to 8; 0 changes nothing. Other qps use the sigma of the nearest one.

    Raises:
        ValueError: a sigma is out of range.
    """

    def __init__(self, sigmas: Mapping[int, float]) -> None:
        from npp.preprocessing import Preprocessor

        # One network for each sigma, for a common one would have as many taps as the widest sigma needs.
        self._networks = {sigma: Preprocessor("blur", sigmas={0: sigma}) for sigma in set(sigmas.values())}
        self.sigmas = dict(sigmas)

    def identity(self, qp: int) -> Any:
        """The sigma at the qp."""
        return {"blur": self._at(qp)} if self._at(qp) > 0 else None

    def _at(self, qp: int) -> float:
        return self.sigmas[min(self.sigmas, key=lambda one: (abs(one - qp), one))]

    def __call__(self, images: Tensor, qp: int) -> Tensor:
        """Blurred pictures."""
        sigma = self._at(qp)
        blurred: Tensor = self._networks[sigma](images, qp) if sigma > 0 else images
        return blurred


class Learned(Prefilter):
    """A filter by a trained :class:`npp.Preprocessor`.

    Args:
        preprocessor: the network, which is used in evaluation mode.
    """

    def __init__(self, preprocessor: Preprocessor) -> None:
        self._network = preprocessor.eval()
        kind = f"{preprocessor.network} {sorted(preprocessor.settings.items())}"
        self._digest = hash_state(preprocessor, kind)

    def identity(self, qp: int) -> Any:
        """A hash of the network's kind, settings and weights."""
        return {"preprocessor": self._digest}

    @torch.no_grad()
    def __call__(self, images: Tensor, qp: int) -> Tensor:
        """The output of the network."""
        filtered: Tensor = self._network(images, qp)
        return filtered


class PythonFilter(Prefilter):
    """A user's own filter, which a function returns.

    The filter is called with pictures (N, 3, H, W) in [0, 1] and a qp, and returns filtered pictures. If
    it is a network, it is used in evaluation mode.

    Args:
        path: ``package.module:function``; the function is called without arguments.
        device: device of a network.

    Raises:
        ValueError, ModuleNotFoundError: there is no such function, or it does not return a callable.
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
        """Hashes of the module's file, and for a network also of its weights and other values."""
        identity: dict[str, Any] = {"python": self._path, "files": hash_files([self._spec])}
        if isinstance(self._filter, nn.Module):
            identity["weights"] = hash_state(self._filter)
            identity["values"] = hash_values([self._spec], self._filter)
        return identity

    @torch.no_grad()
    def __call__(self, images: Tensor, qp: int) -> Tensor:
        """Filtered pictures.

        Raises:
            ValueError: the results are no pictures of the same shape, or have NaN or infinite samples.
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
        settings: arguments of :func:`npp.refine`.
        threads: threads of the codec.
    """

    def __init__(self, settings: RefineSettings, threads: int | None) -> None:
        self._settings = settings
        self._threads = threads

    def identity(self, qp: int) -> Any:
        """The settings at the qp."""
        return {"refine": self._settings.at(qp)}

    def refined(
        self, images: Tensor, qp: int, losses: Losses, options: CodecOptions, start: Tensor | None
    ) -> Refined:
        """The refined pictures and maps.

        Args:
            images: (N, 3, H, W) floats in [0, 1].
            qp: of the file that will be written.
            losses: returns the losses of the seen networks.
            options: codec options.
            start: (N, h, w) offsets to begin with, or ``None``.
        """
        settings = self._settings.at(qp)
        return refine(images, qp, losses(), qp_map=start, threads=self._threads, **settings, **options)


#: Stands in place of an arm's name or a blur's sigmas that are chosen on the selection photos.
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
        """Raises ValueError unless every qp has a sigma in range."""
        if self.blur == BEST:
            return
        if isinstance(self.blur, dict):
            _check_by_qp(key, self.blur, qps)
            for qp, sigma in self.blur.items():
                number(f"{key}.{qp}", sigma, 0, MAX_SIGMA)
        else:
            number(key, self.blur, 0, MAX_SIGMA)

    def sigmas(self, qps: Sequence[int]) -> dict[int, float]:
        """The sigmas by qp."""
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
    """Arguments of :func:`npp.refine`; ``None`` stands for the default.

    Attributes:
        weight: one number, or one for every measured qp.
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
        """The arguments that are given."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def at(self, qp: int) -> dict[str, Any]:
        """The given arguments for a qp; the weight is interpolated between the given qps."""
        if not isinstance(self.weight, dict):
            return self.given()
        qps = sorted(self.weight)
        return self.given() | {"weight": float(np.interp(qp, qps, [self.weight[one] for one in qps]))}


@dataclass(frozen=True)
class RefineConfig:
    """``{refine: ...}``: :func:`npp.refine` for the seen networks."""

    refine: RefineSettings

    def check(self, key: str, qps: Sequence[int]) -> None:
        """Raises ValueError unless every qp has a weight in range."""
        weight = self.refine.weight
        if isinstance(weight, dict):
            _check_by_qp(f"{key}.weight", weight, qps)
        elif weight is not None:
            number(f"{key}.weight", weight, 0, math.inf)


PrefilterConfig = Literal["none"] | BlurConfig | LearnedConfig | PythonConfig | RefineConfig


def build_prefilter(
    chosen: PrefilterConfig | None, qps: Sequence[int], device: torch.device, threads: int | None
) -> Prefilter | Refine:
    """The filter that a configuration describes; the sigmas of a blur must be known.

    Raises:
        ImportError, OSError, ValueError: the preprocessor or the user's own filter cannot be loaded.
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
