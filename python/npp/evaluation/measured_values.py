"""Values of every picture, and the parts of a measurement that survive an interruption."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from npp.codec.build import build_config
from npp.evaluation.judges import Axis
from npp.evaluation.real_labels import Matches
from npp.extras import PACKAGES
from npp.files import write_file
from npp.pchip import Floats

#: In place of a network's label: qualities of the decoded picture itself.
PICTURE = "picture"


@dataclass(frozen=True)
class ArmMeasurements:
    """One arm.

    Attributes:
        sizes: (qps, pictures) bytes of the whole files.
        bpp: (qps, pictures).
        scores: (qps, pictures) by network's label and score's name.
        metrics: (qps,) of all pictures together, by network's label and metric's name.
        sensitivity: (qps, pictures) log2 of how much more than others a picture loses, where the arm's map
            says it.
        matches: (qps,) with real labels, by network's label.
    """

    sizes: npt.NDArray[np.int64]
    bpp: Floats
    scores: Mapping[tuple[str, str], Floats]
    metrics: Mapping[tuple[str, str], Floats]
    sensitivity: Floats | None = None
    matches: Mapping[str, tuple[Matches, ...]] = field(default_factory=dict)

    def points(self, axis: Axis) -> Floats:
        """(qps,) values of a quality, as they are."""
        key = axis.network, axis.name
        return self.metrics[key] if axis.dataset else self.scores[key].mean(axis=1)


@dataclass(frozen=True)
class Measurements:
    """All arms on the same pictures.

    Attributes:
        qps: rising.
        pictures: the photos' paths below their folder, in the order of the arrays.
        axes: the qualities that were measured.
        arms: by name.
        clean: qualities of the originals against real labels, by network's label and name.
    """

    qps: tuple[int, ...]
    pictures: tuple[str, ...]
    axes: tuple[Axis, ...]
    arms: Mapping[str, ArmMeasurements]
    clean: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def primary(self, network: str) -> Axis:
        """The quality on which a network's comparisons are quoted."""
        return next(axis for axis in self.axes if axis.network == network and axis.primary)

    def save(self, path: Path) -> None:
        """Writes everything as a compressed .npz; names are ``arm/bpp``, ``arm/network/score``."""
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "qps": np.array(self.qps),
            "pictures": np.array(self.pictures),
        }
        for name, arm in self.arms.items():
            arrays[f"{name}/bytes"], arrays[f"{name}/bpp"] = arm.sizes, arm.bpp
            for (network, score), values in (*arm.scores.items(), *arm.metrics.items()):
                arrays[f"{name}/{network}/{score}"] = values
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        write_file(path, buffer.getvalue(), force=True)


def digest(value: Any) -> str:
    """A short hash of a JSON value, the same for the same value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


_BUILD = ("npp_version", "npp_commit", "x265_version", "x265_build", "libavcodec_version")
_ALWAYS = ("torch", "numpy", "pillow")


def _judging() -> dict[str, tuple[str, ...]]:
    """The packages that networks and scores come from, with what they may be installed by."""
    return {name: (name, *package.other_names) for name, package in PACKAGES.items() if package.judges}


def _installed(names: Iterable[str]) -> str | None:
    """The version of what is installed by one of the names."""
    for name in names:
        with suppress(PackageNotFoundError):
            return version(name)
    return None


def versions() -> dict[str, str | None]:
    """Of all that may change what is measured: npp's commit, the codec's parts, packages of networks.

    Packages that are not installed are left out.
    """
    build = build_config()
    names = {name: (name,) for name in _ALWAYS} | _judging()
    packages = {name: _installed(known_as) for name, known_as in names.items()}
    there = {name: found for name, found in packages.items() if found is not None}
    return {name: build.get(name) for name in _BUILD} | there


class PartStore:
    """One file for each finished part; a file is there whole or not at all.

    Parts of other :func:`versions` are not found, and damaged ones are as good as missing.

    Args:
        folder: made when the first part is saved.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._versions = versions()

    def _path(self, key: Any) -> Path:
        return self._folder / f"{digest([self._versions, key])}.part"

    def load(self, key: Any) -> Any:
        """The part saved under a key, or ``None``.

        Args:
            key: a JSON value that says all that the part depends on.
        """
        path = self._path(key)
        try:
            packed = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return torch.load(io.BytesIO(zlib.decompress(packed)), map_location="cpu", weights_only=True)
        except Exception:  # of a file that it has not written torch says anything
            warnings.warn(f"{path} is damaged; what was in it is measured again", stacklevel=2)
            return None

    def save(self, key: Any, part: Any) -> None:
        """Keeps a part: dicts and lists of tensors, numbers and strings."""
        buffer = io.BytesIO()
        torch.save(part, buffer)
        self._folder.mkdir(parents=True, exist_ok=True)
        write_file(self._path(key), zlib.compress(buffer.getvalue(), 1), force=True)
