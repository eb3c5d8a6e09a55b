"""Coding as augmentation in albumentations' pipelines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import Unpack

from npp.checks import flag
from npp.codec.options import CodecOptions, resolve_options
from npp.extras import require
from npp.transforms import bgr_to_rgb, code_array, lazy_recipe
from npp.transforms import qp_range as checked_range

if TYPE_CHECKING:
    from npp.recipes.recipe import Recipe

_ImageOnlyTransform: Any = require("albumentations", "npp.integrations.albumentations_bpg").ImageOnlyTransform


class BPGCompression(_ImageOnlyTransform):  # type: ignore[misc]
    """Pictures through the real codec at a random qp, as albumentations' ``ImageCompression`` with JPEG.

    Pictures are (H, W) or (H, W, C) with C of 1, 3 or 4, uint8 or float32 in [0, 1]; boxes, masks and key
    points are passed through. Put it in front of ``A.Normalize``.

    Draws are albumentations' own: ``A.Compose(..., seed=...)`` repeats them. As with all its transforms, the
    workers of a DataLoader draw the same as each other and in each epoch, unless ``worker_init_fn`` calls
    ``pipeline.set_random_seed(torch.initial_seed() % 2**32)``.

    ``A.from_dict`` and the like know it where this module has been imported.

    Args:
        qp_range: (least, greatest), each as likely, or one qp.
        p: how often a picture is coded, 0 to 1.
        bgr: channels come in the order of OpenCV, as in the loader of Ultralytics: BGR, or BGR and alpha.
        recipe: as in :class:`npp.transforms.BPG`; albumentations' files keep a name or a path, and no
            :class:`npp.Recipe` itself.
        **options: see :class:`npp.CodecOptions`. They come before the recipe's.

    Raises:
        ValueError: a value outside of these.
        FileNotFoundError: there is no such recipe.
        TypeError: recipe is neither an npp.Recipe nor a name or a path.
    """

    def __init__(
        self,
        qp_range: int | tuple[int, int] = (25, 46),
        p: float = 0.5,
        bgr: bool = False,
        recipe: str | os.PathLike[str] | Recipe | None = None,
        **options: Unpack[CodecOptions],
    ) -> None:
        super().__init__(p=p)
        self.qp_range = checked_range(qp_range)
        self.bgr = flag("bgr", bgr)
        resolve_options(options)
        self.options = options
        self.recipe = os.fspath(recipe) if isinstance(recipe, os.PathLike) else recipe
        self._held = None if recipe is None else lazy_recipe(recipe, options)

    def get_params(self) -> dict[str, Any]:
        """The qp of the next picture."""
        return {"qp": self.py_random.randint(*self.qp_range)}

    def apply(self, img: np.ndarray[Any, Any], qp: int, **params: Any) -> np.ndarray[Any, Any]:
        """Codes one picture."""
        if self.bgr:
            return bgr_to_rgb(code_array(bgr_to_rgb(img), qp, self._held, **self.options))
        return code_array(img, qp, self._held, **self.options)

    def get_transform_init_args(self) -> dict[str, Any]:
        """The arguments, for albumentations' files."""
        return {"qp_range": self.qp_range, "bgr": self.bgr, "recipe": self.recipe, **self.options}


def registered(trainer: object) -> None:
    """A callback of Ultralytics that does nothing but be known by the name of this module.

    With ``model.add_callback("on_pretrain_routine_start", registered)`` the processes of training on several
    GPUs import this module, and so know :class:`BPGCompression`. Without it they train on uncoded pictures.

    Args:
        trainer: Ultralytics' own.
    """
