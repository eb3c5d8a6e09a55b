"""BPG files in the forms that callers have them: bytes, buffers, arrays, tensors, paths and open files."""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from npp.codec.tensor_memory import in_memory

_Buffer: TypeAlias = bytes | bytearray | memoryview | mmap.mmap | npt.NDArray[np.uint8] | Tensor

#: What every BPG file begins with.
BPG_MAGIC = b"BPG\xfb"

#: One BPG file: its bytes in any form, its path, or an open file that is read from where it stands.
File: TypeAlias = _Buffer | str | os.PathLike[str] | BinaryIO

_ALLOWED = "bytes, a buffer, a uint8 array or tensor of one dimension, a path or an open binary file"


def _check_samples(name: str, kind: str, dtype: object, shape: tuple[int, ...], *, is_bytes: bool) -> None:
    if not is_bytes or len(shape) != 1:
        raise TypeError(
            f"{name} is {kind} of {dtype} with shape {shape}; the bytes of a file are uint8 of one dimension"
        )


def _read(file: Any, name: str) -> bytes:
    data = file.read()
    if not isinstance(data, bytes):
        raise TypeError(f"{name} is a file that gives {type(data).__name__}; open it in binary mode")
    return data


def file_bytes(data: object, name: str) -> bytes:
    """The bytes of a file.

    Args:
        data: see :data:`File`.
        name: what messages call it.

    Raises:
        TypeError: none of these; the message says what it is.
        OSError: a path or an open file that cannot be read.
        UnsupportedError: a tensor without bytes in memory, or within a transform of torch.func.
    """
    if isinstance(data, bytes):
        return data
    if isinstance(data, (bytearray, memoryview, mmap.mmap)):
        return bytes(data)
    if isinstance(data, np.ndarray):
        _check_samples(name, "an array", data.dtype, data.shape, is_bytes=data.dtype == np.uint8)
        return data.tobytes()
    if isinstance(data, Tensor):
        data = in_memory(data, name, "bytes")
        _check_samples(name, "a tensor", data.dtype, tuple(data.shape), is_bytes=data.dtype == torch.uint8)
        return data.numpy().tobytes()
    if isinstance(data, (str, os.PathLike)):
        return Path(data).read_bytes()
    if hasattr(data, "read"):
        return _read(data, name)
    raise TypeError(f"{name} must be {_ALLOWED}, not {type(data).__name__}")


def is_one(data: object) -> bool:
    """Whether an argument is one file in a form that one could iterate over as if it were several."""
    if isinstance(data, np.ndarray):
        return data.ndim == 1 and data.dtype == np.uint8
    if isinstance(data, Tensor):
        return data.ndim == 1 and data.dtype == torch.uint8
    types = (str, os.PathLike, bytes, bytearray, memoryview, mmap.mmap)
    return isinstance(data, types) or hasattr(data, "read")


def is_several(data: object) -> bool:
    """Whether an argument is a list of files rather than one."""
    return isinstance(data, Sequence) and not isinstance(data, (str, bytes, bytearray, memoryview))
