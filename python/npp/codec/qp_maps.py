"""Maps of quantiser offsets: one for each 16x16 block of a picture, checked and in the codec's form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from npp.checks import brief, is_int
from npp.codec.errors import EncodeError, indexed, picture_name
from npp.codec.file_inputs import File, file_bytes
from npp.codec.metadata import block_quantisers
from npp.codec.tensor_memory import in_memory

#: Side of the square of pixels that one offset is for.
MAP_BLOCK = 16

#: What a call of the codec takes as qp, integers from 0 to 51: one for all pictures, or one for each.
Qp: TypeAlias = int | Sequence[int] | Tensor | npt.NDArray[Any]
Map: TypeAlias = Tensor | npt.NDArray[Any]
#: A map of one picture, or of a batch: (N, h, w), or a list with a map or ``None`` for each picture.
QpMap: TypeAlias = Map | Sequence[Map | None]
NativeMaps: TypeAlias = list[npt.NDArray[np.float32] | None]


def map_size(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the map of a picture: a block at the lower or right edge may stick out."""
    return -(-height // MAP_BLOCK), -(-width // MAP_BLOCK)


def _floats(value: Any, name: str) -> npt.NDArray[np.float32]:
    if isinstance(value, Tensor):
        if not value.is_floating_point():
            raise TypeError(f"{name} has dtype {value.dtype}; offsets are floats")
        return in_memory(value, name).float().numpy()
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name} must be a tensor or an array of floats, not {type(value).__name__}")
    if value.dtype.kind != "f":
        raise TypeError(f"{name} has dtype {value.dtype}; offsets are floats")
    with np.errstate(
        over="ignore"
    ):  # what float32 cannot hold becomes infinite, as in tensors, and is refused
        return value.astype(np.float32, copy=False)


def _checked(value: Any, size: tuple[int, int], name: str, index: int | None) -> npt.NDArray[np.float32]:
    """One picture's map as the codec reads it."""
    offsets = _floats(value, name)
    expected = map_size(*size)
    if offsets.shape != expected:
        raise indexed(
            EncodeError,
            f"{name} has shape {offsets.shape}; a picture of {size[1]}x{size[0]} pixels has {expected[0]} "
            f"rows and {expected[1]} columns of {MAP_BLOCK}x{MAP_BLOCK} blocks",
            index,
        )
    if not np.isfinite(offsets).all():
        raise indexed(
            EncodeError, f"{name} holds NaN or infinite offsets; they must be finite in float32", index
        )
    return np.ascontiguousarray(offsets)


def _entries(qp_map: Any, count: int, kind: str) -> Sequence[Any]:
    entries: Sequence[Any]
    if isinstance(qp_map, (Tensor, np.ndarray)):
        if qp_map.ndim != 3:
            raise EncodeError(
                f"qp_map has shape {tuple(qp_map.shape)}; (N, h, w), or a list with one (h, w) a {kind}, "
                "is needed"
            )
        entries = list(qp_map)
    elif isinstance(qp_map, Sequence) and not isinstance(qp_map, (str, bytes)):
        entries = qp_map
    else:
        raise TypeError(
            f"qp_map must be a tensor or an array (N, h, w), or a list with one a {kind}, not "
            f"{type(qp_map).__name__}"
        )
    if len(entries) != count:
        raise EncodeError(f"qp_map has {len(entries)} map(s) for {count} {kind}(s); one each is needed")
    return entries


def resolve_qp_maps(
    qp_map: QpMap | None,
    sizes: Sequence[tuple[int, int] | None],
    *,
    is_batch: bool = True,
    lossless: bool = False,
    kind: str = "picture",
) -> NativeMaps | None:
    """The map of each picture in the codec's form, or ``None``.

    Args:
        qp_map: offsets in QP units, (h, w) for a single picture; for a batch (N, h, w), or a list with one
            for each picture, ``None`` where the QP is constant. Any floating dtype and device.
        sizes: height and width of each picture, ``None`` for one that is not encoded.
        is_batch: whether the caller gave a batch.
        lossless: the picture is coded without a quantiser.
        kind: what messages call a picture.

    Raises:
        TypeError: no floats.
        EncodeError: another number of maps than pictures, a wrong shape, offsets that are not finite, or a
            map with ``lossless``.
        UnsupportedError: a tensor without values in memory, or within a transform of torch.func.
    """
    if qp_map is None:
        return None
    if isinstance(qp_map, Tensor):
        qp_map = in_memory(qp_map, "qp_map")  # at once: from a GPU each copy waits
    entries = _entries(qp_map, len(sizes), kind) if is_batch else [qp_map]
    if lossless and any(entry is not None for entry in entries):
        raise EncodeError("qp_map must be None with lossless=True: nothing is quantised")
    return [
        None
        if entry is None or size is None
        else _checked(entry, size, picture_name("qp_map", i, is_batch), i if is_batch else None)
        for i, (entry, size) in enumerate(zip(entries, sizes, strict=True))
    ]


def decode_qp_map(data: File, *, block: int = MAP_BLOCK) -> Tensor:
    """The QPs that a file's blocks were quantised with.

    Args:
        data: a still picture, in any of the forms of :func:`npp.decode`.
        block: side of the blocks in pixels: 8, 16, 32 or 64. HEVC's own may be as small as 8.

    Returns:
        (ceil(H / block), ceil(W / block)) int32: HEVC's QpY of each block, the scale of the slice's QP;
        below 0 only above 8 bits. A block without any coefficients has the QP that is predicted from its
        surroundings, whatever was asked for.

    Raises:
        DecodeError: no BPG file, a damaged one, or one above the limit on pixels.
        UnsupportedError: an animation, 11, 13 or 14 bits, or a tensor without bytes in memory.
        ValueError: another size of block.
        OSError: a path that cannot be read.
        TypeError: data is none of these.
    """
    if not is_int(block) or block not in (8, 16, 32, 64):
        raise ValueError(f"block must be 8, 16, 32 or 64, not {brief(block)}")
    return torch.from_numpy(block_quantisers(file_bytes(data, "data"), block_size=int(block)))
