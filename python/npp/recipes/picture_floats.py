"""Pictures between the codec's samples and the networks' floats."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from npp.codec.decoding import probe
from npp.codec.errors import DecodeError
from npp.codec.image_inputs import CodecImage
from npp.codec.limits import why_too_large
from npp.codec.luma_weights import BT601
from npp.preprocessing.preprocessor import Preprocessor
from npp.recipes.scale import enlarge, shrink
from npp.recipes.size_extension import size_before
from npp.restoration import Restorer
from npp.torch_state import memory_error_names


def _colour_through(network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Colour through a network; gray as gray, alpha as it is, or enlarged where the network enlarges."""
    if x.shape[1] == 1:
        gray = network(x.expand(-1, 3, -1, -1))
        return (gray * gray.new_tensor(BT601)[:, None, None]).sum(1, keepdim=True)
    colour = network(x[:, :3])
    if x.shape[1] == 3:
        return colour
    return torch.cat([colour, enlarge(x[:, 3:], (colour.shape[-2], colour.shape[-1]))], dim=1)


def filtered(preprocessor: Preprocessor, x: Tensor, qp: int) -> Tensor:
    """Pictures (N, C, H, W) through the filter in front of the codec."""
    return _colour_through(lambda colour: preprocessor(colour, qp), x)


def shown(x_hat: Tensor, size: tuple[int, int], restorer: Restorer | None) -> Tensor:
    """Decoded pictures in the form for networks: restored, then at the size that they had.

    Args:
        x_hat: (N, C, h, w) floats in [0, 1] as the decoder gives them.
        size: height and width of the pictures.
        restorer: where there is one. One that enlarges is left out where nothing was coded smaller: it
            has learned what becomes of small pictures.
    """
    coded = (x_hat.shape[-2], x_hat.shape[-1])
    if restorer is None or (restorer.upscale > 1 and coded == size):
        return enlarge(x_hat, size)
    restored = _colour_through(restorer, x_hat)
    # An enlarging one may give more than the picture had: of one that was coded at .8 of its size, say.
    return enlarge(restored, size) if restored.shape[-2] < size[0] else shrink(restored, size)


def as_floats(picture: CodecImage) -> Tensor:
    """(1, C, H, W) in [0, 1]; gray with alpha as RGBA."""
    samples = np.ascontiguousarray(picture.samples)
    if samples.dtype.kind == "f":
        # A copy of what may not be written to: torch warns of such memory.
        return torch.from_numpy(np.require(samples, np.float32, "W"))[None]
    peak = np.iinfo(samples.dtype).max
    return torch.from_numpy(samples.astype(np.float32) / np.float32(peak))[None]


@torch.no_grad()
def decoded_for_task(decoded: Tensor, file: bytes, restorer: Restorer | None = None) -> Tensor:
    """A decoded picture or its frames as :func:`shown` makes them, in the decoder's own dtype.

    Args:
        decoded: (C, h, w) or (F, C, h, w) of any dtype that the decoder gives.
        file: it says which size the picture had.
        restorer: where there is one, on any device.

    Raises:
        DecodeError: the size that the file says is above the limit on pixels.
        MemoryError: memory ran out.
    """
    before = size_before(probe(file))
    size = (decoded.shape[-2], decoded.shape[-1]) if before is None else before
    if restorer is None and tuple(decoded.shape[-2:]) == size:
        return decoded
    frames = decoded if decoded.ndim == 4 else decoded[None]
    what = "the picture was" if len(frames) == 1 else f"the animation was {len(frames)} frames of"
    if (why := why_too_large(len(frames), size[1], size[0], what)) is not None:
        raise DecodeError(why)
    # One frame at a time: a network's features take far more memory than a picture.
    with memory_error_names("enlarging" if restorer is None else "restoring", *size):
        large = torch.cat([_shown_frame(frame[None], size, restorer) for frame in frames])
    return large if decoded.ndim == 4 else large[0]


def _shown_frame(frame: Tensor, size: tuple[int, int], restorer: Restorer | None) -> Tensor:
    floating = frame.is_floating_point()
    peak = 1.0 if floating else float(torch.iinfo(frame.dtype).max)
    wide = torch.promote_types(frame.dtype, torch.float32) if floating else torch.float32
    device = torch.device("cpu") if restorer is None else next(restorer.parameters()).device
    large = shown((frame.to(wide) / peak).to(device), size, restorer).cpu() * peak
    if floating:
        return large.to(frame.dtype)
    whole = (large + 0.5).floor()
    return whole.to(torch.int32).to(frame.dtype) if frame.dtype == torch.uint16 else whole.to(frame.dtype)
