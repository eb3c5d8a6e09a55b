"""The allocator, which predicts a quantiser offset for every block from the picture alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, overload

import torch
from torch import Tensor, nn
from torch.func import functional_call
from typing_extensions import Self

from npp.allocation.allocator_network import AllocatorNetwork, AllocatorSettings, mixed
from npp.allocation.feature_allocator import FeatureAllocator
from npp.allocation.maps import centred, offsets_of
from npp.checks import check_known_settings
from npp.codec.batch_hints import batch_hint, floats_hint
from npp.codec.qp_maps import MAP_BLOCK
from npp.codec.sample_range import check_scale
from npp.hevc.padding import whole_blocks, whole_blocks_of_any_size
from npp.hevc.qp_inputs import FractionalQp, resolve_qps
from npp.onnx_writing import write_onnx
from npp.weight_files import Stored, StoredNetwork, WeightFiles

_NETWORK = "trunk-and-body"


class _WholeMaps(nn.Module):
    """The module that is exported to ONNX: padding, network and offsets."""

    def __init__(self, network: AllocatorNetwork, settings: AllocatorSettings) -> None:
        super().__init__()
        self.network = network
        self._settings = settings

    def forward(self, x: Tensor, qp: Tensor) -> Tensor:
        """Offsets (N, ceil(H/16), ceil(W/16)) of pictures (N, 3, H, W) of any size at qps (N,)."""
        maps, _ = self.network(whole_blocks_of_any_size(x, MAP_BLOCK), qp)
        strength, limit = self._settings.strength, self._settings.limit
        return offsets_of(mixed(maps, self._settings), strength=strength, limit=limit)


class Allocator(StoredNetwork):
    """Predicts where in a picture bits are worth most to networks, without running any of them.

    It has learned to predict the importance of blocks that the gradients of several networks give
    (:func:`npp.importance`). Each of these networks has an output of its own, a head; the map follows the
    weighted mean of the heads' logarithms.

    Args:
        **settings: see :class:`~npp.allocation.allocator_network.AllocatorSettings`.

    Attributes:
        settings: all of them, with the defaults.

    Raises:
        ValueError: a value that a setting does not take; the message says which are.
        TypeError: an unknown setting.
    """

    _FILES = WeightFiles("allocator", Path(__file__).parent / "weights")

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        check_known_settings("unknown setting", settings, [field.name for field in fields(AllocatorSettings)])
        self.settings = AllocatorSettings(**settings)
        self.network = AllocatorNetwork(self.settings)

    @overload
    def forward(self, x: Tensor, qp: FractionalQp) -> Tensor: ...

    @overload
    def forward(self, x: Sequence[Tensor], qp: FractionalQp) -> list[Tensor]: ...

    def forward(self, x: Tensor | Sequence[Tensor], qp: FractionalQp) -> Tensor | list[Tensor]:
        """Quantiser offsets for ``qp_map=`` of the codec.

        A picture's map does not depend on its neighbours in the batch.

        Args:
            x: (N, C, H, W) floats in [0, 1], or a list of (C, H, W) whose sizes may differ; gray, RGB or
                RGBA, whose alpha does not count. Any size. Values below -0.9 or above 2 are warned about
                and beyond 16 refused, except while torch compiles or exports.
            qp: BPG qp 0 to 51 at which the picture will be coded: a number, or one per picture.

        Returns:
            (N, ceil(H/16), ceil(W/16)), or a list of (h, w): in qp units, mean 0 over a picture, at least
            float32, on x's device, differentiable; the codec rounds them.

        Raises:
            TypeError: x is no floating tensor; qp is of another type.
            ValueError: a wrong shape or qp; samples of another scale, such as 0 to 255.
        """
        if not isinstance(x, Tensor) and isinstance(x, Sequence):
            return self._each(x, qp, self.forward)
        maps = self._mixed(self._logarithms(x, qp)[0])
        return offsets_of(maps, strength=self.settings.strength, limit=self.settings.limit)

    def importance(self, x: Tensor, qp: FractionalQp) -> Tensor:
        """Importance of blocks (N, h, w) as :func:`npp.importance` would give it, up to a factor.

        Its geometric mean over a picture is 1. It is what :func:`npp.qp_map` takes, for other settings.
        """
        return torch.exp2(centred(self._mixed(self._logarithms(x, qp)[0])))

    def sensitivity(self, x: Tensor, qp: FractionalQp) -> Tensor:
        """The sensitivity (N,) of pictures as a whole: log2 of their total importance, up to a constant."""
        return self._mixed(self._logarithms(x, qp)[1])

    def with_mix(self, mix: Mapping[str, float] | None) -> Allocator:
        """An allocator of this network that weighs its heads differently; the parameters are shared.

        Args:
            mix: weights by head, see :class:`~npp.allocation.allocator_network.AllocatorSettings`.
        """
        return self._with(mix=None if mix is None else dict(mix))

    def with_strength(self, strength: float, limit: float | None = None) -> Allocator:
        """An allocator of this network with another strength or limit of the map; parameters are shared."""
        return self._with(strength=strength, limit=self.settings.limit if limit is None else limit)

    def _with(self, **changes: Any) -> Allocator:
        other = Allocator.__new__(Allocator)
        nn.Module.__init__(other)
        other.settings = replace(self.settings, **changes)
        other.network = self.network
        return other.train(self.training)

    def _each(self, pictures: Sequence[Tensor], qp: FractionalQp, function: Any) -> list[Tensor]:
        """Calls a function of a batch and its qps for each picture by itself."""
        qps = resolve_qps(qp, len(pictures), torch.float64, torch.device("cpu"))
        for picture in pictures:
            if not isinstance(picture, Tensor) or picture.ndim != 3:
                shape = tuple(picture.shape) if isinstance(picture, Tensor) else type(picture).__name__
                raise ValueError(f"x must be a list of (C, H, W), not {shape}")
        return [function(picture[None], [float(q)])[0] for picture, q in zip(pictures, qps, strict=True)]

    def _logarithms(self, x: Tensor, qp: FractionalQp) -> tuple[Tensor, Tensor]:
        """Runs the network on checked and padded pictures: log2 importance of blocks and of pictures."""
        wide = torch.promote_types(self.network.enter.weight.dtype, torch.float32)
        colour = _colour(x).to(wide)
        qps = resolve_qps(qp, x.shape[0], wide, x.device)
        inputs = whole_blocks(colour, MAP_BLOCK), qps
        if self.network.enter.weight.dtype == wide:
            return self._from_network(*inputs)
        # The weights are in half precision, in which logarithms would be too coarse.
        logarithms: tuple[Tensor, Tensor] = functional_call(
            self.network, _widened(self.network, wide), inputs
        )
        return logarithms

    def _from_network(self, x: Tensor, qps: Tensor) -> tuple[Tensor, Tensor]:
        logarithms: tuple[Tensor, Tensor] = self.network(x, qps)
        return logarithms

    def _mixed(self, heads: Tensor) -> Tensor:
        """The weighted mean over the heads, dimension 1."""
        return mixed(heads, self.settings)

    def _weighted(self) -> AllocatorNetwork:
        return self.network

    def _description(self) -> tuple[str, Mapping[str, Any]]:
        return _NETWORK, self.settings.as_mapping()

    @classmethod
    def _described(cls, stored: Stored) -> Self:
        if stored.network != _NETWORK:
            raise ValueError(f"unknown network {stored.network!r}; this version knows {_NETWORK!r}")
        return cls(**stored.settings)

    @classmethod
    def load(
        cls, name_or_path: str | os.PathLike[str] = "general", device: torch.device | str | None = None
    ) -> Self:
        """Reads what :meth:`save` wrote, or weights that come with the package, by default ``"general"``.

        See :meth:`npp.Preprocessor.load`.
        """
        return super().load(name_or_path, device)

    @staticmethod
    def fit(
        features: nn.Module, labelled: Iterable[tuple[Tensor, Tensor]], **settings: Any
    ) -> FeatureAllocator:
        """Fits a head on features of a network that runs anyway; see :meth:`FeatureAllocator.fit`."""
        return FeatureAllocator.fit(features, labelled, **settings)

    @staticmethod
    def available() -> list[str]:
        """Names of the weights that come with the package."""
        return sorted(Allocator._FILES.named())

    def export_onnx(self, path: str | os.PathLike[str]) -> None:
        """Writes an ONNX model with the inputs ``x`` (N, 3, H, W) and ``qp`` (N,) and the output ``qp_map``.

        All three are float32; N, H and W are free; it does the padding too. An existing file is replaced,
        once the new one is complete.

        Raises:
            ImportError: a package of the extra ``onnx`` is missing.
            OSError: it cannot be written.
        """
        write_onnx(_WholeMaps(self.network, self.settings), path, "qp_map")

    def extra_repr(self) -> str:
        """The settings, for ``repr``."""
        return ", ".join(f"{name}={value!r}" for name, value in self.settings.as_mapping().items())


def adjusted(
    allocator: Allocator, strength: float | None, limit: float | None, mix: Mapping[str, float] | None
) -> Allocator:
    """The same network with those settings of its map that are not ``None``; the parameters are shared.

    Args:
        allocator: the network.
        strength, limit: see :meth:`Allocator.with_strength`.
        mix: see :meth:`Allocator.with_mix`.
    """
    strength = allocator.settings.strength if strength is None else strength
    other = allocator.with_strength(strength, limit)
    return other if mix is None else other.with_mix(mix)


def _widened(network: nn.Module, dtype: torch.dtype) -> dict[str, Tensor]:
    """The parameters and buffers of a network by name, floats in that dtype."""
    tensors = [*network.named_parameters(), *network.named_buffers()]
    return {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in tensors}


def _colour(x: object) -> Tensor:
    """The colours (N, 3, H, W) of gray, RGB or RGBA pictures.

    Raises:
        TypeError, ValueError: x is no floating tensor of such pictures.
    """
    if not isinstance(x, Tensor) or not x.is_floating_point():
        kind = getattr(x, "dtype", type(x).__name__)
        raise TypeError(f"x must be a floating tensor (N, C, H, W) in [0, 1], not {kind}{floats_hint(x)}")
    if x.ndim != 4 or x.shape[1] not in (1, 3, 4) or not all(x.shape[2:]):
        raise ValueError(
            f"x must be (N, C, H, W) with 1, 3 or 4 channels, not {tuple(x.shape)}{batch_hint(x)}"
        )
    check_scale("x", x)
    return x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x[:, :3]
