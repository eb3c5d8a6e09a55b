"""The learned filter behind the decoder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Self

from npp.checks import check_known_settings
from npp.codec.sample_range import check_pictures
from npp.hevc.padding import WholePictures, whole_blocks
from npp.hevc.picture_strips import goes_in_parts
from npp.onnx_writing import write_onnx
from npp.restoration.restoring_network import RestorerSettings, RestoringNetwork
from npp.restoration.strips import restored_in_parts
from npp.weight_files import Stored, StoredNetwork, WeightFiles

_KIND = "residual"


class Restorer(StoredNetwork):
    """Changes decoded pictures so that a task's network sees in them what it saw in the originals.

    It stands behind any BPG decoder, needs to know neither the qp nor the map, and nothing of the file. It
    is trained for tasks: to the eye the picture is not better. Until it is trained it changes nothing or,
    with ``upscale`` 2, enlarges as a bicubic filter does.

    Args:
        **settings: :class:`~npp.restoration.restoring_network.RestorerSettings`.

    Attributes:
        settings: with the defaults.

    Raises:
        ValueError: a value that a setting does not take; the message says which are.
        TypeError: an unknown setting.
    """

    _FILES = WeightFiles("restorer", Path(__file__).parent / "weights")
    _TAKES_QP = False

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        names = [field.name for field in fields(RestorerSettings)]
        check_known_settings("unknown setting", settings, names, " of a restorer")
        resolved = RestorerSettings(**settings)
        self.settings = asdict(resolved)
        self.network = RestoringNetwork(resolved)

    def forward(self, x_hat: Tensor) -> Tensor:
        """Restores decoded pictures, at the size that they were coded at or, by ``upscale`` 2, at twice that.

        A picture's result does not depend on its neighbours in the batch. Without gradients, many pictures
        go through the network some at a time and large ones in strips, so that they need little memory
        beside their own.

        Args:
            x_hat: (N, 3, H, W) RGB, floating, in [0, 1]; any size.

        Returns:
            Shape, dtype and device of x_hat, H and W times ``upscale``, clamped to [0, 1]. Computed in the
            weights' precision; under autocast the convolutions are in its own.

        Raises:
            TypeError: x_hat is no floating tensor.
            ValueError: a wrong shape, or samples of another scale, such as 0 to 255.
        """
        check_pictures("x_hat", x_hat)
        height, width = (self.upscale * side for side in x_hat.shape[-2:])
        padded = whole_blocks(x_hat.to(self.network.last.weight.dtype), self.network.multiple)
        in_parts = goes_in_parts(padded, self.upscale)
        restored: Tensor = restored_in_parts(self.network, padded) if in_parts else self.network(padded)
        return restored[..., :height, :width].clamp(0, 1).to(x_hat.dtype)

    @property
    def upscale(self) -> int:
        """The factor by which restored pictures are higher and wider than decoded ones: 1 or 2."""
        return self.network.upscale

    def _weighted(self) -> RestoringNetwork:
        return self.network

    def _description(self) -> tuple[str, Mapping[str, Any]]:
        return _KIND, self.settings

    @classmethod
    def _described(cls, stored: Stored) -> Self:
        if stored.network != _KIND:
            raise ValueError(f"network must be {_KIND!r}, not {stored.network!r}")
        return cls(**stored.settings)

    @staticmethod
    def is_in(path: str | os.PathLike[str]) -> bool:
        """Whether a file is there that :meth:`save` wrote."""
        return Restorer._FILES.are_in(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: torch.device | str | None = None) -> Self:
        """Reads what :meth:`save` wrote.

        Args:
            path: the file. Unlike preprocessors and allocators none comes with the package under a name of
                its own; ``npp.Recipe.load("classification").restorer`` is a part of a recipe.
            device: where to put it, default the CPU.

        Returns:
            In evaluation mode and float32; it can be trained later even if it was read in inference_mode.

        Raises:
            FileNotFoundError: no such file.
            ValueError: not such a file, damaged, of a newer version, or weights that do not fit.
        """
        return super().load(path, device)

    def export_onnx(self, path: str | os.PathLike[str]) -> None:
        """Writes an ONNX model with the input ``x_hat`` (N, 3, H, W) and the output ``x_restored``.

        Both are float32, the output ``upscale`` times as high and wide; N, H and W are free; it does the
        padding and the clamping too. It is exported in evaluation mode. An existing file is replaced, once
        the new one is complete.

        Raises:
            ImportError: a package of the extra ``onnx`` is missing.
            OSError: it cannot be written.
        """
        whole = WholePictures(self.network, self.network.multiple, self.upscale)
        write_onnx(whole, path, "x_restored", picture="x_hat", takes_qp=False)

    def extra_repr(self) -> str:
        """The settings, for ``repr``."""
        return ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
