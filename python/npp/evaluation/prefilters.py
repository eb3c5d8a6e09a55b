"""What may happen to a picture before the codec: nothing, a blur, a Preprocessor, or refine."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from npp.options import CodecOptions
from npp.refinement import refine

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


class Blur(Prefilter):
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
