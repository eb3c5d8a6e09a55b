"""A model whose loss rises as pictures lose their detail, under mmengine."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class SmoothModel(BaseModel):
    """Its loss is small where neighbouring pixels differ much."""

    def forward(self, inputs: list[Tensor], data_samples: Any = None, mode: str = "tensor") -> Any:
        """The loss, whatever the mode."""
        steps = [(picture[:, 1:] - picture[:, :-1]).abs().mean() for picture in inputs]
        return {"loss": 1 / torch.stack(steps).mean()}
