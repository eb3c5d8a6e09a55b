"""The units of work on many files, for loops, threads, processes and clusters.

They take files as bytes or paths and return files as bytes. They can be pickled, and the result for a file
depends on the file and the settings alone.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Sequence, Sized
from pathlib import Path

from typing_extensions import Unpack

from npp.batch.file_decoding import DecodeSettings, check_writable, decode_file, render
from npp.batch.file_encoding import EncodeSettings, encode_to_settings, report_values
from npp.batch.outcomes import FileResult
from npp.batch.picture_reading import read_source
from npp.batch.picture_writing import format_of_suffix
from npp.batch.pixel_limit import limit_on_pixels
from npp.batch.recipe_use import RecipeUse
from npp.checks import brief, flag, number_above, whole
from npp.codec.decoding import probe
from npp.codec.errors import OnError, check_on_error
from npp.codec.file_inputs import File, file_bytes, is_one
from npp.codec.limits import checked_pixels
from npp.codec.option_signature import shows_options
from npp.codec.options import CodecOptions, resolve_options, resolve_qp
from npp.recipes.parts import Parts, check_parts
from npp.recipes.recipe import Recipe
from npp.torch_state import one_thread_after_a_fork


class BatchEncoder:
    """Encodes picture files as ``npp encode`` does, and writes the same bytes.

    It works on one file after the other, with one thread of the codec: several copies of it, or several
    threads that call one, are the parallelism. A recipe's weights travel with it::

        encode = npp.batch.BatchEncoder(37, recipe="detection")
        with ProcessPoolExecutor() as pool:
            for result in pool.map(encode.one, paths):
                print(result.error or result.bits)

    Args:
        qp: 0 to 51; by default the recipe's own, or 29.
        recipe: a name, a file or a recipe that prepares stills, see :class:`npp.Recipe`.
        parts: which parts of the recipe are used, as :class:`npp.recipes.Parts` says; by default all.
        target_bpp: instead of ``qp``: the smallest qp whose file has at most this many bits per pixel.
        keep_metadata: whether EXIF, ICC profile and XMP are kept.
        max_pixels: limit on the pixels of a picture, see :func:`npp.set_max_pixels`.
        **options: codec options, which override those of the recipe.

    Raises:
        TypeError, ValueError, FileNotFoundError: an argument is wrong, or there is no such recipe.
    """

    @shows_options(defaults=False)
    def __init__(
        self,
        qp: int | None = None,
        *,
        recipe: str | os.PathLike[str] | Recipe | None = None,
        parts: Parts | None = None,
        target_bpp: float | None = None,
        keep_metadata: bool = True,
        max_pixels: int | None = None,
        **options: Unpack[CodecOptions],
    ) -> None:
        if parts is not None:
            check_parts(parts)
        resolve_options(options)
        if target_bpp is not None:
            number_above("target_bpp", target_bpp, 0)
        self.settings = EncodeSettings(
            None if qp is None else resolve_qp(qp, 1)[0],
            target_bpp,
            dict(options),
            flag("keep_metadata", keep_metadata),
            recipe=None if recipe is None else _use(recipe, parts or Parts()),
        )
        self.max_pixels = None if max_pixels is None else checked_pixels("max_pixels", max_pixels)

    @classmethod
    def from_settings(cls, settings: EncodeSettings, max_pixels: int | None = None) -> BatchEncoder:
        """The unit for settings that have been checked already."""
        unit = cls(max_pixels=max_pixels)
        unit.settings = settings
        return unit

    def encode(self, picture: File, qp: int | None = None) -> FileResult:
        """Encodes one picture.

        Args:
            picture: bytes or path of a picture file.
            qp: replaces the qp of the unit.

        Raises:
            OSError, ValueError and whatever else a picture's decoder raises for a damaged file.
        """
        one_thread_after_a_fork()
        with limit_on_pixels(self.max_pixels):
            source = read_source(file_bytes(picture, "picture"), keep_metadata=self.settings.keep_metadata)
            start = time.perf_counter()
            used, file = encode_to_settings(source, self.settings, qp)
            seconds = time.perf_counter() - start
            values, unmeasured = report_values(source, file, used, seconds, self.settings)
            return FileResult(file, values, (*source.notes, *unmeasured))

    def one(self, picture: File, qp: int | None = None) -> FileResult:
        """Encodes one picture as :meth:`encode` does; an error is returned in the result, not raised."""
        try:
            return self.encode(picture, qp)
        except Exception as error:
            return FileResult.failed(error)

    def __call__(
        self, pictures: Sequence[File], qps: Sequence[int] | None = None, *, errors: OnError = "return"
    ) -> list[FileResult]:
        """Encodes several pictures, one after the other.

        Args:
            pictures: bytes or paths of picture files.
            qps: one for each picture; replaces the qp of the unit.
            errors: ``"return"`` puts an error into the picture's result, ``"raise"`` raises it.

        Returns:
            One result for each picture, in their order.

        Raises:
            TypeError: ``pictures`` is a single picture, which :meth:`one` takes, or ``qps`` a single qp.
            ValueError: there are not as many qps as pictures, or ``errors`` is neither of these.
        """
        check_on_error(errors)
        _check_several("pictures", pictures)
        if qps is not None and not isinstance(qps, Sized):
            raise TypeError(f"qps must be one a picture, not {brief(qps)}")
        if qps is not None and len(qps) != len(pictures):
            raise ValueError(f"qps must be one a picture: {len(pictures)}, not {len(qps)}")
        work = self.one if errors == "return" else self.encode
        return [work(picture, None if qps is None else qps[at]) for at, picture in enumerate(pictures)]


class BatchDecoder:
    """Decodes BPG files into picture files as ``npp decode`` does, one file each.

    Args:
        suffix: suffix of the output: ``.png``, ``.webp``, ``.gif`` (these hold animations), ...
        bit_depth: 8, or 16 (png; gray as tif and pgm, too).
        quality: JPEG quality, 1 to 100.
        keep_metadata: whether EXIF, ICC profile and XMP are kept.
        restore_size: whether pictures that a recipe coded smaller are enlarged to their original size.
        recipe: a recipe, or the name or path of one, whose restorer is applied to the pictures; they are
            enlarged to their original size, too.
        max_pixels: limit on the pixels of a picture, see :func:`npp.set_max_pixels`.

    Raises:
        TypeError, ValueError, FileNotFoundError: an argument is wrong, or there is no such recipe.
    """

    def __init__(
        self,
        suffix: str = ".png",
        *,
        bit_depth: int = 8,
        quality: int = 95,
        keep_metadata: bool = True,
        restore_size: bool = False,
        recipe: str | os.PathLike[str] | Recipe | None = None,
        max_pixels: int | None = None,
    ) -> None:
        format_of_suffix(suffix)
        if bit_depth not in (8, 16):
            raise ValueError(f"bit_depth must be 8 or 16, not {bit_depth!r}")
        self.settings = DecodeSettings(
            suffix.lower(),
            bit_depth,
            flag("keep_metadata", keep_metadata),
            whole("quality", quality, 1, 100),
            flag("restore_size", restore_size),
            None if recipe is None else _use(recipe, Parts()).recipe,
        )
        self.max_pixels = None if max_pixels is None else checked_pixels("max_pixels", max_pixels)

    @classmethod
    def from_settings(cls, settings: DecodeSettings, max_pixels: int | None = None) -> BatchDecoder:
        """The unit for settings that have been checked already."""
        unit = cls(max_pixels=max_pixels)
        unit.settings = settings
        return unit

    def decode(self, file: File, target: str | os.PathLike[str] | None = None) -> FileResult:
        """Decodes one file.

        Args:
            file: bytes or path of a BPG file.
            target: a path whose suffix replaces that of the unit.

        Raises:
            TypeError: ``target`` is no path.
            OSError, ValueError: the file cannot be read, is damaged, or does not fit the output format.
        """
        settings = self.settings.for_target(None if target is None else _path("target", target))
        one_thread_after_a_fork()
        with limit_on_pixels(self.max_pixels):
            data = file_bytes(file, "file")
            info = probe(data)
            check_writable(info, self.settings, settings)
            decoded = decode_file(data, info, self.settings)
            written, notes = render(decoded, self.settings, settings)
        return FileResult(written, decoded.values(), (*notes, *decoded.size_notes()))

    def one(self, file: File, target: str | os.PathLike[str] | None = None) -> FileResult:
        """Decodes one file as :meth:`decode` does; an error is returned in the result, not raised."""
        try:
            return self.decode(file, target)
        except Exception as error:
            return FileResult.failed(error)

    def __call__(self, files: Sequence[File], *, errors: OnError = "return") -> list[FileResult]:
        """Decodes several files, one after the other; ``errors`` and result as for :class:`BatchEncoder`."""
        check_on_error(errors)
        _check_several("files", files)
        work = self.one if errors == "return" else self.decode
        return [work(file) for file in files]


def _path(name: str, path: object) -> Path:
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{name} must be a path or None, not {brief(path)}")
    return Path(path)


def _check_several(name: str, files: object) -> None:
    """Raises TypeError for a single file, whose letters or bytes would be taken for files."""
    if is_one(files):
        raise TypeError(f"{name} must be several files, not {brief(files)}; the method one() takes one")


def _use(recipe: str | os.PathLike[str] | Recipe, parts: Parts) -> RecipeUse:
    if isinstance(recipe, Recipe):
        # A copy: the caller's may be in training, and goes on with that.
        return RecipeUse(copy.deepcopy(recipe).eval(), parts, recipe.name)
    found = Recipe.load(recipe)
    return RecipeUse(found, parts, found.name or Path(recipe).stem)
