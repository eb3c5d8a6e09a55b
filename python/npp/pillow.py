"""Pillow opens and saves ``.bpg`` files once this module has been imported.

``Image.open("x.bpg")`` reads the whole file and decodes nothing: pixels are decoded when they are first
needed. The first frame of an animation is decoded alone, a later one with all others: above the limit of
:func:`npp.set_max_pixels` only the first can be had.

Modes: L, LA, RGB and RGBA with 8 bits a sample; I;16 for gray files of more than 8 bits (deeper colour comes
as 8 bits; :func:`npp.decode` gives all of it).

``info`` has ``exif``, ``icc_profile`` and ``xmp`` where the file has them (of CMYK, which comes as RGB, no
profile), for animations ``duration``, the milliseconds that the current frame is shown, and ``loop``, how
often the animation is shown, 0 for ever.

``image.save("x.bpg", ...)`` takes ``qp`` (default 29) and all of :class:`npp.CodecOptions`, and

* ``exif`` (bytes or ``Image.Exif``), ``icc_profile`` (default: the picture's own), ``xmp``;
* ``recipe``, a :class:`npp.Recipe` or the name or file of one (load it once where many pictures are saved):
  stills are prepared by it and have its qp and options unless others are given (:meth:`npp.Recipe.encode`);
  what it codes smaller Pillow opens at that smaller size, and :meth:`npp.Recipe.decode` at its own;
* with ``save_all=True`` ``append_images``, ``duration`` (milliseconds, one or one per frame; default: what
  the frames say, else 100) and ``loop`` (how often it is shown; 0 for ever, ``None`` once as with Pillow's
  GIF; default: what the picture says, else 0).

An option that it does not know is a TypeError. Pillow opens the file before the picture is encoded: where an
existing file must survive a failure, save to ``io.BytesIO`` and use :func:`npp.files.write_file`.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import IO, TYPE_CHECKING, Any

import torch
from PIL import Image, ImageFile
from torch import Tensor

from npp._bpg import BPGError, DecodeError, EncodeError
from npp.checks import DEFAULT_QP, brief, is_int, kind_of
from npp.codec.animation import encode_animation, one_or_each, times_shown
from npp.codec.decoding import decode, probe
from npp.codec.encoding import encode
from npp.codec.file_inputs import BPG_MAGIC
from npp.codec.image_inputs import check_frames
from npp.codec.metadata import ImageInfo, Metadata, check_pixels, first_frame, fitting_metadata
from npp.codec.options import CodecOptions, check_known_names
from npp.codec.pil_pictures import (
    MOST_SHOWN,
    exif_to_tiff,
    frames_shown,
    has_own_color,
    iterate_frames,
    loop_count_of,
    plain,
    same_mode,
    seconds,
    seconds_or_default,
    tiff_to_exif,
    to_pil,
)

if TYPE_CHECKING:
    from npp.recipes.recipe import Recipe

_SAVE_OPTIONS = (
    "qp",
    "recipe",
    "exif",
    "icc_profile",
    "xmp",
    "save_all",
    "append_images",
    "duration",
    "loop",
)


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(BPG_MAGIC)


def _milliseconds(duration: Fraction) -> int | float:
    value = duration * 1000
    return int(value) if value.denominator == 1 else float(value)


class BpgImageFile(ImageFile.ImageFile):
    """A BPG file opened by Pillow; see the module's documentation."""

    format = "BPG"
    format_description = "Better Portable Graphics"
    # An unpickled picture has its pixels and nothing to decode: its only frame, 0, is loaded.
    _min_frame = 0
    n_frames = 1
    is_animated = False
    _frame = 0
    _loaded: int | None = 0

    def _open(self) -> None:
        assert self.fp is not None
        self._data = self.fp.read()
        if not _accept(self._data):
            raise SyntaxError("not a BPG file")
        try:
            self._bpg = probe(self._data)
        except DecodeError as error:
            raise OSError(f"damaged BPG file: {error}") from error
        self._take_form()
        self.n_frames = self._bpg.frames
        self.is_animated = self._bpg.frames > 1
        self._frames: Tensor | None = None
        self._loaded = None
        self._fill_info()
        self.tile = []

    def _take_form(self) -> None:
        """Takes the file's size and mode, which thumbnail(), putalpha() and the like change in place."""
        self._size = (self._bpg.width, self._bpg.height)
        self._mode = _mode(self._bpg)
        self.palette = None

    def _fill_info(self) -> None:
        metadata, _ = fitting_metadata(self._bpg)
        if metadata.exif is not None:
            self.info["exif"] = tiff_to_exif(metadata.exif)
        if metadata.icc_profile is not None:
            self.info["icc_profile"] = metadata.icc_profile
        if metadata.xmp is not None:
            self.info["xmp"] = metadata.xmp
        if self._bpg.animation:
            self.info["loop"] = self._bpg.loop_count
            self.info["duration"] = _milliseconds(self._bpg.durations[0])

    def seek(self, frame: int) -> None:
        """Goes to a frame, as it is in the file.

        Args:
            frame: its number, from 0 on, in any type of integer.

        Raises:
            EOFError: behind the last frame, or below 0.
            TypeError: no integer.
        """
        if isinstance(frame, bool) or not hasattr(frame, "__index__"):
            raise TypeError(f"frame must be an integer, not {brief(frame)}")
        number = operator.index(frame)
        if not self._seek_check(number):
            return
        self._take_form()
        self._loaded = None  # also where the frames between are passed over, changed pixels are forgotten
        self._frame = number
        self.info["duration"] = _milliseconds(self._bpg.durations[number])

    def tell(self) -> int:
        """The current frame's number."""
        return self._frame

    def _decoded(self) -> Tensor:
        """The current frame (C, H, W).

        The first one is decoded alone: it can be had even where all together are above the limit on pixels.
        A later one is coded as differences to those before it, so that all are decoded and kept.
        """
        if self._frames is not None:
            return self._frames[self._frame]
        dtype = torch.uint16 if self._mode == "I;16" else torch.uint8
        try:
            if self._frame == 0:
                return decode(first_frame(self._data), dtype=dtype)
            check_pixels(self._bpg)
            self._frames = decode(self._data, dtype=dtype)
        except BPGError as error:
            raise OSError(f"BPG file cannot be decoded: {error}") from error
        self._data = b""
        return self._frames[self._frame]

    def load(self) -> Any:
        """Decodes at the first call, then shows the current frame's pixels."""
        if self._loaded != self._frame:
            self.im = to_pil(self._decoded(), gray=self._mode == "LA").im
            self.readonly = 1  # a change of the pixels makes a copy: the frames stay what the file says
            self._loaded = self._frame
            if self.n_frames == 1:
                self._data = b""
            if self.fp is not None and self._exclusive_fp:
                self.fp.close()
                self.fp = None
        return super().load()


