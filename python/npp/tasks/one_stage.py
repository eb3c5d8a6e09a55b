"""torchvision's one-stage detectors with what their head says at every anchor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from npp.tasks.divergence import binary_kl, kl_divergence

Dense = dict[str, Tensor]


def has_dense_head(model: nn.Module) -> bool:
    """Whether this is built as FCOS, RetinaNet and SSD are in torchvision."""
    return all(hasattr(model, part) for part in ("transform", "backbone", "head", "postprocess_detections"))


def _logit_kl(clean: Tensor, now: Tensor) -> Tensor:
    return binary_kl(clean.sigmoid(), now.sigmoid())


class OneStage(nn.Module):
    """A detector of torchvision's interface that also offers :meth:`dense`.

    Args:
        detector: FCOS, RetinaNet, SSD or one with the same parts.
    """

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector
        # Mining negatives goes with a softmax over the classes and the background, as in SSD.
        self._softmax = hasattr(detector, "neg_to_pos_ratio")

    def forward(self, images: Sequence[Tensor], targets: Sequence[Mapping[str, Tensor]] | None = None) -> Any:
        """As the detector's."""
        return self.detector(images, targets)

    def dense(self, images: Tensor) -> Dense:
        """Logits (N, A, K), box regression (N, A, 4) and, with FCOS, centre-ness (N, A, 1) of all anchors."""
        detector: Any = self.detector
        batch, _ = detector.transform(list(images.unbind()))
        features = detector.backbone(batch.tensors)
        levels = [features] if isinstance(features, Tensor) else list(features.values())
        dense: Dense = detector.head(levels)
        return dense

    def _classes(self, clean: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
        """KL of the classes at each anchor (N, A), and how surely something was there."""
        if self._softmax:
            divergence = kl_divergence(clean.log_softmax(-1), now.log_softmax(-1), dim=-1)
            return divergence, 1 - clean.softmax(-1)[..., 0]
        return _logit_kl(clean, now).sum(-1), clean.sigmoid().amax(-1)

    def divergence(self, clean: Dense, now: Dense) -> Tensor:
        """Change of all anchors (N,): KL of the classes, and of the boxes as far as something was there.

        Boxes count by the smooth L1 distance of their regression, centre-ness by its KL.
        """
        places, weight = self._classes(clean["cls_logits"], now["cls_logits"])
        boxes = F.smooth_l1_loss(now["bbox_regression"], clean["bbox_regression"], reduction="none").sum(-1)
        places = places + weight * boxes
        if "bbox_ctrness" in clean:
            places = places + weight * _logit_kl(clean["bbox_ctrness"], now["bbox_ctrness"]).squeeze(-1)
        return places.sum(1)
