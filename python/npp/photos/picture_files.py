"""Picture files of any format that Pillow reads: opened below npp's own limit, with all of their samples.

Training, evaluation and ``npp encode`` read pictures here and nowhere else, so that they see the same.
"""

from __future__ import annotations

import struct
from importlib import import_module
from io import BytesIO

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError

from npp._bpg import EncodeError
from npp.codec.decoding import decode, probe
from npp.codec.file_inputs import BPG_MAGIC
from npp.codec.image_inputs import SingleImage, check_geometry
from npp.codec.metadata import first_frame
from npp.codec.pil_pictures import first_shown, plain
from npp.photos import png16

_LONGEST_MAGIC = 16


def _open_without_limit(data: bytes) -> Image.Image:
    """``Image.open`` without Pillow's limit, which is the process's and cannot be moved for one call."""
    for format_name in Image.ID:
        opens, accepts = Image.OPEN[format_name]
        if accepts is not None and accepts(data[:_LONGEST_MAGIC]) is not True:
            continue
        try:
            return opens(BytesIO(data), "")
        except (SyntaxError, IndexError, TypeError, struct.error):  # what Image.open passes over, too
            continue
        except Image.DecompressionBombError as error:
            raise EncodeError(
                f"{format_name}: {error} Pillow's limit is PIL.Image.MAX_IMAGE_PIXELS."
            ) from None
    raise UnidentifiedImageError("cannot identify the picture's format")


def open_picture(data: bytes) -> Image.Image:
    """An opened, not yet decoded picture.

    npp's limit on pixels counts (:func:`npp.set_max_pixels`), not Pillow's.

    Raises:
        EncodeError: above the limit; the message says how large it is.
        OSError and whatever else Pillow raises: not a picture, or a damaged one.
    """
    if data.startswith(BPG_MAGIC):
        import_module("npp.pillow")  # Pillow knows npp's own format then
    try:
        image: Image.Image = Image.open(BytesIO(data))
    except UnidentifiedImageError:
        raise UnidentifiedImageError("cannot identify the picture's format") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        image = _open_without_limit(data)
    try:
        check_geometry("the picture", 1, image.height, image.width)
    except EncodeError:
        image.close()
        raise
    return image


def has_deep_bpg(image: Image.Image, data: bytes) -> bool:
    """Whether an opened picture is a BPG file of colour or alpha with more than 8 bits a sample.

    Pillow has no mode for that: npp's plugin gives it 8 of them.
    """
    if image.format != "BPG":
        return False
    info = probe(data)
    return info.bit_depth > 8 and info.channels > 1


def read_deep_bpg(data: bytes) -> tuple[npt.NDArray[np.uint16], bool]:
    """All samples of a file that :func:`has_deep_bpg` holds true for, spread over 16 bits.

    Returns:
        (H, W, C), of an animation (F, H, W, C), and whether the colour is only gray.

    Raises:
        DecodeError: damaged, or above the limit on pixels.
    """
    info = probe(data)
    pixels: npt.NDArray[np.uint16] = decode(data, dtype=torch.uint16, threads=1).movedim(-3, -1).numpy()
    return pixels, info.chroma == "400" and not info.has_w


def read_still(image: Image.Image, data: bytes) -> tuple[SingleImage, bool]:
    """The first picture that a file shows, with its alpha, and whether it is gray.

    Args:
        image: from :func:`open_picture`.
        data: the same file.

    Returns:
        What :func:`npp.encode` takes. Gray of 16 bits (modes I;16 and I) has the range 0 to 65535, floats (F)
        have the range 0 to 1. Colour of more than 8 bits is an array (H, W, C), all else a PIL image.
    """
    if (shown := first_shown(image)) > 0:
        image.seek(shown)  # an APNG's default image is for programs that do not know it
    elif png16.has_deep_color(image):
        return png16.read(data)
    if has_deep_bpg(image, data):
        return read_deep_bpg(first_frame(data))
    image.load()
    picture = plain(image)
    return picture, picture.mode[0] in "IF" or picture.mode in ("1", "L", "LA", "La")
