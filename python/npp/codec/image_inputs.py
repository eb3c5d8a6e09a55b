"""Pictures in the forms that callers have them, as (C, H, W) numpy views for the codec."""

from __future__ import annotations

import math
from collections.abc import Sequence
from os import PathLike
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from npp._bpg import EncodeError
from npp.checks import is_int
from npp.codec.errors import indexed, raise_first
from npp.codec.limits import why_too_large
from npp.codec.pil_pictures import plain
from npp.codec.sample_range import on_other_scale, range_message
from npp.codec.tensor_memory import in_memory

Array: TypeAlias = npt.NDArray[Any]
SingleImage: TypeAlias = Image.Image | Array | Tensor
ImageOrBatch: TypeAlias = SingleImage | Sequence[SingleImage]
CHANNELS = (1, 3, 4)
#: What Pillow's formats raise for damaged files.
_UNREADABLE = (OSError, SyntaxError, ValueError, RuntimeError)
_DTYPES = "uint8, uint16, float16, bfloat16, float32, float64"
_NUMPY_DTYPES = (np.uint8, np.uint16, np.float16, np.float32, np.float64)
_TORCH_DTYPES = (torch.uint8, torch.uint16, torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_dtype(name: str, dtype: torch.dtype) -> None:
    """Raises TypeError for a tensor dtype that images cannot have."""
    if dtype not in _TORCH_DTYPES:
        raise TypeError(f"{name} has dtype {dtype}; allowed are {_DTYPES}")


def _order(channels: int, height: int, width: int) -> str:
    """For messages: how to reorder dimensions that seem to be in the order of arrays or of tensors."""
    if width in CHANNELS and min(channels, height) > max(CHANNELS):
        return "; tensors are (C, H, W): movedim(-1, -3) turns (H, W, C) round"
    if height in CHANNELS and min(channels, width) > max(CHANNELS):
        return "; arrays are (H, W, C): numpy.moveaxis(x, 0, -1) turns (C, H, W) round"
    return ""


def check_geometry(name: str, channels: int, height: int, width: int) -> None:
    """Raises EncodeError for channels other than 1, 3, 4, an empty picture or one above the limit."""
    if channels not in CHANNELS:
        raise EncodeError(
            f"{name} has {channels} channels; allowed are 1 (gray), 3 (RGB) and 4 (RGBA)"
            f"{_order(channels, height, width)}"
        )
    if height < 1 or width < 1:
        raise EncodeError(f"{name} is {width}x{height} pixels; both sides must be at least 1")
    # Of a graph's pictures the codec asks, which runs outside it: the limit is of a context, not of a graph.
    if torch.compiler.is_dynamo_compiling():
        return
    if (why := why_too_large(1, width, height, f"{name} is")) is not None:
        raise EncodeError(why)


def check_frames(frames: int, height: int, width: int) -> None:
    """Raises EncodeError where all frames together are above the limit: nobody could decode them under it."""
    if (why := why_too_large(frames, width, height)) is not None:
        raise EncodeError(why)


def _read(image: Image.Image, name: str) -> None:
    """Makes Pillow read the pixels, which it puts off otherwise; raises OSError where it cannot."""
    try:
        image.load()
    except _UNREADABLE as error:
        raise OSError(f"{name} cannot be read: {error}") from error


def _from_pil(image: Image.Image, name: str) -> tuple[Array, bool]:
    """(H, W, C) samples and whether the picture is gray with alpha.

    I;16 and I hold 0 to 65535, F holds 0 to 1: no mode of theirs says what is white.
    """
    _read(image, name)
    image = plain(image)
    mode = image.mode
    if mode in ("L", "RGB", "RGBA"):
        return np.asarray(image), False
    if mode == "1":
        return np.asarray(image.convert("L")), False
    if mode in ("LA", "La"):
        return np.asarray(image.convert("LA").convert("RGBA")), True
    if mode.startswith("I"):
        samples = np.asarray(image)
        check_geometry(name, 1, image.height, image.width)
        if samples.min() < 0 or samples.max() > 65535:
            raise EncodeError(
                f"{name}: mode {mode} holds {samples.min()}..{samples.max()}; 0..65535 fits into 16 bits"
            )
        return _with_transparent_gray(samples.astype(np.uint16), image.info.get("transparency"))
    if mode == "F":
        return np.asarray(image), False
    return np.asarray(image.convert("RGBA" if mode == "RGBa" else "RGB")), False


def _with_transparent_gray(gray: Array, transparent: object) -> tuple[Array, bool]:
    """16-bit gray; RGBA and True where one value of it is transparent."""
    if not is_int(transparent):
        return gray, False
    alpha = np.where(gray == transparent, 0, 65535).astype(np.uint16)
    return np.dstack([gray, gray, gray, alpha]), True


def _from_numpy(array: Array, name: str) -> Array:
    array = np.asarray(array)  # a matrix has two dimensions whatever is done to it
    if array.dtype.newbyteorder("=") not in _NUMPY_DTYPES:
        raise TypeError(
            f"{name} has dtype {array.dtype}; allowed are uint8, uint16, float16, float32, float64"
        )
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3:
        hint = "; list(array) is a batch of such" if array.ndim == 4 else ""
        raise EncodeError(f"{name} has shape {array.shape}; a numpy image is (H, W) or (H, W, C){hint}")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    view: Array = array.transpose(2, 0, 1)
    return view


def _from_torch(tensor: Tensor, name: str) -> Array:
    check_dtype(name, tensor.dtype)
    tensor = in_memory(tensor, name, "pixels")
    if tensor.ndim != 3:
        raise EncodeError(
            f"{name} has shape {tuple(tensor.shape)}; a torch image is (C, H, W), a batch (N, C, H, W)"
        )
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    samples: Array = tensor.numpy()
    return samples


def _no_picture(value: object, name: str) -> TypeError:
    """The error for a value that is no picture.

    A path is none either: whoever opens the file decides about its orientation, frames and metadata.
    """
    hint = ""
    if isinstance(value, (str, PathLike)):
        hint = (
            "; npp.photos.open_photo(path) opens a photo, and npp.batch.BatchEncoder().encode(path) codes a "
            "file with its frames and metadata"
        )
    elif isinstance(value, (bytes, bytearray, memoryview)):
        hint = "; PIL.Image.open(io.BytesIO(data)) opens the bytes of a file"
    elif hasattr(value, "read"):
        hint = "; PIL.Image.open(file) opens it"
    kind = type(value).__name__
    return TypeError(f"{name} must be a PIL image, numpy array or torch tensor, not {kind}{hint}")


class CodecImage:
    """One picture as the codec reads it.

    Attributes:
        samples: (C, H, W) view, any strides.
        gray: no colour: a gray picture, or gray with alpha spread over RGBA.
    """

    def __init__(self, image: SingleImage, name: str) -> None:
        gray_alpha = False
        if isinstance(image, Image.Image):
            pixels, gray_alpha = _from_pil(image, name)
            self.samples = _from_numpy(pixels, name)
        elif isinstance(image, np.ndarray):
            self.samples = _from_numpy(image, name)
        elif isinstance(image, Tensor):
            self.samples = _from_torch(image, name)
        else:
            raise _no_picture(image, name)
        channels, height, width = self.samples.shape
        check_geometry(name, channels, height, width)
        self.gray = gray_alpha or channels == 1

    def with_samples(self, samples: Array) -> CodecImage:
        """A copy of this picture with other samples (C, H, W), as after a filter."""
        changed = CodecImage.__new__(CodecImage)
        changed.samples, changed.gray = samples, self.gray
        return changed


#: A picture, or why there is none: of a wrong shape, or in a file that cannot be read.
PictureOrError: TypeAlias = CodecImage | EncodeError | OSError


def _picture_or_error(image: SingleImage, name: str, index: int | None) -> PictureOrError:
    """The error without a traceback, which keeps the picture alive."""
    try:
        return CodecImage(image, name)
    except EncodeError as error:
        return indexed(EncodeError, str(error), index)
    except OSError as error:
        return OSError(str(error))


def pictures_or_errors(image: ImageOrBatch, name: str = "image") -> tuple[list[PictureOrError], bool]:
    """All pictures of an argument, and whether it is a batch (list, tuple, or (N, C, H, W) tensor).

    A picture of a shape or size that cannot be coded is an error in its place, an EncodeError; one whose file
    Pillow cannot read is an OSError.

    Raises:
        TypeError: not a picture, or a wrong dtype.
        EncodeError: an empty batch.
    """
    batch: Sequence[SingleImage]
    if isinstance(image, Tensor):
        check_dtype(name, image.dtype)
        image = in_memory(image, name, "pixels")  # at once: from a GPU each copy waits
    if isinstance(image, Tensor) and image.ndim == 4:
        batch = list(image)
    elif isinstance(image, (list, tuple)):
        batch = image
    else:
        return [_picture_or_error(image, name, None)], False  # type: ignore[arg-type]
    if not batch:
        raise EncodeError(f"{name} is an empty batch; at least one picture is needed")
    return [_picture_or_error(picture, f"{name}[{i}]", i) for i, picture in enumerate(batch)], True


def several_pictures(images: ImageOrBatch, name: str) -> list[CodecImage]:
    """The pictures of an argument that must hold several of them.

    Raises:
        TypeError: a single picture, not a picture, or a wrong dtype.
        EncodeError: an empty batch, or a shape or size that cannot be coded.
        OSError: a PIL image whose file cannot be read.
    """
    pictures, is_batch = pictures_or_errors(images, name)
    if not is_batch:
        raise TypeError(f"{name} must be several pictures, a list or (N, C, H, W), not one alone")
    raise_first(pictures, None)
    return [picture for picture in pictures if isinstance(picture, CodecImage)]


def as_batch(image: ImageOrBatch, name: str = "image") -> list[CodecImage]:
    """All pictures of an argument, a single one as a batch of one.

    Raises:
        TypeError: not a picture, or a wrong dtype.
        EncodeError: an empty batch, or a shape or size that cannot be coded.
        OSError: a PIL image whose file cannot be read.
    """
    pictures, _ = pictures_or_errors(image, name)
    raise_first(pictures, None)
    return [picture for picture in pictures if isinstance(picture, CodecImage)]


def samples_error(picture: CodecImage, name: str, index: int | None) -> EncodeError | None:
    """An error for a picture whose floats hold NaN or are on another scale; None for all others."""
    samples = picture.samples
    if samples.dtype.kind != "f":
        return None
    low, high = float(samples.min()), float(samples.max())
    if math.isnan(low) or on_other_scale(low, high):
        return indexed(EncodeError, describe_range(name, samples), index)
    return None


def describe_range(name: str, samples: Array) -> str:
    """Why a picture's floating-point samples were refused."""
    nans = int(np.isnan(samples).sum())
    return f"{name} holds {range_message(float(samples.min()), float(samples.max()), nans)}"
