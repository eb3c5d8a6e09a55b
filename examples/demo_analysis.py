"""What the demo's measurements say: savings with intervals over photos, and the curve measured beforehand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from npp.evaluation import BDInterval, Evaluation, resample_bd_rate

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


def bd_rate_over(found: Evaluation, network: str, arm: str, anchor: str, drawn: Drawn) -> BDInterval:
    """The bytes that an arm needs beside another for answers equally near those on the originals.

    Raises:
        ValueError: the curves do not overlap.
    """
    ours, theirs = found.measured.arms[arm], found.measured.arms[anchor]
    key = network, "kl"
    resampled = resample_bd_rate(
        drawn.means(theirs.bpp),
        drawn.means(theirs.scores[key]),
        drawn.means(ours.bpp),
        drawn.means(ours.scores[key]),
        summarise=lambda kl: -np.log(np.maximum(kl, 1e-12)),
        samples=SAMPLES,
    )
    return resampled.interval()


@dataclass(frozen=True)
class Beforehand:
    """What `npp evaluate` measured before, as this repository ships it.

    Attributes:
        photos, source: how many photos, and the name of their folder.
        qps: at which they were coded.
        anchor, arm: results of BPG and of the recipe, lists over qps by quality.
        intervals: BD-rate against BPG by arm, network and quality.
        recipe: name of the recipe's arm.
        same_recipe: whether it was measured with the encoder settings that the recipe has now.
    """

    photos: int
    source: str
    qps: tuple[int, ...]
    anchor: dict[str, list[float]]
    arm: dict[str, list[float]]
    intervals: dict[tuple[str, str, str], BDInterval]
    recipe: str
    same_recipe: bool

    def saving(self, network: str, quality: str) -> BDInterval:
        """Percent of bytes that the recipe needs beside BPG for the same quality."""
        return self.intervals[self.recipe, network, quality]

    def parts(self, network: str) -> dict[str, float]:
        """Points of the saving at equal KL, by what they come from; together they are the whole.

        Where an arm of the recipe without its filter was not measured, map and filter are one part.
        """
        settings, whole = self.intervals["machine", network, "kl"].value, self.saving(network, "kl").value
        without_filter = self.intervals.get(("map", network, "kl"))
        if without_filter is None:
            return {"encoder settings": settings, "map and filter": whole - settings}
        by_map = without_filter.value
        return {"encoder settings": settings, "map": by_map - settings, "filter": whole - by_map}


def read_beforehand(folder: Path, recipe: str, options: Mapping[str, Any]) -> Beforehand:
    """Reads a result folder of `npp evaluate`.

    Args:
        folder: of the results.
        recipe: whose arm is meant.
        options: the codec options that the recipe has now.

    Raises:
        ValueError: there is no arm with this recipe.
        OSError: there are no such results.
    """
    summary = json.loads((folder / "summary.json").read_text())
    arm = next((one for one in summary["arms"] if one.get("recipe") == recipe), None)
    if arm is None:
        raise ValueError(f"{folder} has no arm with the recipe {recipe!r}")
    anchor = summary["anchor"]
    curves = [
        json.loads((folder / "results" / f"{name}.json").read_text())["results"]
        for name in (anchor, arm["name"])
    ]
    intervals = {
        (one["arm"], one["network"], one["quality"]): BDInterval(one["bd_rate"], one["low"], one["high"])
        for one in summary["comparisons"]
        if one["against"] == anchor and None not in (one["bd_rate"], one.get("low"), one.get("high"))
    }
    source = Path(summary["config"]["data"]["folder"]).name
    same = dict(arm["codec"]) == dict(options)
    qps = tuple(map(int, summary["qps"]))
    return Beforehand(summary["photos"], source, qps, *curves, intervals, arm["name"], same)
