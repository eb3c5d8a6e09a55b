"""Ends of messages about values that are no batch of floats: the call that converts them to one."""

from __future__ import annotations

from os import PathLike

import numpy as np
import torch
from PIL import Image
from torch import Tensor

_CHANNELS = (1, 3, 4)


def floats_hint(x: object, name: str = "x") -> str:
    """The call that makes a tensor of floats in [0, 1] of other pictures; empty where none is known.

    Args:
        x: a tensor of whole numbers, or what is no tensor.
        name: what the message calls it.
    """
    if isinstance(x, Tensor):
        scale = {torch.uint8: 255, torch.uint16: 65535}.get(x.dtype)
        return "" if scale is None else f"; {name}.float() / {scale} makes it so"
    if isinstance(x, Image.Image):
        return "; npp.photos.to_tensor(image)[None] makes one of a PIL image, which npp.encode takes as it is"
    if isinstance(x, np.ndarray):
        return "; torch.from_numpy(array) makes one of an array, and npp.encode takes (H, W, C) as it is"
    if isinstance(x, (list, tuple)):
        return "; torch.stack makes one of tensors of one size, and npp.encode takes lists of any sizes"
    if isinstance(x, (str, PathLike)):
        return "; npp.photos.load_photo(path)[None] makes one of a photo"
    return ""


def batch_hint(x: Tensor, name: str = "x") -> str:
    """The call that makes a batch (N, C, H, W) of a tensor of another shape; empty where none is known.

    Args:
        x: the tensor.
        name: what the message calls it.
    """
    if x.ndim == 2:
        return f"; {name}[None, None] is a batch of one gray picture"
    channels_last = x.ndim > 2 and x.shape[-1] in _CHANNELS and x.shape[-3] not in _CHANNELS
    if x.ndim in (3, 4) and channels_last:
        further = "" if x.ndim == 4 else ", and [None] makes a batch of one picture"
        return f"; {name}.movedim(-1, -3) turns (H, W, C) round{further}"
    if x.ndim == 3:
        one = x.shape[0] in _CHANNELS
        index, pictures = ("None", "one picture") if one else (":, None", "gray pictures")
        return f"; {name}[{index}] is a batch of {pictures}"
    return ""
