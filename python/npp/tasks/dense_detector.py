"""Detectors whose detections are made from a dense output."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from npp.tasks.training_losses import mean_losses

#: Dense output: what a detector outputs at all places, tensors (N, ...) by name; one picture has no N.
Dense = dict[str, Tensor]


def by_picture(dense: Mapping[str, Tensor]) -> list[Dense]:
    """The dense output of a batch, split into its pictures."""
    count = len(next(iter(dense.values())))
    return [{name: values[index] for name, values in dense.items()} for index in range(count)]


class DenseDetector(nn.Module, ABC):
    """The interface of :class:`npp.tasks.Detector` for detectors that work picture by picture.

    A subclass has the dense output (:meth:`dense`), makes detections from it (:meth:`_detected`), and has the
    losses of one picture (:meth:`_losses`).
    """

    @abstractmethod
    def dense(self, images: Tensor) -> Dense:
        """The dense output for pictures (N, 3, H, W)."""

    @abstractmethod
    def _detected(self, dense: Dense, height: int, width: int) -> dict[str, Tensor]:
        """Detections of one picture of this size, from its part of :meth:`dense`, without the N."""

    @abstractmethod
    def _losses(self, image: Tensor, target: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Losses of one picture (3, H, W) for its ``boxes`` and ``labels``, scalars by name."""

    def detections(self, dense: Dense, images: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """``boxes`` in pixels of the picture, ``labels``, ``scores`` of each picture, sorted by score.

        Args:
            dense: dense output of these pictures.
            images: (3, H, W) each; only their sizes are used.
        """
        sizes = [image.shape[-2:] for image in images]
        return [
            self._detected(outputs, *size) for outputs, size in zip(by_picture(dense), sizes, strict=True)
        ]

    def losses(self, images: Sequence[Tensor], targets: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Losses by name, averaged over pictures (3, H, W) of any sizes with their boxes as targets."""
        return mean_losses([self._losses(*pair) for pair in zip(images, targets, strict=True)])

    def forward(self, images: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """A dict of detections for each picture (3, H, W)."""
        return [
            detections for image in images for detections in self.detections(self.dense(image[None]), [image])
        ]
