"""The file that a picture or an animation becomes, at one qp or at the one that a rate asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from npp._bpg import EncodeError
from npp.batch.picture_quality import measure, refine_frame
from npp.batch.picture_reading import Source
from npp.batch.recipe_use import RecipeUse, picture_size
from npp.codec.animation import encode_animation
from npp.codec.decoding import probe
from npp.codec.encoding import encode
from npp.codec.metadata import ImageInfo
from npp.gradient.prediction import VIEWS

DEFAULT_QP = 29
_WORST_QP = 51


@dataclass(frozen=True)
class EncodeSettings:
    """What is asked of the encoder for every file of a batch.

    Attributes:
        qp: quantiser; ``None`` with a target or lossless.
        target_bpp: bits for each pixel of all frames that the file may have at most.
        options: codec options.
        keep_metadata: take EXIF, ICC profile and XMP along.
        measure: decode the file and report PSNR.
        refine: a network's file, as :func:`npp.batch.picture_quality.load_network` reads it; the pixels of
            stills are refined for it.
        views: the network must keep what it sees in :data:`npp.VIEWS` of a picture too.
        recipe: stills are prepared by it.
    """

    qp: int | None = None
    target_bpp: float | None = None
    options: dict[str, Any] = field(default_factory=dict)
    keep_metadata: bool = True
    measure: bool = False
    refine: str | None = None
    views: bool = True
    recipe: RecipeUse | None = None

    @property
    def usual_qp(self) -> int:
        """Where none is given."""
        return DEFAULT_QP if self.recipe is None else self.recipe.recipe.qp


def bpp_of(file: bytes, info: ImageInfo) -> float:
    """Bits of the whole file for each pixel of all frames, those of a picture before it was coded smaller."""
    height, width = picture_size(info)
    return 8 * len(file) / (width * height * info.frames)


def encode_source(source: Source, qp: int, settings: EncodeSettings) -> bytes:
    """The file of what was read, at one qp."""
    options = {**settings.options, "chroma": "400"} if source.gray else settings.options
    if source.durations is None:
        frame = source.frames[0]
        if settings.recipe is not None:
            return settings.recipe.encode(frame, qp, source.metadata, options)
        if settings.refine is not None:
            frame = refine_frame(frame, qp, settings.refine, options, VIEWS if settings.views else ())
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
    """The smallest qp whose file is not above a target, found by halving the range of qps.

    Args:
        target: bpp.
        encode_at: a qp's file and bpp.

    Raises:
        EncodeError: even qp 51 is above the target.
    """
    file, bpp = encode_at(_WORST_QP)
    if bpp > target:
        raise EncodeError(f"target_bpp is {target:g}, but qp {_WORST_QP} needs {bpp:.4g} already")
    low, best = 0, (_WORST_QP, file)
    while low < best[0]:
        middle = (low + best[0]) // 2
        file, bpp = encode_at(middle)
        if bpp <= target:
            best = (middle, file)
        else:
            low = middle + 1
    return best


def encode_to_settings(
    source: Source, settings: EncodeSettings, qp: int | None = None
) -> tuple[int | None, bytes]:
    """The qp and the file that the settings ask for; a ``qp`` goes over theirs. Lossless has none."""
    if settings.options.get("lossless"):
        return None, encode_source(source, DEFAULT_QP, settings)
    if qp is None and settings.target_bpp is None:
        qp = settings.usual_qp if settings.qp is None else settings.qp
    if qp is not None:
        return qp, encode_source(source, qp, settings)

    def encode_at(tried: int) -> tuple[bytes, float]:
        file = encode_source(source, tried, settings)
        return file, bpp_of(file, probe(file))

    assert settings.target_bpp is not None
    return smallest_qp(settings.target_bpp, encode_at)


def report_values(
    source: Source, file: bytes, qp: int | None, seconds: float, settings: EncodeSettings
) -> dict[str, Any]:
    """The report's fields about a file."""
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
    if settings.measure:
        values |= measure(source.frames, file, bit_depth=info.bit_depth)
    return values
