"""A step of mmengine's pipelines that codes and decodes the picture that was loaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from npp.checks import kind_of
from npp.codec.decoding import decode
from npp.codec.encoding import encode
from npp.codec.options import resolve_options
from npp.extras import require
from npp.integrations.openmmlab.picture_coding import check_raw
from npp.recipes.recipe import Recipe, recipe_file
from npp.transforms import bgr_to_rgb, qp_range

_transforms: Any = require("mmcv.transforms", "npp.integrations.openmmlab")


def _check_recipe(recipe: object) -> None:
    """Raises TypeError or FileNotFoundError unless this is ``None`` or there is a file of such a recipe.

    The workers load it only later, which is late for a mistake in its name.
    """
    if recipe is None:
        return
    if not isinstance(recipe, (str, os.PathLike)):
        raise TypeError(f"recipe must be a name or path of one, or None, not {kind_of(recipe)}")
    try:
        recipe_file(recipe)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"recipe: {error}") from None


class BPGRoundTrip(_transforms.BaseTransform):  # type: ignore[misc]  # mmcv has no types
    """Codes and decodes the picture at its own size, in the loader's workers; no gradient.

    Put it behind ``LoadImageFromFile`` and before ``Resize``. It adds ``bpp``, bits for each pixel of the
    photo, ``bpg_bytes`` and ``bpg_qp``: name them among the ``meta_keys`` of ``PackDetInputs`` or
    ``PackInputs``, and :class:`BppMetric` finds them.

    Args:
        qp: 0 to 51, or a pair (lowest, highest) from which one is drawn for each picture.
        recipe: name or path of a recipe that prepares the picture; ``None`` for BPG alone.
        channels: order of the picture's channels, ``"bgr"`` (mmcv's) or ``"rgb"``; of four the last is alpha.
        **options: options of the codec, see :class:`npp.CodecOptions`; they override the recipe's.

    Raises:
        ValueError, TypeError: a wrong setting; the message names it.
        FileNotFoundError: there is no such recipe.
    """

    def __init__(
        self,
        qp: int | Sequence[int],
        recipe: str | os.PathLike[str] | None = None,
        channels: str = "bgr",
        **options: Any,
    ) -> None:
        self._low, self._high = qp_range(qp)
        if channels not in ("bgr", "rgb"):
            raise ValueError(f"channels must be bgr or rgb, not {channels!r}")
        resolve_options(options)
        _check_recipe(recipe)
        self._bgr = channels == "bgr"
        self._recipe_name = recipe
        self._recipe: Recipe | None = None
        self._options = options

    def _coded(self, picture: npt.NDArray[np.uint8], qp: int) -> tuple[bytes, npt.NDArray[np.uint8]]:
        """The file, and the decoded picture (H, W, C)."""
        if self._recipe_name is None:
            file = encode(picture, qp, threads=1, **self._options)
            decoded = decode(file, threads=1)
        else:
            # Loaded in the worker, which then has its own.
            self._recipe = self._recipe or Recipe.load(self._recipe_name)
            file = self._recipe.encode(picture, qp, threads=1, **self._options)
            decoded = self._recipe.decode(file, threads=1)
        return file, decoded.permute(1, 2, 0).numpy()

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Changes ``results["img"]``, (H, W) or (H, W, C) from 0 to 255; dtype and shape stay.

        Raises:
            ValueError: samples are on another scale: normalised, in [0, 1], or of 16 bits.
        """
        image = results["img"]
        # torch cannot find the minimum of unsigned integers of more than 8 bits on every device.
        wide = image if image.dtype.kind == "f" or image.dtype == np.uint8 else image.astype(np.int64)
        check_raw("img", torch.from_numpy(np.ascontiguousarray(wide)), "so put BPGRoundTrip in front of that")
        samples = image if image.dtype == np.uint8 else np.clip(np.rint(image), 0, 255).astype(np.uint8)
        qp = int(np.random.randint(self._low, self._high + 1))  # noqa: NPY002 (mmengine seeds this one)
        file, decoded = self._coded(bgr_to_rgb(samples) if self._bgr else samples, qp)
        restored = (bgr_to_rgb(decoded) if self._bgr else decoded).reshape(image.shape)
        results["img"] = np.ascontiguousarray(restored).astype(image.dtype, copy=False)
        pixels = image.shape[0] * image.shape[1]
        results.update(bpp=8 * len(file) / pixels, bpg_bytes=len(file), bpg_qp=qp)
        return results

    def __repr__(self) -> str:
        qp = self._low if self._low == self._high else (self._low, self._high)
        return f"{type(self).__name__}(qp={qp}, recipe={self._recipe_name!r}, {self._options})"
