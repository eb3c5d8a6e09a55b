"""Importance of blocks, predicted from the features of a network that runs anyway."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Self

from npp.allocation.maps import centred, log_importance, offsets_of, smoothed
from npp.checks import MAX_QP, brief, number, whole
from npp.codec.qp_maps import map_size
from npp.hevc.qp_inputs import FractionalQp
from npp.tasks.frozen import evaluation_mode, frozen, private_copy
from npp.tasks.input_format import Prepared
from npp.tasks.layers import full_names, recorded
from npp.tasks.networks import own_network
from npp.tasks.task import check_images
from npp.torch_state import full_precision, in_plain_torch
from npp.weight_files import Stored, WeightFiles

_FILES = WeightFiles("feature-allocator", Path(__file__).parent / "weights" / "features")
_LINEAR = "linear"

#: The most telling layers of networks that are known by name, at strides 16, 16 and 32.
KNOWN_LAYERS = {"efficientnet-lite0": ("_blocks.7", "_blocks.10", "_blocks.15")}
_LEAST_SPREAD = 1e-6  # so that nothing is divided by 0 where a column is the same everywhere
_COORDINATES = 4
_SIGMA = 0.7  # of the smoothing of what is learned, in blocks, as in npp.qp_map


def _private_network(model: str | nn.Module) -> nn.Module:
    """A network of one's own; one that is named normalises pictures but does not resize them."""
    if isinstance(model, nn.Module):
        return private_copy(model)
    network, wants = own_network(model)
    return Prepared(network, wants.changed({"size": None}))


class LayerFeatures(nn.Module):
    """Feature maps of some layers of a network, for pictures of any size.

    Args:
        model: see :func:`npp.tasks.load_network`, or a network that takes pictures (N, 3, H, W) in [0, 1],
            of which this keeps a frozen copy of its own.
        layers: names as in ``named_modules()``, whose outputs are (N, C, h, w); may be left out for
            ``efficientnet-lite0``.
        longest: pictures are shrunk until no side is above this, and stretched to multiples of 32; 32 to
            4096.

    Raises:
        TypeError: model is neither a name nor a network, or cannot be copied.
        ValueError: an unknown layer, or none.
    """

    def __init__(self, model: str | nn.Module, layers: Sequence[str] = (), *, longest: int = 320) -> None:
        super().__init__()
        self.longest = whole("longest", longest, 32, 4096)
        self.model = model if isinstance(model, str) else None
        self.network = frozen(_private_network(model))
        names = tuple(layers) or KNOWN_LAYERS.get(str(model), ())
        if not names:
            raise ValueError(f"layers must name at least one layer of {model!r}")
        self.layers = tuple(full_names(self.network, names))

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode whatever ``mode`` is, for a surrounding module's ``train()`` reaches it too."""
        super().train(False)
        evaluation_mode(self.network)
        return self

    def _size(self, height: int, width: int) -> tuple[int, int]:
        scale = min(1.0, self.longest / max(height, width))
        return tuple(max(1, round(side * scale / 32)) * 32 for side in (height, width))  # type: ignore[return-value]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Computes feature maps (N, C, h, w) of pictures (N, 3, H, W) in [0, 1], a tensor for each layer."""
        size = self._size(*x.shape[-2:])
        if x.shape[-2:] == size:
            shrunk = x.clone()  # some networks change their input in place
        else:
            shrunk = F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)
        with recorded(self.network, self.layers) as outputs:
            self.network(shrunk)
        return [outputs[layer][-1].float() for layer in self.layers]


def _on_blocks(features: Tensor, shape: tuple[int, int]) -> Tensor:
    """Resamples feature maps (N, C, h, w) to the grid of blocks, of that shape."""
    if features.shape[-2:] == shape:
        return features
    if features.shape[-2] >= shape[0] and features.shape[-1] >= shape[1]:
        return F.adaptive_avg_pool2d(features, shape)
    return F.interpolate(features, shape, mode="bilinear", align_corners=False)


def _positions(shape: tuple[int, int], like: Tensor) -> Tensor:
    """The places (1, 4, h, w) of blocks in the picture."""
    rows, columns = (
        ((torch.arange(count, device=like.device) + 0.5) / count * 2 - 1).to(like.dtype) for count in shape
    )
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    square = y.square() + x.square()
    return torch.stack([y, x, square, square.square()])[None]


def design(features: Sequence[Tensor], shape: tuple[int, int]) -> Tensor:
    """Makes the head's inputs (N, D, h, w), of mean 0 over a picture: features, magnitudes and position."""
    parts = []
    for layer in features:
        maps = _on_blocks(layer, shape)
        parts += [maps, maps.abs(), maps.square().mean(1, keepdim=True).sqrt()]
    positions = _positions(shape, parts[0]).expand(len(parts[0]), -1, -1, -1)
    return centred(torch.cat([*parts, positions], dim=1))


def _summary(features: Sequence[Tensor]) -> Tensor:
    """Makes the inputs (N, P) for a picture's sensitivity: the means of features and of their magnitudes."""
    return torch.cat([values.mean((2, 3)) for layer in features for values in (layer, layer.abs())], dim=1)


