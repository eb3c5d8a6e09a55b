"""One file to encode: its picture, the search for a rate, its quality, refinement."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from npp._bpg import EncodeError
from npp.cli.file_reports import WRITTEN, FileReport, UsageError
from npp.cli.output_files import Job, WritePolicy, write
from npp.cli.picture_reading import Source, read_source
from npp.cli.recipe_use import RecipeUse
from npp.codec.animation import encode_animation
from npp.codec.decoding import decode, probe
from npp.codec.encoding import encode
from npp.codec.image_inputs import CodecImage, SingleImage
from npp.gradient.prediction import VIEWS, View, keep_prediction
from npp.gradient.refinement import refine
from npp.recipes.picture_floats import restored
from npp.recipes.size_extension import bpp_of, picture_size

Floats = npt.NDArray[np.float64]


def _largest(samples: npt.NDArray[Any]) -> int:
    """What stands for 1."""
    return 1 if np.issubdtype(samples.dtype, np.floating) else np.iinfo(samples.dtype).max


def _unit(samples: npt.NDArray[Any]) -> Floats:
    """Samples on the scale from 0 to 1."""
    return samples.astype(np.float64) / _largest(samples)


def _squared_errors(source: Floats, decoded: Floats) -> tuple[Floats, Floats | None]:
    """Squared errors of colour and of alpha of one picture; gray stands for equal R, G and B."""
    color = (source[:3] if source.shape[0] > 1 else source) - decoded[:3]
    alpha = (source[3] - decoded[3]) ** 2 if source.shape[0] == decoded.shape[0] == 4 else None
    return color**2, alpha


def _psnr(errors: list[Floats]) -> float | None:
    mse = float(np.mean([error.mean() for error in errors]))
    return -10 * math.log10(mse) if mse > 0 else None


def measure(frames: list[SingleImage], file: bytes, *, bit_depth: int) -> dict[str, float | None]:
    """PSNR in dB over all frames, with a peak of 1; ``None`` where there is no error.

    Args:
        frames: the source pictures.
        file: what they were encoded to.
        bit_depth: of the file; above 8 the decoder's 16-bit output is compared, else its 8-bit output.

    Returns:
        ``psnr`` of the colour (of all pixels, transparent ones too) and, with alpha, ``alpha_psnr``.
    """
    decoded = restored(decode(file, dtype=torch.uint16 if bit_depth > 8 else torch.uint8, threads=1), file)
    pictures = decoded if decoded.ndim == 4 else decoded[None]
    pairs = [
        _squared_errors(_unit(CodecImage(frame, "frame").samples), _unit(picture.numpy()))
        for frame, picture in zip(frames, pictures, strict=True)
    ]
    result = {"psnr": _psnr([color for color, _ in pairs])}
    alphas = [alpha for _, alpha in pairs if alpha is not None]
    return {**result, "alpha_psnr": _psnr(alphas)} if alphas else result


@lru_cache(maxsize=2)
def load_network(path: str) -> Callable[[Tensor], Tensor]:
    """A network saved by ``torch.export.save``: RGB pictures in [0, 1] to logits.

    It must take (1, 3, H, W) of every size that comes (``dynamic_shapes``), and give (1, classes) or
    (1, classes, ...).

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return torch.export.load(path).module()
    except Exception as error:  # whatever the bytes make of the unpacking
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UsageError(f"--refine: {path} is not a file of torch.export.save: {reason}") from None


def refine_frame(
    frame: SingleImage, qp: int, path: str, options: dict[str, Any], views: Sequence[View]
) -> Tensor:
    """A picture refined for a network: floats (C, H, W) in [0, 1].

    Alpha is left alone by the network; gray is shown to it as RGB.
    """
    network = load_network(path)
    samples = CodecImage(frame, "image").samples
    x = torch.from_numpy(samples.astype(np.float32))[None] / _largest(samples)

    def see(pictures: Tensor) -> Tensor:
        color = pictures.expand(-1, 3, -1, -1) if pictures.shape[1] == 1 else pictures[:, :3]
        return network(color)

    return refine(x, qp, keep_prediction(see, x, views), threads=1, **options).x[0]


DEFAULT_QP = 29
_WORST_QP = 51
_FIRST_QP = 30
_QPS_A_HALVING = 6  # of the bits of a photo
_MOST_FILES = 7


