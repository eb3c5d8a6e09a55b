"""Bits shared over a whole set in two passes: every picture's curve first, then every file at its own qp."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from typing_extensions import Self

from npp import checks
from npp.allocation.sharing import share_bits
from npp.batch.file_encoding import EncodeSettings, encode_source
from npp.batch.named_judges import NamedJudge
from npp.batch.outcomes import FileResult
from npp.batch.picture_curves import PictureCurve, arguments_about_losses, bits_of, total_bits
from npp.batch.picture_reading import read_source
from npp.batch.pixel_limit import limit_on_pixels
from npp.batch.rate_sampling import SamplingGoal, sample_curve
from npp.batch.recipe_use import asks_allocator
from npp.integrations.ray.ray_columns import names_in

_SAMPLED = 4  # one picture of so many shows what the codec's own effort takes
_SAMPLED_QP = 34


@dataclass(frozen=True)
class Sharing:
    """What all files together may take.

    Attributes:
        total_bytes: of all files; ``None`` with ``mean_bpp``.
        mean_bpp: all bits for each pixel of all pictures.
        predicted: the recipe's allocator says which pictures lose more than others; ``None``, the default,
            where there is a recipe with an allocator and no judge.
        judge: a network says so instead, as of ``npp encode --judge``: every worker loads it, so that a file
            must be where all machines find it, and a YAML file must name others by their whole paths.

    Raises:
        ValueError: not one of both, or no number above 0; a judge and ``predicted``.
    """

    total_bytes: float | None = None
    mean_bpp: float | None = None
    predicted: bool | None = None
    judge: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        fields = {"total_bytes": self.total_bytes, "mean_bpp": self.mean_bpp}
        limits = {name: value for name, value in fields.items() if value is not None}
        if len(limits) != 1:
            raise ValueError(
                "one of total_bytes and mean_bpp must be given, "
                f"not {self.total_bytes!r} and {self.mean_bpp!r}"
            )
        for name, value in limits.items():
            checks.number_above(name, value, 0)
        if self.predicted is not None:
            checks.flag("predicted", self.predicted)
        if self.judge is not None and self.predicted:
            raise ValueError("judge and predicted exclude each other: the network says what is lost")

    def probing(self, settings: EncodeSettings) -> SamplingGoal:
        """What is found out about each picture.

        Raises:
            ValueError: an allocator is asked for and there is none, or the judge cannot be loaded.
            ImportError, OSError: the judge lacks a package or a file.
        """
        if self.judge is not None:
            judge = NamedJudge.of(os.fspath(self.judge))
            judge.check()
            return SamplingGoal(keep=judge)
        refusal = "sharing.predicted needs a recipe that has an allocator"
        return SamplingGoal(asks_allocator(settings.recipe, self.predicted, refusal))


@dataclass(frozen=True)
class SampledCurve:
    """A picture's curve, and of some pictures what the codec's own effort takes.

    Attributes:
        curve: by quick encodes.
        sampled: bytes of a file as it will be, at one qp for all pictures that have one.
    """

    curve: PictureCurve
    sampled: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The fields for JSON."""
        return {**self.curve.as_json(), **({} if self.sampled is None else {"sampled": self.sampled})}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """The curve of the fields that :meth:`as_json` gives."""
        return cls(PictureCurve.from_json(fields), fields.get("sampled"))


class Probe:
    """A unit that gives a picture's :class:`SampledCurve` as JSON in place of a file.

    Args:
        settings: of the encoder.
        sampling: what is found out beside the sizes.
        max_pixels: as of :class:`npp.batch.BatchEncoder`.
    """

    def __init__(self, settings: EncodeSettings, sampling: SamplingGoal, max_pixels: int | None) -> None:
        self._settings, self._sampling, self._max_pixels = settings, sampling, max_pixels

    def one(self, data: bytes) -> FileResult:
        """The curve of a picture file; what goes wrong is in the result."""
        try:
            with limit_on_pixels(self._max_pixels):
                source = read_source(data, keep_metadata=self._settings.keep_metadata)
                curve = SampledCurve(sample_curve(source, self._settings, self._sampling))
                if zlib.crc32(data) % _SAMPLED == 0:
                    file = encode_source(source, _SAMPLED_QP, self._settings)
                    curve = replace(curve, sampled=len(file))
            return FileResult(json.dumps(curve.as_json()).encode())
        except Exception as error:
            return FileResult.failed(error)


def shared_qps(sampled: Mapping[str, SampledCurve], sharing: Sharing) -> dict[str, int]:
    """The qp of every picture.

    Args:
        sampled: by input, as :class:`Probe` gives them.
        sharing: what all may take.

    Raises:
        ValueError: less than all take at qp 51.
    """
    names = sorted(sampled)
    if not names:
        return {}
    curves = [sampled[name].curve for name in names]
    bits = bits_of(curves)
    sizes = {row: size for row, name in enumerate(names) if (size := sampled[name].sampled) is not None}
    if sizes:
        bits *= 8 * sum(sizes.values()) / bits[list(sizes), _SAMPLED_QP].sum()
    total = total_bits(curves, sharing.total_bytes, sharing.mean_bpp)
    shared = share_bits(bits, total, **arguments_about_losses(curves))
    return {name: int(qp) for name, qp in zip(names, shared.qps, strict=True)}


@dataclass(frozen=True)
class SharedQps:
    """The qps of all pictures.

    Attributes:
        qps: by input.
        errors: why a picture has none, by input.
    """

    qps: Mapping[str, int]
    errors: Mapping[str, str]

    def of(self, name: str) -> int:
        """The qp of a picture.

        Raises:
            ValueError: it has none; another one than the shared would take bits that nobody has counted.
        """
        if name not in self.qps:
            raise ValueError(self.errors.get(name, f"no qp was chosen for {name}"))
        return self.qps[name]


def chosen(tables: Iterable[Any], sharing: Sharing) -> SharedQps:
    """The qps of pictures.

    Args:
        tables: with the columns ``input``, ``curve`` and ``error``, as workers of :class:`Probe` give them.
        sharing: what all may take.

    Raises:
        ValueError: less than all take at qp 51.
    """
    curves: dict[str, SampledCurve] = {}
    errors: dict[str, str] = {}
    for table in tables:
        columns = (names_in(table, "input"), table["curve"].to_pylist(), table["error"].to_pylist())
        for name, curve, error in zip(*columns, strict=True):
            if curve is None:
                errors[name] = error
            else:
                curves[name] = SampledCurve.from_json(json.loads(curve))
    return SharedQps(shared_qps(curves, sharing), errors)
