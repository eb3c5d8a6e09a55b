"""Any learned codec as a surrogate."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from npp.codec.options import ResolvedOptions
from npp.gradient.surrogates.hyperprior import Hyperprior, load_hyperprior
from npp.gradient.surrogates.surrogate import Estimate, Real

_SHIPPED = Path(__file__).parent / "weights" / "hyperprior.pt"
_COMPRESSAI_MULTIPLE = 64


class LearnedCodec:
    """A model whose forward gives ``{"x_hat", "likelihoods"}``, as CompressAI's do and :class:`Hyperprior`.

    Gray pictures are shown to it as RGB; alpha passes straight through. The model runs as it is: freeze it
    and put it in evaluation mode yourself. Its parameters get gradients if they ask for them.

    Args:
        model: callable on (N, 3, H, W) in [0, 1]; called with (x, qp) if ``model.config.conditioned``.
        multiple: height and width are padded to a multiple of it.
    """

    needs_real: ClassVar[bool] = False

    def __init__(self, model: Callable[..., Any], multiple: int = _COMPRESSAI_MULTIPLE) -> None:
        if not callable(model):
            raise TypeError(f"model must be callable, not {type(model).__name__}")
        if multiple < 1:
            raise ValueError(f"multiple must be at least 1, not {multiple}")
        self.model = model
        self.multiple = multiple

    def __call__(self, x: Tensor, qp: Tensor, real: Real | None, options: ResolvedOptions) -> Estimate:
        """See :class:`npp.gradient.surrogates.Surrogate`."""
        height, width = x.shape[-2:]
        color = x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x[:, :3]
        padding = (0, -width % self.multiple, 0, -height % self.multiple)
        decoded, bits = self._code(F.pad(color, padding, mode="replicate"), qp)
        decoded = decoded[..., :height, :width]
        if x.shape[1] == 1:
            decoded = decoded.mean(1, keepdim=True)
        if x.shape[1] == 4:
            decoded = torch.cat([decoded, x[:, 3:]], dim=1)
        return Estimate(decoded, bits / (height * width))

    def _code(self, color: Tensor, qp: Tensor) -> tuple[Tensor, Tensor]:
        conditioned = getattr(getattr(self.model, "config", None), "conditioned", False)
        out = self.model(color, qp) if conditioned else self.model(color)
        likelihoods = out["likelihoods"].values()
        bits = torch.stack([-likelihood.log().flatten(1).sum(1) for likelihood in likelihoods]).sum(
            0
        ) / math.log(2)
        return out["x_hat"], bits


class ShippedHyperprior(LearnedCodec):
    """The small QP-conditioned hyperprior that comes with the package, on whatever device x is."""

    def __init__(self) -> None:
        model = _shipped(torch.float32, torch.device("cpu"))
        super().__init__(model, model.multiple)

    def _code(self, color: Tensor, qp: Tensor) -> tuple[Tensor, Tensor]:
        self.model = _shipped(color.dtype, color.device)
        return super()._code(color, qp)


@lru_cache(maxsize=8)
def _shipped(dtype: torch.dtype, device: torch.device) -> Hyperprior:
    if dtype == torch.float32 and device.type == "cpu":
        return load_hyperprior(_SHIPPED)
    model: nn.Module = copy.deepcopy(_shipped(torch.float32, torch.device("cpu")))
    return model.to(device=device, dtype=dtype)  # type: ignore[return-value]
