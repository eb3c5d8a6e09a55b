"""Figures within sentences that say how large npp's networks and files are: those of the package itself."""

from __future__ import annotations

import json
from collections.abc import Callable

from common import ROOT
from tables import load, rung

import npp


def allocator_parameters() -> str:
    """Parameters of a new allocator."""
    return f"{npp.Allocator().parameter_count():,}"


def allocator_macs() -> str:
    """Its multiplications with addition for each pixel."""
    return f"{npp.Allocator().macs_per_pixel():,.0f}"


def allocator_time() -> str:
    """Its milliseconds for a megapixel of a camera's photo on one core."""
    return f"{load('preprocessors')['allocator']['camera_cpu_ms_per_megapixel']:.0f}"


def unet_parameters() -> str:
    """Parameters of the published filter network as it is written here."""
    return f"{load('preprocessors')['results']['unet']['parameters']:,}"


def unet_adaptive_adds() -> str:
    """The parameters that it has more where it sees the qp."""
    found = load("preprocessors")["results"]
    return f"{found['unet-adaptive']['parameters'] - found['unet']['parameters']:,}"


def filter_time() -> str:
    """Percent of the time that encoding takes by default which the filter `gains` takes."""
    gains = load("preprocessors")["results"]["gains"]["cpu_ms_per_megapixel"]
    return f"{100 * gains / rung(8)['one_thread_ms_per_mp']:.0f} %"


def narrow_filter_time() -> str:
    """Percent of the time of effort 5 that the filter of the recipe `classification` takes."""
    narrow = load("preprocessors")["results"]["gains, width 24, depth 4"]["cpu_ms_per_megapixel"]
    return f"{100 * narrow / rung(5)['one_thread_ms_per_mp']:.0f} %"


def restorer_parameters() -> str:
    """Parameters of a restorer."""
    return f"{load('preprocessors')['restorer']['parameters']:,}"


def restorer_macs() -> str:
    """Its multiplications with addition for each pixel."""
    return f"{load('preprocessors')['restorer']['macs_per_pixel']:,.0f}"


def restorer_time() -> str:
    """Its milliseconds for a megapixel on one core."""
    return f"{load('preprocessors')['restorer']['cpu_ms_per_megapixel']:.0f}"


def proxy_size() -> str:
    """Megabytes of the learned proxy's weights."""
    weights = ROOT / "python/npp/gradient/surrogates/weights/hyperprior.pt"
    return f"{weights.stat().st_size / 1e6:.1f} MB"


def weights_size() -> str:
    """Megabytes of all weights in the package."""
    weights = [path for path in (ROOT / "python/npp").rglob("weights/**/*") if path.is_file()]
    return f"{sum(path.stat().st_size for path in weights) / 1e6:.0f} MB"


def hostile_stored() -> str:
    """Hostile files that are kept in the repository."""
    return str(len(json.loads((ROOT / "tests/hostile/expected.json").read_text())))


FIGURES: dict[str, Callable[[], str]] = {
    figure.__name__: figure
    for figure in (
        allocator_parameters,
        allocator_macs,
        allocator_time,
        unet_parameters,
        unet_adaptive_adds,
        filter_time,
        narrow_filter_time,
        restorer_parameters,
        restorer_macs,
        restorer_time,
        proxy_size,
        weights_size,
        hostile_stored,
    )
}