class _Ridge:
    """Ridge regression on standardised columns, for which sums alone are kept."""

    def __init__(self) -> None:
        self._sums: Tensor | None = None

    def add(self, rows: Tensor, values: Tensor) -> None:
        """Adds rows (M, D) and the values (M,) that they should give."""
        table = torch.cat([rows, values[:, None], torch.ones_like(values)[:, None]], dim=1).double().cpu()
        products = table.T @ table
        self._sums = products if self._sums is None else self._sums + products

    def solve(self, ridge: float) -> tuple[Tensor, Tensor]:
        """Returns the coefficients (D,) and the constant.

        Raises:
            ValueError: nothing was added.
        """
        if self._sums is None or self._sums[-1, -1] == 0:
            raise ValueError("there is nothing to fit: no pictures were given")
        means = self._sums[-1] / self._sums[-1, -1]
        centred_sums = self._sums - torch.outer(means, self._sums[-1])
        gram, right = centred_sums[:-2, :-2], centred_sums[:-2, -2]
        spread = (gram.diagonal() / self._sums[-1, -1]).clamp_min(0).sqrt().clamp_min(_LEAST_SPREAD)
        penalty = ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        solved = torch.linalg.solve(gram / spread[:, None] / spread + penalty, right / spread) / spread
        return solved, means[-2] - solved @ means[:-2]