def _mode(info: ImageInfo) -> str:
    if info.chroma == "400" and not info.has_w:
        if info.has_alpha:
            return "LA"
        return "I;16" if info.bit_depth > 8 else "L"
    return "RGBA" if info.has_alpha else "RGB"


def _metadata(image: Image.Image, options: dict[str, Any]) -> Metadata:
    # As with Pillow's own formats the profile follows the picture, EXIF and XMP come when they are asked for.
    inherited = None if has_own_color(image.mode) else image.info.get("icc_profile")
    xmp = options.get("xmp")
    return Metadata(
        exif=exif_to_tiff(options.get("exif")),
        icc_profile=options.get("icc_profile", inherited) or None,
        xmp=(xmp.encode() if isinstance(xmp, str) else xmp) or None,
    )


def _codec_options(options: dict[str, Any]) -> dict[str, Any]:
    """The options of the codec; raises TypeError for one that neither the codec nor ``save`` has."""
    allowed = [*_SAVE_OPTIONS, *CodecOptions.__annotations__]
    check_known_names("unknown option", options, allowed, parts=False)
    return {name: value for name, value in options.items() if name not in _SAVE_OPTIONS}


def _recipe(recipe: Any) -> Recipe | None:
    if recipe is None:
        return None
    from npp.recipes.recipe import Recipe  # most who save pictures need none of it

    if isinstance(recipe, Recipe):
        return recipe
    if not isinstance(recipe, (str, os.PathLike)):
        kind = type(recipe).__name__
        raise TypeError(f"recipe must be an npp.Recipe, a name or path of one, or None, not {kind}")
    return Recipe.load(recipe)


def _save(image: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    _save_still(image, image.encoderinfo, fp)


def _save_still(image: Image.Image, options: dict[str, Any], fp: IO[bytes]) -> None:
    codec_options, metadata = _codec_options(options), _metadata(image, options)
    recipe = _recipe(options.get("recipe"))
    if recipe is not None:
        fp.write(recipe.encode(plain(image), options.get("qp"), metadata=metadata, **codec_options))
        return
    fp.write(encode(plain(image), options.get("qp", DEFAULT_QP), metadata=metadata, **codec_options))


def _durations(durations: Any, stored: Sequence[Any]) -> list[Fraction]:
    if durations is None:
        return [seconds_or_default(value) for value in stored]
    return [seconds(value) for value in one_or_each("duration", durations, len(stored))]


def _loop_count(options: dict[str, Any], image: Image.Image) -> int:
    loop = options.get("loop", image.info.get("loop", 0))
    if image.format == "GIF" and "loop" not in options:
        loop = loop_count_of(image)
    if loop is None:
        return 1
    if is_int(loop) and "loop" not in options:  # other formats count further
        loop = min(loop, MOST_SHOWN)
    return times_shown("loop", loop, " or None")


def _save_all(image: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    options: dict[str, Any] = image.encoderinfo
    codec_options = _codec_options(options)
    sources = [image, *_appended(options.get("append_images"))]
    check_frames(sum(map(frames_shown, sources)), image.height, image.width)
    frames, stored_durations = zip(
        *(pair for source in sources for pair in iterate_frames(source)), strict=True
    )
    if len(frames) == 1:
        _save_still(frames[0], options, fp)
        return
    if options.get("recipe") is not None:
        raise EncodeError(f"recipe prepares stills, and these are {len(frames)} frames")
    fp.write(
        encode_animation(
            same_mode(frames),
            options.get("qp", DEFAULT_QP),
            durations=_durations(options.get("duration"), stored_durations),
            loop_count=_loop_count(options, image),
            metadata=_metadata(image, options),
            **codec_options,
        )
    )


def _appended(pictures: Any) -> list[Image.Image]:
    """The pictures of ``append_images``: as for Pillow any iterable, and none for None."""
    allowed = "append_images must be None or a list of PIL images"
    if isinstance(pictures, (str, bytes, Image.Image)) or not isinstance(pictures, Iterable | None):
        raise TypeError(f"{allowed}, not {kind_of(pictures)}")
    images = [] if pictures is None else list(pictures)
    for i, picture in enumerate(images):
        if not isinstance(picture, Image.Image):
            raise TypeError(f"{allowed}; append_images[{i}] is {kind_of(picture)}")
    return images


Image.register_open(BpgImageFile.format, BpgImageFile, _accept)
Image.register_save(BpgImageFile.format, _save)
Image.register_save_all(BpgImageFile.format, _save_all)
Image.register_extension(BpgImageFile.format, ".bpg")
Image.register_mime(BpgImageFile.format, "image/bpg")