@dataclass(frozen=True)
class EncodeSettings:
    """What the command line asks of the encoder.

    Attributes:
        qp: quantiser; ``None`` with a target or lossless.
        target_bpp: bits for each pixel of all frames that the file may have at most.
        options: codec options.
        keep_metadata: take EXIF, ICC profile and XMP along.
        measure: decode the file and report PSNR.
        refine: a network's file, see :mod:`npp.cli.encode_job`; the pixels of stills are refined for it.
        views: the network must keep what it sees in :data:`npp.VIEWS` of a picture too.
        recipe: stills are prepared by it.
    """

    qp: int | None
    target_bpp: float | None
    options: dict[str, Any]
    keep_metadata: bool
    measure: bool
    refine: str | None = None
    views: bool = True
    recipe: RecipeUse | None = None

    @property
    def usual_qp(self) -> int:
        """Where none is given."""
        return DEFAULT_QP if self.recipe is None else self.recipe.recipe.qp


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
        raise EncodeError(f"--for prepares stills, and this is an animation of {len(source.frames)} frames")
    return encode_animation(
        source.frames,
        qp,
        durations=source.durations,
        loop_count=source.loop_count,
        metadata=source.metadata,
        **options,
    )


def smallest_qp(target: float, encode_at: Callable[[int], tuple[bytes, float]]) -> tuple[int, bytes]:
    """The smallest qp whose file is not above a target, looked for where the files so far say that it is.

    Four files for most photos, and never more than the seven that halving the range of qps takes.

    Args:
        target: bpp.
        encode_at: a qp's file and bpp.

    Raises:
        EncodeError: even qp 51 is above the target.
    """
    low, high, best = 0, _WORST_QP + 1, b""  # below low no file fits; that of high does
    known: dict[int, float] = {}
    while low < high:
        # What is left after this file must be found by halving with the files that are left.
        reach = 1 << (_MOST_FILES - 1 - len(known))
        qp = _likely_qp(target, known)
        qp = min(max(qp, low, high - reach), high - 1, low + reach - 1)
        file, known[qp] = encode_at(qp)
        if known[qp] <= target:
            high, best = qp, file
        else:
            low = qp + 1
    if high > _WORST_QP:
        needed = known[_WORST_QP]
        raise EncodeError(f"target_bpp is {target:g}, but qp {_WORST_QP} needs {needed:.4g} already")
    return high, best


def _likely_qp(target: float, known: dict[int, float]) -> int:
    """Where a line through the logarithms of the two bpp next to the target meets it."""
    if not known or not target > 0:
        return _FIRST_QP
    near = sorted(known, key=lambda qp: abs(math.log2(known[qp] / target)))[:2]
    slope = -1 / _QPS_A_HALVING
    if len(near) == 2 and known[near[0]] != known[near[1]]:
        measured = math.log2(known[near[0]] / known[near[1]]) / (near[0] - near[1])
        slope = min(max(measured, 3 * slope), slope / 3)
    return math.ceil(near[0] + math.log2(target / known[near[0]]) / slope)


def _encode_to_settings(source: Source, settings: EncodeSettings) -> tuple[int | None, bytes]:
    if settings.options.get("lossless"):
        return None, encode_source(source, DEFAULT_QP, settings)
    if settings.target_bpp is None:
        qp = settings.usual_qp if settings.qp is None else settings.qp
        return qp, encode_source(source, qp, settings)

    def encode_at(qp: int) -> tuple[bytes, float]:
        file = encode_source(source, qp, settings)
        return file, bpp_of(file, probe(file))

    return smallest_qp(settings.target_bpp, encode_at)


def _summary(job: Job, values: dict[str, Any]) -> str:
    quality = f", {values['psnr']:.2f} dB" if values.get("psnr") is not None else ""
    how = "lossless" if values["qp"] is None else f"qp {values['qp']}"
    small = (values.get("coded_width"), values.get("coded_height"))
    smaller = (
        f", {small[0]}x{small[1]}" if small not in ((None, None), (values["width"], values["height"])) else ""
    )
    return (
        f"{job.source} -> {job.target_name}: {values['bytes']} bytes, {values['bpp']:.3f} bpp, "
        f"{how}{smaller}{quality}"
    )


def report_values(
    source: Source, file: bytes, qp: int | None, seconds: float, settings: EncodeSettings
) -> Any:
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


def written(job: Job, source: Source, values: dict[str, Any]) -> FileReport:
    """The report of a file that is there."""
    return FileReport(
        str(job.source), job.target_name, WRITTEN, None, source.notes, values, _summary(job, values)
    )


def encode_job(job: Job, settings: EncodeSettings, policy: WritePolicy) -> FileReport:
    """Reads, encodes and writes one file. Raises whatever goes wrong."""
    source = read_source(job.source.read(), keep_metadata=settings.keep_metadata)
    start = time.perf_counter()
    qp, file = _encode_to_settings(source, settings)
    elapsed = time.perf_counter() - start
    values = report_values(source, file, qp, elapsed, settings)
    write(job.target, file, policy)
    return written(job, source, values)