class FeatureAllocator(nn.Module):
    """A linear head that reads the importance of blocks off feature maps; fitted in closed form.

    Made with :meth:`fit` or :meth:`load`. Where the encoder runs the backbone anyway, :meth:`offsets` gives
    the map for its features at next to no cost.

    Args:
        features: a module from pictures (N, 3, H, W) to feature maps (N, C, h, w), as
            :class:`LayerFeatures`.
        weight: (D,), the coefficients of ``design``.
        level: (P + 1,), the coefficients for a picture's sensitivity, whose last is the constant.
        strength, limit: see :func:`npp.qp_map`.
    """

    def __init__(
        self, features: nn.Module, weight: Tensor, level: Tensor, *, strength: float = 0.5, limit: float = 6.0
    ) -> None:
        super().__init__()
        self.features = features
        self.strength = number("strength", strength, 0, 16)
        self.limit = number("limit", limit, 0, MAX_QP)
        self.weight: Tensor
        self.level: Tensor
        self.register_buffer("weight", weight.float())
        self.register_buffer("level", level.float())

    def forward(self, x: Tensor, qp: FractionalQp | None = None) -> Tensor:
        """Quantiser offsets (N, ceil(H/16), ceil(W/16)) of pictures (N, 3, H, W) in [0, 1], mean 0 each.

        ``qp`` is there so that it can stand where an :class:`npp.Allocator` stands; the map does not depend
        on it.

        Raises:
            TypeError, ValueError: x is no floating tensor of that shape.
        """
        check_images(x)
        return self.offsets(self.features(x.float()), x.shape[-2:])

    def offsets(self, features: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Quantiser offsets (N, ceil(H/16), ceil(W/16)) of pictures whose features were computed before.

        Args:
            features: maps (N, C, h, w) as ``self.features`` gives them.
            size: height H and width W of the pictures.
        """
        maps = self._logarithms(features, size)
        return offsets_of(maps, strength=self.strength, limit=self.limit)

    def importance(self, x: Tensor) -> Tensor:
        """Importance of blocks (N, h, w), its geometric mean over a picture 1."""
        check_images(x)
        return torch.exp2(self._logarithms(self.features(x.float()), x.shape[-2:]))

    def sensitivity(self, x: Tensor) -> Tensor:
        """The sensitivity (N,) of pictures as a whole: log2 of their total importance."""
        check_images(x)
        means, level = _summary(self._wide(self.features(x.float()))), self.level.to(self._dtype)
        if means.shape[1] != len(level) - 1:
            raise ValueError(f"features must give {len(level) - 1} means, not {means.shape[1]}")
        with full_precision(means):
            return means @ level[:-1] + level[-1]

    @property
    def _dtype(self) -> torch.dtype:
        """The dtype that the head is computed in; logarithms in half precision would be too coarse."""
        return torch.promote_types(self.weight.dtype, torch.float32)

    def _wide(self, features: Sequence[Tensor]) -> list[Tensor]:
        return [layer.to(self._dtype) for layer in features]

    def _logarithms(self, features: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        columns = design(self._wide(features), map_size(*size))
        if columns.shape[1] != len(self.weight):
            raise ValueError(f"features must give {len(self.weight)} columns, not {columns.shape[1]}")
        with full_precision(columns):
            return centred(torch.einsum("ndhw,d->nhw", columns, self.weight.to(self._dtype)))

    @classmethod
    @torch.no_grad()
    def fit(
        cls,
        features: nn.Module,
        labelled: Iterable[tuple[Tensor, Tensor]],
        *,
        ridge: float = 1e4,
        level_ridge: float = 100.0,
        strength: float = 0.5,
        limit: float = 6.0,
    ) -> FeatureAllocator:
        """Fits the head by ridge regression on the log of importance.

        Args:
            features: see the class.
            labelled: batches of pictures (N, 3, H, W) and their importance (N, h, w), as
                :func:`npp.importance` gives it. Read once; nothing is kept but sums.
            ridge, level_ridge: penalties of the two regressions, 0 or more.
            strength, limit: see :func:`npp.qp_map`.

        Raises:
            ValueError: no pictures, or shapes that do not fit.
        """
        maps, levels = _Ridge(), _Ridge()
        for x, importance in labelled:
            check_images(x)
            shape = map_size(*x.shape[-2:])
            if importance.shape != (len(x), *shape):
                wanted = (len(x), *shape)
                raise ValueError(f"importance must have shape {wanted}, not {tuple(importance.shape)}")
            layers = features(x.float())
            columns = design(layers, shape)
            target = centred(smoothed(log_importance(importance), _SIGMA))
            maps.add(columns.movedim(1, -1).flatten(0, 2), target.flatten())
            levels.add(_summary(layers), torch.log2(importance.sum((1, 2)).clamp_min(1e-30)))
        weight, _ = maps.solve(ridge)
        level = torch.cat([coefficients.reshape(-1) for coefficients in levels.solve(level_ridge)])
        return cls(features, weight, level, strength=strength, limit=limit)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the head, and the name of its backbone where :class:`LayerFeatures` was made from one.

        Raises:
            ValueError: the backbone has no name by which it could be loaded again.
        """
        features = self.features
        if not isinstance(features, LayerFeatures) or features.model is None:
            raise ValueError("only a head on LayerFeatures of a network by name can be saved")
        settings = {
            "model": features.model,
            "layers": list(features.layers),
            "longest": features.longest,
            "strength": self.strength,
            "limit": self.limit,
        }
        _FILES.write(path, _LINEAR, settings, {"weight": self.weight, "level": self.level})

    @classmethod
    def load(
        cls,
        name_or_path: str | os.PathLike[str] = "efficientnet-lite0",
        device: torch.device | str | None = None,
        *,
        model: str | nn.Module | None = None,
    ) -> FeatureAllocator:
        """Reads what :meth:`save` wrote, or a head that comes with the package, and loads its backbone.

        Args:
            name_or_path: of the head, one of :meth:`available` or a file.
            device: where to put the head and its backbone, default the CPU, and a network given as ``model``
                where it is.
            model: the backbone, a name or a network as for :class:`LayerFeatures`, instead of the one that
                the file names. Needed where the file names a function (``python:``), since no file may run
                one.

        Returns:
            In evaluation mode; the head is in float32 and can be trained later even if it was read in
            inference_mode.

        Raises:
            FileNotFoundError: neither a name nor a file.
            ModuleNotFoundError: the backbone's package is missing.
            ValueError: not such a file, damaged, weights that do not fit, or a backbone that is a function.
        """
        path = _FILES.find(name_or_path)
        return in_plain_torch(lambda: cls._of(_FILES.read(path), path, model)).to(device).eval()

    @classmethod
    def _of(cls, stored: Stored, path: Path, replacement: str | nn.Module | None) -> FeatureAllocator:
        model, layers = stored.settings.get("model"), stored.settings.get("layers")
        if stored.network != _LINEAR:
            raise ValueError(f"{path}: network must be {_LINEAR!r}, not {brief(stored.network)}")
        if not isinstance(model, str):
            raise ValueError(f"{path}: model must be the name of a network, not {brief(model)}")
        if not isinstance(layers, list) or not all(isinstance(layer, str) for layer in layers):
            raise ValueError(f"{path}: layers must be a list of names, not {brief(layers)}")
        if replacement is None and model.startswith("python:"):
            raise ValueError(
                f"{path}: model is {model!r}, a function, which no file may run; hand over model={model!r}"
            )
        stored.check(_tensors_of(len(layers), stored), path)
        keywords = {name: value for name, value in stored.settings.items() if name not in ("model", "layers")}
        try:
            strength, limit = keywords.pop("strength"), keywords.pop("limit")
            features = LayerFeatures(model if replacement is None else replacement, layers, **keywords)
            return cls(features, **stored.tensors, strength=strength, limit=limit)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: its settings are damaged: {error}") from None

    @staticmethod
    def available() -> list[str]:
        """Names of the heads that come with the package."""
        return sorted(_FILES.named())


def _tensors_of(layers: int, stored: Stored) -> dict[str, Tensor]:
    """Tensors of the shapes that a head on so many layers has; its level shows how many channels these have.

    As :func:`design` and :func:`_summary` say, a channel has two columns and two means, a layer one column.
    """
    level = stored.tensors.get("level")
    means = max(0, level.numel() - 1) if level is not None else 0
    shapes = {"weight": means + layers + _COORDINATES, "level": means + 1}
    return {name: torch.empty(length, device="meta") for name, length in shapes.items()}
