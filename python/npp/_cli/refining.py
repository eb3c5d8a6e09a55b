"""``npp encode --refine MODEL``: pixels that a network sees as before, in fewer bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from npp._cli.errors import UsageError
from npp.images import CodecImage, SingleImage
from npp.refinement import keep_prediction, refine
from npp.views import View


@lru_cache(maxsize=2)
def load_network(path: str) -> Callable[[Tensor], Tensor]:
    """A network saved by ``torch.export.save``: RGB pictures in [0, 1] to logits.

    It must take (1, 3, H, W) of every size that comes (``dynamic_shapes``), and give (1, classes) or
    (1, classes, ...).

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return torch.export.load(path).module()
    except Exception as error:  # whatever the bytes make of the unpacking
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UsageError(f"--refine: {path} is not a file of torch.export.save: {reason}") from None


def refine_frame(
    frame: SingleImage, qp: int, path: str, options: dict[str, Any], views: Sequence[View]
) -> Tensor:
    """A picture refined for a network: floats (C, H, W) in [0, 1].

    Alpha is left alone by the network; gray is shown to it as RGB.
    """
    network = load_network(path)
    samples = CodecImage(frame, "image").samples
    x = torch.from_numpy(samples.astype(np.float32))[None] / np.iinfo(samples.dtype).max

    def see(pictures: Tensor) -> Tensor:
        color = pictures.expand(-1, 3, -1, -1) if pictures.shape[1] == 1 else pictures[:, :3]
        return network(color)

    return refine(x, qp, keep_prediction(see, x, views), threads=1, **options).x[0]
