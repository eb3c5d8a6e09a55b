"""What the demo's measurements say: savings with intervals over photos, and the curve measured beforehand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from npp.evaluation import BDInterval, resample_bd_rate
from npp.evaluation.bd_rate import picture_weights
from npp.evaluation.measured_values import ArmMeasurements, Measurements

Floats = npt.NDArray[np.float64]

SAMPLES = 1000
# With fewer photos than these their squares are resampled instead; an interval over fewer says nothing.
_FEWEST = 5


@dataclass(frozen=True)
class Drawn:
    """What the intervals resample.

    Attributes:
        groups: (pictures,) the number of the group that each picture belongs to.
        what: the groups in words.
        by_photo: whether the groups are photos; squares of one photo are alike, so that intervals over
            squares are too narrow.
    """

    groups: npt.NDArray[np.int64]
    what: str
    by_photo: bool

    @classmethod
    def of(cls, pictures: Sequence[str], photos: Mapping[str, str]) -> Drawn:
        """Photos where there are enough of them.

        Args:
            pictures: names of the squares' files, in the order of the measurements.
            photos: the photo's name by the file's name.
        """
        names = [photos[Path(picture).name] for picture in pictures]
        known = sorted(set(names))
        if len(known) < _FEWEST:
            return cls(np.arange(len(names)), f"{len(names)} squares of {len(known)} photos", False)
        return cls(np.array([known.index(name) for name in names]), f"{len(known)} photos", True)

    def means(self, values: Floats) -> Floats:
        """(points, pictures) values as (points, groups) means."""
        counts = np.bincount(self.groups)
        return np.stack([np.bincount(self.groups, row) / counts for row in values])


def bd_rate_over(measured: Measurements, network: str, arm: str, anchor: str, drawn: Drawn) -> BDInterval:
    """The bytes that an arm needs beside another for answers equally near those on the originals.

    Raises:
        ValueError: the curves do not overlap.
    """
    ours, theirs = measured.arms[arm], measured.arms[anchor]
    key = network, "kl"
    found = resample_bd_rate(
        drawn.means(theirs.bpp),
        drawn.means(theirs.scores[key]),
        drawn.means(ours.bpp),
        drawn.means(ours.scores[key]),
        summarise=lambda kl: -np.log(np.maximum(kl, 1e-12)),
        samples=SAMPLES,
    )
    return found.interval()


@dataclass(frozen=True)
class SameAnswer:
    """The fewest bytes down to which the network gives the answer that it gives on the original.

    Attributes:
        change: percent of bytes (geometric mean over photos), or ``None`` where too few pictures tell.
        groups: photos, or squares where these are resampled, that the change is of.
        used, pictures: on how many pictures of how many; of the others both arms lose the answer at the
            finest qp or keep it at the coarsest.
    """

    change: BDInterval | None
    groups: int
    used: int
    pictures: int


def _fewest(arm: ArmMeasurements, network: str) -> tuple[npt.NDArray[np.int64], Floats]:
    """(pictures,) how many qps from the finest on keep the answer, and the bytes at the last of them."""
    same = arm.scores[network, "agreement"] > 0.5
    kept = np.cumprod(same, axis=0).sum(axis=0)
    sizes = arm.sizes[np.maximum(kept - 1, 0), np.arange(same.shape[1])]
    return kept, sizes.astype(np.float64)


def same_answer(measured: Measurements, network: str, arm: str, anchor: str, drawn: Drawn) -> SameAnswer:
    """Compares the fewest bytes of two arms, picture by picture."""
    most = len(measured.qps)
    (ours, our_bytes), (theirs, their_bytes) = (_fewest(measured.arms[one], network) for one in (arm, anchor))
    # An arm that fails at the finest qp has no bytes; two that reach the last qp do not differ by answers.
    usable = (ours > 0) & (theirs > 0) & ((ours < most) | (theirs < most))
    count = len(np.unique(drawn.groups[usable]))
    if count < _FEWEST:
        return SameAnswer(None, count, int(usable.sum()), len(usable))
    logs = np.log(our_bytes / their_bytes)[usable]
    groups = np.unique(drawn.groups[usable], return_inverse=True)[1]
    means = np.bincount(groups, logs) / np.bincount(groups)
    drawn_means = 100 * (np.exp(means @ picture_weights(len(means), SAMPLES, 0)) - 1)
    low, high = np.quantile(drawn_means[1:], [0.025, 0.975])
    change = BDInterval(float(drawn_means[0]), float(low), float(high))
    return SameAnswer(change, count, int(usable.sum()), len(usable))


@dataclass(frozen=True)
class Beforehand:
    """A curve that `npp evaluate` measured before, as this repository ships it.

    Attributes:
        photos, source: how many photos, and the name of their folder.
        anchor, arm: results of BPG and of the recipe, lists over qps by quality.
        intervals: BD-rate of the recipe against BPG by network and quality.
        same_recipe: whether it was measured with the encoder settings that the recipe has now.
    """

    photos: int
    source: str
    anchor: dict[str, list[float]]
    arm: dict[str, list[float]]
    intervals: dict[tuple[str, str], BDInterval]
    same_recipe: bool


def read_beforehand(folder: Path, recipe: str, options: Mapping[str, Any]) -> Beforehand | None:
    """Reads a result folder of `npp evaluate`; ``None`` where there is none with this recipe."""
    if not (folder / "summary.json").is_file():
        return None
    summary = json.loads((folder / "summary.json").read_text())
    arm = next((one for one in summary["arms"] if one.get("recipe") == recipe), None)
    if arm is None:
        return None
    curves = [
        json.loads((folder / "results" / f"{name}.json").read_text())["results"]
        for name in (summary["anchor"], arm["name"])
    ]
    intervals = {
        (one["network"], one["quality"]): BDInterval(one["bd_rate"], one["low"], one["high"])
        for one in summary["comparisons"]
        if (one["arm"], one["against"]) == (arm["name"], summary["anchor"])
        and None not in (one["bd_rate"], one.get("low"), one.get("high"))
    }
    source = Path(summary["config"]["data"]["folder"]).name
    same = dict(arm["codec"]) == dict(options)
    return Beforehand(summary["photos"], source, *curves, intervals, same)
