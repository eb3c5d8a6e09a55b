"""The learned filter in front of the codec."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from typing_extensions import Self

from npp.checks import check_known_settings, one_of
from npp.codec.sample_range import check_pictures
from npp.hevc.padding import WholePictures, whole_blocks
from npp.hevc.qp_inputs import FractionalQp, resolve_qps
from npp.onnx_writing import write_onnx
from npp.preprocessing.blur import Blur, BlurSettings
from npp.preprocessing.filter_network import FilterNetwork
from npp.preprocessing.gains import Gains, GainsSettings
from npp.preprocessing.unet import AdaptiveUNet, UNet, UNetSettings
from npp.torch_state import first_weight
from npp.weight_files import Stored, StoredNetwork, WeightFiles


class _Kind(NamedTuple):
    settings: Callable[..., Any]
    build: Callable[..., FilterNetwork]


_NETWORKS: Mapping[str, _Kind] = {
    "gains": _Kind(GainsSettings, Gains),
    "unet": _Kind(UNetSettings, UNet),
    "unet-adaptive": _Kind(UNetSettings, AdaptiveUNet),
    "blur": _Kind(BlurSettings, Blur),
}


def _build(network: Any, settings: Mapping[str, Any]) -> FilterNetwork:
    one_of("network", network, _NETWORKS)
    kind = _NETWORKS[network]
    names = [field.name for field in fields(kind.settings)]  # type: ignore[arg-type]
    check_known_settings("unknown setting", settings, names, f" of network {network!r}")
    return kind.build(kind.settings(**settings))


class Preprocessor(StoredNetwork):
    """Filters pictures so that the codec spends its bits on what a task needs.

    ======================  =====================================================================
    ``"gains"``             npp's own: gains on block DCT coefficients; the identity until it is trained
    ``"unet"``              the published network, for one qp
    ``"unet-adaptive"``     the published network for every qp
    ``"blur"``              a Gaussian by qp, without parameters: what the others must beat
    ======================  =====================================================================

    Args:
        network: one of these names.
        **settings: of the network: :class:`~npp.preprocessing.gains.GainsSettings`,
            :class:`~npp.preprocessing.unet.UNetSettings`, :class:`~npp.preprocessing.blur.BlurSettings`.

    Attributes:
        network: its name.
        settings: its settings, with the defaults.

    Raises:
        ValueError: an unknown network, or a value that a setting does not take; the message says which are.
        TypeError: an unknown setting.
    """

    _FILES = WeightFiles("preprocessor", Path(__file__).parent / "weights")

    def __init__(self, network: str = "gains", **settings: Any) -> None:
        super().__init__()
        self.filter = _build(network, settings)
        self.network = network
        self.settings = self.filter.settings

    def forward(self, x: Tensor, qp: FractionalQp) -> Tensor:
        """Filters pictures for the codec at a qp.

        A picture's result does not depend on its neighbours in the batch, except that batch norm of the
        published networks mixes them while training.

        Args:
            x: (N, 3, H, W) RGB, floating, in [0, 1]; any size. Values below -0.9 or above 2 are warned
                about and beyond 16 refused, except while torch compiles or exports.
            qp: BPG qp 0 to 51 at which the picture will be coded: a number, or one per picture.

        Returns:
            Shape, dtype and device of x, clamped to [0, 1]. Computed in at least float32; under autocast the
            convolutions are in its precision, and with weights in half precision the body of ``gains`` and
            all of the published networks are in theirs.

        Raises:
            TypeError: x is no floating tensor; qp is of another type.
            ValueError: a wrong shape or qp; samples of another scale, such as 0 to 255.
        """
        check_pictures("x", x)
        wide = torch.promote_types(x.dtype, torch.float32)
        weight = first_weight(self.filter)
        if weight is not None and weight.dtype == torch.float64:
            wide = torch.float64
        qps = resolve_qps(qp, x.shape[0], wide, x.device)
        height, width = x.shape[-2:]
        padded = whole_blocks(x.to(wide), self.filter.multiple)
        filtered: Tensor = self.filter(padded, qps)
        return filtered[..., :height, :width].clamp(0, 1).to(x.dtype)

    def _weighted(self) -> FilterNetwork:
        return self.filter

    def _description(self) -> tuple[str, Mapping[str, Any]]:
        return self.network, self.settings

    @classmethod
    def _described(cls, stored: Stored) -> Self:
        return cls(stored.network, **stored.settings)

    @staticmethod
    def available() -> list[str]:
        """Names of the weights that come with the package."""
        return sorted(Preprocessor._FILES.named())

    def macs_per_pixel(self) -> float:
        """Multiply-accumulates for each pixel of one picture of 1024x1024.

        Those in convolutions and matrix products count, and those of a blur.
        """
        return super().macs_per_pixel() + self.filter.untraced_macs

    def export_onnx(self, path: str | os.PathLike[str]) -> None:
        """Writes an ONNX model with the inputs ``x`` (N, 3, H, W) and ``qp`` (N,) and the output ``x_pre``.

        All three are float32; N, H and W are free; it does the padding and the clamping too. It is exported
        in evaluation mode. An existing file is replaced, once the new one is complete.

        Raises:
            ImportError: a package of the extra ``onnx`` is missing.
            OSError: it cannot be written.
        """
        write_onnx(WholePictures(self.filter, self.filter.multiple), path, "x_pre")

    def extra_repr(self) -> str:
        """The arguments that the filter was made with, for ``repr``."""
        return ", ".join([repr(self.network), *(f"{k}={v!r}" for k, v in self.settings.items())])
