"""Encoding of a picture or an animation, at a given qp or at the smallest qp that meets a rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from npp._bpg import EncodeError
from npp.batch.picture_quality import measure_psnr
from npp.batch.picture_reading import Source
from npp.batch.recipe_use import RecipeUse
from npp.batch.refined_frames import refine_frame, refined_by_recipe
from npp.checks import DEFAULT_QP, MAX_QP, QP_COUNT
from npp.codec.animation import encode_animation
from npp.codec.decoding import probe
from npp.codec.encoding import encode
from npp.gradient.prediction import VIEWS
from npp.recipes.size_extension import bpp_of, picture_size
from npp.torch_state import memory_error_names

_FIRST_QP = 30
_QPS_A_HALVING = 6  # of the bits of a photo
_MOST_FILES = 7


class ExclusiveSettingsError(ValueError):
    """Settings that exclude each other were given together.

    Args:
        names: names of these settings.
        message: the message; by default it only says that they exclude each other.
    """

    def __init__(self, names: Sequence[str], message: str | None = None) -> None:
        super().__init__(names, message)  # another process makes it from these
        self.names = tuple(names)
        self._message = message or exclusion_of(names)

    def __str__(self) -> str:
        return self._message


def exclusion_of(names: Sequence[str]) -> str:
    """The sentence that settings or options of these names, two at least, exclude each other."""
    return f"{', '.join(names[:-1])} and {names[-1]} exclude each other"


@dataclass(frozen=True)
class EncodeSettings:
    """The settings with which all files of a batch are encoded.

    Attributes:
        qp: 0 to 51; ``None`` with a target, with lossless, or for the usual qp.
        target_bpp: the most bits per pixel, over all frames, that the file may have.
        options: codec options.
        keep_metadata: whether EXIF, ICC profile and XMP are kept.
        measure: whether the file is decoded to report its PSNR.
        refine: a network's file, as :func:`npp.batch.refined_frames.load_exported` reads it; the pixels of
            stills are refined for it, with a recipe its map instead.
        views: whether the network must keep what it sees in :data:`npp.VIEWS` of a picture too.
        recipe: the recipe that prepares stills.

    Raises:
        ExclusiveSettingsError: more than one of ``qp``, ``target_bpp`` and lossless is given, or lossless
            together with ``refine`` or ``recipe``.
    """

    qp: int | None = None
    target_bpp: float | None = None
    options: dict[str, Any] = field(default_factory=dict)
    keep_metadata: bool = True
    measure: bool = False
    refine: str | None = None
    views: bool = True
    recipe: RecipeUse | None = None

    def __post_init__(self) -> None:
        lossless = bool(self.options.get("lossless"))
        if sum([self.qp is not None, self.target_bpp is not None, lossless]) > 1:
            raise ExclusiveSettingsError(("qp", "target_bpp", "lossless"))
        if lossless and self.refine is not None:
            raise ExclusiveSettingsError(("refine", "lossless"))
        if lossless and self.recipe is not None:
            raise ExclusiveSettingsError(
                ("recipe", "lossless"), "lossless must be False with a recipe, which changes what is coded"
            )

    @property
    def usual_qp(self) -> int:
        """The qp if none is given."""
        return DEFAULT_QP if self.recipe is None else self.recipe.recipe.qp

    def for_several_qps(self) -> EncodeSettings:
        """These settings for a search over the qps of one file; to be dropped after it."""
        return self if self.recipe is None else replace(self, recipe=self.recipe.for_several_qps())


def encode_source(source: Source, qp: int, settings: EncodeSettings) -> bytes:
    """The file of a source at one qp.

    Raises:
        MemoryError: memory ran out; the message names the step and the size of the picture.
    """
    with memory_error_names("encoding", *source.size):
        return _encoded(source, qp, settings)


def _encoded(source: Source, qp: int, settings: EncodeSettings) -> bytes:
    options = {**settings.options, "chroma": "400"} if source.gray else settings.options
    if source.durations is None:
        frame = source.frames[0]
        views = VIEWS if settings.views else ()
        if settings.recipe is not None and settings.refine is not None:
            use, network = settings.recipe, settings.refine
            return refined_by_recipe(frame, qp, network, use, source.metadata, options, views)
        if settings.recipe is not None:
            return settings.recipe.encode(frame, qp, source.metadata, options)
        if settings.refine is not None:
            frame = refine_frame(frame, qp, settings.refine, options, views)
        return encode(frame, qp, metadata=source.metadata, threads=1, errors="raise", **options)
    if settings.recipe is not None:
        raise EncodeError(
            f"a recipe prepares stills, and this is an animation of {len(source.frames)} frames"
        )
    return encode_animation(
        source.frames,
        qp,
        durations=source.durations,
        loop_count=source.loop_count,
        metadata=source.metadata,
        **options,
    )


def smallest_qp(target: float, encode_at: Callable[[int], tuple[bytes, float]]) -> tuple[int, bytes]:
    """The smallest qp whose file is not above a target, and that file.

    Each file shows where to look next: most photos need four files, and none needs more than the seven that
    halving the range of qps takes.

    Args:
        target: the most bits per pixel.
        encode_at: returns the file of a qp and its bits per pixel.

    Raises:
        EncodeError: even qp 51 is above the target.
    """
    low, high, best = 0, QP_COUNT, b""  # files of qps below low do not fit; that of high does
    known: dict[int, float] = {}
    while low < high:
        # Halving with the remaining files must be able to find the answer in either part.
        reach = 1 << (_MOST_FILES - 1 - len(known))
        qp = _likely_qp(target, known)
        qp = min(max(qp, low, high - reach), high - 1, low + reach - 1)
        file, known[qp] = encode_at(qp)
        if known[qp] <= target:
            high, best = qp, file
        else:
            low = qp + 1
    if high > MAX_QP:
        needed = known[MAX_QP]
        raise EncodeError(f"target_bpp is {target:g}, but qp {MAX_QP} needs {needed:.4g} already")
    return high, best


def _likely_qp(target: float, known: dict[int, float]) -> int:
    """The qp at which a line through the two known log bpp nearest to the target meets the target."""
    if not known or not target > 0:
        return _FIRST_QP
    near = sorted(known, key=lambda qp: abs(math.log2(known[qp] / target)))[:2]
    slope = -1 / _QPS_A_HALVING
    if len(near) == 2 and known[near[0]] != known[near[1]]:
        measured = math.log2(known[near[0]] / known[near[1]]) / (near[0] - near[1])
        slope = min(max(measured, 3 * slope), slope / 3)
    return math.ceil(near[0] + math.log2(target / known[near[0]]) / slope)


def encode_to_settings(
    source: Source, settings: EncodeSettings, qp: int | None = None
) -> tuple[int | None, bytes]:
    """The qp and the file for the settings; ``qp`` overrides theirs. A lossless file has no qp."""
    if settings.options.get("lossless"):
        return None, encode_source(source, DEFAULT_QP, settings)
    if qp is None and settings.target_bpp is None:
        qp = settings.usual_qp if settings.qp is None else settings.qp
    if qp is not None:
        return qp, encode_source(source, qp, settings)

    searched = settings.for_several_qps()

    def encode_at(tried: int) -> tuple[bytes, float]:
        file = encode_source(source, tried, searched)
        return file, bpp_of(file, probe(file))

    assert settings.target_bpp is not None
    return smallest_qp(settings.target_bpp, encode_at)


def report_values(
    source: Source, file: bytes, qp: int | None, seconds: float, settings: EncodeSettings
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields of the report about a file, and notes about what could not be measured."""
    info = probe(file)
    height, width = picture_size(info)
    values: dict[str, Any] = {
        "width": width,
        "height": height,
        "frames": info.frames,
        "qp": qp,
        "bytes": len(file),
        "bpp": bpp_of(file, info),
        "seconds": seconds,
    }
    if settings.recipe is not None:
        values |= {**settings.recipe.as_json(), "coded_width": info.width, "coded_height": info.height}
    if not settings.measure:
        return values, ()
    try:
        with memory_error_names("measuring the PSNR of", height, width):
            return values | measure_psnr(source.frames, file, bit_depth=info.bit_depth), ()
    except MemoryError as error:  # the file is good and took long to make, so it is kept
        return values | {"psnr": None}, (f"PSNR not measured: {error}",)
