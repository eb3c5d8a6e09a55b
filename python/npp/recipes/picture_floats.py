"""Pictures between the codec's samples and the networks' floats."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from npp.codec.decoding import probe
from npp.codec.errors import DecodeError
from npp.codec.image_inputs import CodecImage
from npp.codec.limits import get_max_pixels
from npp.preprocessing.preprocessor import Preprocessor
from npp.recipes.scale import enlarge
from npp.recipes.size_extension import size_before

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def filtered(preprocessor: Preprocessor, x: Tensor, qp: int) -> Tensor:
    """Colour through the filter; gray as gray, alpha as it is."""
    if x.shape[1] == 1:
        gray: Tensor = preprocessor(x.expand(-1, 3, -1, -1), qp)
        return (gray * gray.new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)
    colour: Tensor = preprocessor(x[:, :3], qp)
    return colour if x.shape[1] == 3 else torch.cat([colour, x[:, 3:]], dim=1)


def as_floats(picture: CodecImage) -> Tensor:
    """(1, C, H, W) in [0, 1]; gray with alpha as RGBA."""
    samples = np.ascontiguousarray(picture.samples)
    if samples.dtype.kind == "f":
        return torch.from_numpy(samples.astype(np.float32, copy=False))[None]
    peak = np.iinfo(samples.dtype).max
    return torch.from_numpy(samples.astype(np.float32) / np.float32(peak))[None]


def restored(decoded: Tensor, file: bytes) -> Tensor:
    """A decoded picture or its frames at the size that it had."""
    size = size_before(probe(file))
    if size is None or tuple(decoded.shape[-2:]) == size:
        return decoded
    if size[0] * size[1] > get_max_pixels():
        raise DecodeError(
            f"the picture was {size[1]}x{size[0]} pixels; at most {get_max_pixels()} are allowed "
            "(npp.set_max_pixels)"
        )
    frames = decoded if decoded.ndim == 4 else decoded[None]
    peak = 1.0 if decoded.is_floating_point() else float(torch.iinfo(decoded.dtype).max)
    wide = torch.promote_types(decoded.dtype, torch.float32) if decoded.is_floating_point() else torch.float32
    large = enlarge(frames.to(wide) / peak, size) * peak
    large = large if decoded.is_floating_point() else (large + 0.5).floor()
    large = (
        large.to(torch.int32).to(decoded.dtype) if decoded.dtype == torch.uint16 else large.to(decoded.dtype)
    )
    return large if decoded.ndim == 4 else large[0]
