"""The task of segmentation: a class for every pixel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from npp.extras import require
from npp.gradient.kl_divergence import kl_divergence
from npp.tasks.divergence import log_distributions
from npp.tasks.frozen import plain_torch
from npp.tasks.input_format import InputSettings, Prepared
from npp.tasks.logits_task import LogitsTask
from npp.tasks.networks import resolve_network
from npp.tasks.task import (
    Metric,
    all_or_none,
    as_tensor,
    check_predictions,
    not_a_tensor,
)

IGNORE = 255


def _is_map(target: Tensor) -> bool:
    """Whether this is a map of labels (H, W) rather than a distribution (K, H, W)."""
    return target.ndim == 2 and not target.is_floating_point()


def _counted(
    index: int, labels: Tensor, size: Sequence[int], classes: int, ignore_index: int | None
) -> Tensor:
    """Mask (H, W) of the pixels of ``targets[index]``, a map of labels, that count.

    Raises:
        ValueError: the size differs, a label is no class, or no pixel counts.
    """
    also = "" if ignore_index is None else f" or {ignore_index}"
    if labels.shape != size:
        raise ValueError(f"targets[{index}] must be labels {tuple(size)}, not {tuple(labels.shape)}")
    counts = torch.ones_like(labels, dtype=torch.bool)
    if ignore_index is not None:
        counts = labels != ignore_index
    if not bool(counts.any()):
        raise ValueError(f"targets[{index}] must have a pixel that counts, not {ignore_index} everywhere")
    inside = labels[counts].long()
    if bool(((inside < 0) | (inside >= classes)).any()):
        ends = f"{int(inside.min())} to {int(inside.max())}"
        raise ValueError(f"targets[{index}] must be labels from 0 to {classes - 1}{also}, not {ends}")
    return counts


class MeanIoU:
    """torchmetrics' Jaccard index, averaged over the classes that occur, and the fraction of right pixels.

    Predictions: labels (H, W) each. Targets: labels (H, W), or distributions (K, H, W), whose most probable
    class counts.

    Args:
        classes: returns the number of classes; called at the first picture.
        ignore_index: label that does not count, or ``None``.
    """

    def __init__(self, classes: Callable[[], int], ignore_index: int | None) -> None:
        self._library = require("torchmetrics.classification", "a metric")
        self._classes = classes
        self._ignore = ignore_index
        self._metrics: dict[str, Any] = {}

    def _make(self) -> dict[str, Any]:
        count = self._classes()
        settings: dict[str, Any] = {"ignore_index": self._ignore, "validate_args": False}
        with plain_torch():
            return {
                "miou": self._library.MulticlassJaccardIndex(count, average="macro", **settings),
                "pixel_accuracy": self._library.MulticlassAccuracy(count, average="micro", **settings),
            }

    def update(self, predictions: Sequence[Tensor], targets: Sequence[Any]) -> None:
        """Adds predictions and targets of pictures, which may differ in size."""
        check_predictions(predictions, targets)
        if not predictions:
            return
        self._metrics = self._metrics or self._make()
        for index, (prediction, target) in enumerate(zip(predictions, targets, strict=True)):
            true = as_tensor(target)
            labels = true if _is_map(true) else true.argmax(0)
            _counted(index, labels, prediction.shape, self._classes(), self._ignore)
            for metric in self._metrics.values():
                metric.update(prediction[None].cpu(), labels[None].long().cpu())

    def compute(self) -> dict[str, float]:
        """``{"miou", "pixel_accuracy"}``, from 0 to 1; empty before the first picture."""
        return {name: float(metric.compute()) for name, metric in self._metrics.items()}


class Segmentation(LogitsTask):
    """A network with logits (N, K, h, w), or a dict with them as ``"out"`` as torchvision's give.

    Logits are resized bilinearly to the picture. Targets are labels (H, W), or logits or probabilities
    (K, H, W): the loss is the mean over pixels of the cross-entropy to the former, of KL(target || now) to
    the latter, in nats. :meth:`targets` gives log-probabilities, :meth:`predict` labels.

    Args:
        model: see :func:`npp.tasks.load_network`, or a network.
        input: replaces parts of the network's own input by name, or all of it with an
            :class:`npp.tasks.InputFormat`.
        ignore_index: label of pixels that do not count, or ``None``.
        probabilities: whether the network ends in a softmax and returns probabilities instead of logits;
            ``None`` finds out.
    """

    name = "segmentation"
    higher_is_better = MappingProxyType(
        {"kl": False, "cross_entropy": False, "agreement": True, "pixel_accuracy": True, "miou": True}
    )

    def __init__(
        self,
        model: str | nn.Module,
        *,
        input: InputSettings | None = None,  # noqa: A002
        ignore_index: int | None = IGNORE,
        probabilities: bool | None = None,
    ) -> None:
        network = resolve_network(model, input)
        if isinstance(network, Prepared) and network.format.size and network.format.resize == "crop":
            raise ValueError(
                "input must have resize 'stretch' or 'letterbox', for 'crop' leaves pixels without a class"
            )
        super().__init__(network, probabilities=probabilities, dim=1)
        self.ignore_index = ignore_index
        self._class_count = 0

    def _logits_in(self, output: Any) -> Any:
        """The entry ``"out"`` of torchvision's networks, and the whole output of others."""
        return output["out"] if isinstance(output, Mapping) and "out" in output else output

    def _log_probabilities(self, images: Tensor) -> Tensor:
        logits = self._output(images)
        if not isinstance(logits, Tensor) or logits.ndim != 4 or logits.shape[1] < 2:
            raise ValueError(
                "the network must give logits (N, K, h, w) of at least 2 classes, or a dict with them as "
                f"out, not {not_a_tensor(logits)}"
            )
        self._class_count = logits.shape[1]
        logits = self._logits_of(logits)
        if isinstance(self.network, Prepared):
            logits = self.network.on_the_picture(logits, images.shape[-2:])
        if logits.shape[-2:] != images.shape[-2:]:
            logits = F.interpolate(logits, images.shape[-2:], mode="bilinear", align_corners=False)
        return logits.log_softmax(1)

    def _classes(self) -> int:
        if not self._class_count:
            raise ValueError("predictions must come from this task's predict")
        return self._class_count

    def predict(self, images: Tensor) -> list[Any]:
        """Labels (H, W) int64 for each picture."""
        return list(self._log_probabilities(images).argmax(1))

    def _by_pixel(self, index: int, now: Tensor, target: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Maps (H, W) of one picture (K, H, W): divergence, right classes, and pixels that count."""
        clean = torch.as_tensor(target, device=now.device)
        expected = now.shape[1:] if _is_map(clean) else now.shape
        if clean.shape != expected:
            raise ValueError(
                f"targets[{index}] must be labels {tuple(now.shape[1:])} or of shape {tuple(now.shape)}, "
                f"not {tuple(clean.shape)} of {clean.dtype}"
            )
        if not _is_map(clean):
            (clean,) = log_distributions([clean], now.device)
            right = clean.argmax(0) == now.argmax(0)
            return kl_divergence(clean, now, dim=0), right, torch.ones_like(right)
        counts = _counted(index, clean, now.shape[1:], len(now), self.ignore_index)
        labels = clean.long().where(counts, 0)
        loss = -now.gather(0, labels[None])[0]
        return loss.where(counts, 0.0), labels == now.argmax(0), counts

    def _measured(self, images: Tensor, targets: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """Mean divergence and fraction of right pixels, (N,) each."""
        now = self._log_probabilities(images)
        losses, accuracies = [], []
        for index, (log_probabilities, target) in enumerate(zip(now, targets, strict=True)):
            loss, right, counts = self._by_pixel(index, log_probabilities, target)
            pixels = counts.sum().float()
            losses.append(loss.sum() / pixels)
            accuracies.append((right & counts).sum() / pixels)
        return torch.stack(losses), torch.stack(accuracies)

    def loss(self, images: Tensor, targets: Sequence[Any]) -> Tensor:
        """Mean over the pixels that count of cross-entropy or KL, (N,) in nats."""
        return self._measured(images, targets)[0]

    def scores(self, images: Tensor, targets: Sequence[Any]) -> dict[str, Tensor]:
        """``{"cross_entropy", "pixel_accuracy"}`` for labels, ``{"kl", "agreement"}`` for predictions."""
        labelled = all_or_none(targets, lambda target: _is_map(as_tensor(target)), "maps of labels")
        names = ("cross_entropy", "pixel_accuracy") if labelled else ("kl", "agreement")
        return dict(zip(names, self._measured(images, targets), strict=True))

    def metric(self) -> Metric:
        """Mean intersection over union, see :class:`MeanIoU`."""
        return MeanIoU(self._classes, self.ignore_index)
