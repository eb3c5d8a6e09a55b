"""Any learned codec as a surrogate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from npp.checks import kind_of, whole
from npp.codec.options import ResolvedOptions
from npp.gradient.surrogates.hyperprior import Hyperprior, load_hyperprior, nats
from npp.gradient.surrogates.surrogate import Estimate, Real
from npp.hevc.padding import whole_blocks
from npp.torch_state import first_weight, made_once

_SHIPPED = Path(__file__).parent / "weights" / "hyperprior.pt"
_COMPRESSAI_MULTIPLE = 64


class LearnedCodec(nn.Module):
    """A model whose forward gives ``{"x_hat", "likelihoods"}``, as CompressAI's do and :class:`Hyperprior`.

    Gray pictures are shown to it as RGB; alpha passes straight through. The model runs as it is, in its own
    dtype: freeze it, put it in evaluation mode and on x's device yourself. Its parameters, which are this
    module's, get gradients if they ask for them.

    Args:
        model: callable on (N, 3, H, W) in [0, 1]; called with (x, qp) if ``model.config.conditioned``.
        multiple: height and width are padded to a multiple of it, 1 to 1024.
    """

    needs_real: ClassVar[bool] = False

    def __init__(self, model: Callable[..., Any], multiple: int = _COMPRESSAI_MULTIPLE) -> None:
        super().__init__()
        if not callable(model):
            raise TypeError(f"model must be callable, not {type(model).__name__}")
        self.model = model
        self.multiple = whole("multiple", multiple, 1, 1024)

    def forward(self, x: Tensor, qp: Tensor, real: Real | None, options: ResolvedOptions) -> Estimate:
        """Estimates the codec's result with the model, in the model's precision.

        Arguments and result are those of :class:`npp.gradient.surrogates.Surrogate`.

        Raises:
            TypeError: the model gives something else than a mapping with x_hat and likelihoods.
            ValueError: the model is on another device than x.
        """
        weight = first_weight(self)
        if weight is None or not weight.is_floating_point():
            return _run(self.model, self.multiple, x, qp)
        if weight.device != x.device:
            raise ValueError(
                f"the surrogate's model is on {weight.device} and x on {x.device}: move one with .to()"
            )
        estimate = _run(self.model, self.multiple, x.to(weight.dtype), qp.to(weight.dtype))
        return Estimate(estimate.x_hat.to(x.dtype), estimate.bpp.to(x.dtype))


class ShippedHyperprior:
    """The small QP-conditioned hyperprior that comes with the package, on whatever device x is."""

    needs_real: ClassVar[bool] = False

    def __call__(self, x: Tensor, qp: Tensor, real: Real | None, options: ResolvedOptions) -> Estimate:
        """Estimates the codec's result with the shipped hyperprior.

        Arguments and result are those of :class:`npp.gradient.surrogates.Surrogate`.
        """
        model = _shipped(x.dtype, x.device)
        return _run(model, model.multiple, x, qp)


@made_once
def _shipped(dtype: torch.dtype, device: torch.device) -> Hyperprior:
    return load_hyperprior(_SHIPPED).to(device=device, dtype=dtype)


def _run(model: Callable[..., Any], multiple: int, x: Tensor, qp: Tensor) -> Estimate:
    """What a model makes of pictures of any size and 1, 3 or 4 channels."""
    height, width = x.shape[-2:]
    color = x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x[:, :3]
    padded = whole_blocks(color, multiple)
    conditioned = getattr(getattr(model, "config", None), "conditioned", False)
    out = _checked(model(padded, qp) if conditioned else model(padded), padded)
    decoded = out["x_hat"][..., :height, :width]
    if x.shape[1] == 1:
        decoded = decoded.mean(1, keepdim=True)
    if x.shape[1] == 4:
        decoded = torch.cat([decoded, x[:, 3:]], dim=1)
    bits = nats(out["likelihoods"]) / math.log(2)
    return Estimate(decoded, bits / (height * width))


def _covers(decoded: Tensor, x: Tensor) -> bool:
    """Whether decoded pictures are as many as x, have its channels and are not smaller."""
    sizes = zip(decoded.shape[2:], x.shape[2:], strict=False)
    return decoded.dim() == x.dim() and decoded.shape[:2] == x.shape[:2] and all(a >= b for a, b in sizes)


def _checked(out: object, x: Tensor) -> Mapping[str, Any]:
    """What a model gave for pictures x, once it is of the form that CompressAI's models have.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(out, Mapping) or not {"x_hat", "likelihoods"} <= out.keys():
        raise TypeError(
            f"the surrogate's model must give a mapping with x_hat and likelihoods, not {kind_of(out)}"
        )
    decoded, likelihoods = out["x_hat"], out["likelihoods"]
    if not isinstance(decoded, Tensor) or not _covers(decoded, x):
        kind = f"{kind_of(decoded)} {tuple(getattr(decoded, 'shape', ()))}"
        raise TypeError(f"the surrogate's model must give an x_hat of shape {tuple(x.shape)}, not {kind}")
    if (
        not isinstance(likelihoods, Mapping)
        or not likelihoods
        or not all(
            isinstance(each, Tensor) and each.dim() > 0 and len(each) == len(x)
            for each in likelihoods.values()
        )
    ):
        raise TypeError(
            f"the surrogate's model must give likelihoods as a mapping to tensors ({len(x)}, ...), not "
            f"{kind_of(likelihoods)}"
        )
    return out
