"""Figures that stand within sentences of the documentation, from docs/results."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable
from typing import Any

from recipe_tables import against_bpg, parts
from tables import RESULTS, listed, load, rung

_UNSEEN = "efficientnet-lite2"


def effort_1_ms() -> str:
    """Milliseconds a megapixel and thread."""
    return f"{rung(1)['one_thread_ms_per_mp']:.0f}"


def effort_8_ms() -> str:
    """The same of the default."""
    return f"{rung(8)['one_thread_ms_per_mp']:.0f}"


def effort_1_time() -> str:
    """Percent of the time that the default effort takes."""
    part = rung(1)["one_thread_ms_per_mp"] / rung(8)["one_thread_ms_per_mp"]
    return f"{100 * part:.0f} %"


def effort_1_bits() -> str:
    """Percent more bits than the default effort at equal PSNR of the luma, both against bpgenc's."""
    more = (1 + rung(1)["bd_rate_y"] / 100) / (1 + rung(8)["bd_rate_y"] / 100) - 1
    return f"{100 * more:.0f} %"


def goals_reached() -> str:
    """The fastest efforts that reach the three goals, by PSNR of luma and of RGB."""
    rungs = sorted(load("efforts")["rungs"], key=lambda row: -row["speed_up_over_temp_files"])
    found = []
    for speed, rate in ((4, 0.5), (6.8, 4.7), (43, 29)):
        efforts = (
            str(row["effort"])
            for row in rungs
            if round(row["speed_up_over_temp_files"], 1) >= speed
            and max(row["bd_rate_y"], row["bd_rate_rgb"]) <= rate
        )
        found.append(next(efforts, "none"))
    return listed(found)


def overhead_missed() -> str:
    """The calls of small pictures that take more time beyond their work in C++ than was asked for."""
    most = {64: 10, 512: 3}
    missed = [
        f"{row['side']}x{row['side']} in a batch of {row['batch']} at effort {row['effort']}"
        for row in load("codec")["overhead"]
        if row["percent"] > most.get(row["side"], 100)
    ]
    return listed(missed or ["none"])


def _saved(task: str, network: str, arm: str = "recipe", quality: str = "kl") -> dict[str, Any]:
    """The comparison of an arm with BPG as bpgenc writes it."""
    return against_bpg(task)[network, arm, quality]


def unseen_classifier() -> str:
    """What the recipe saves a classifier that took no part."""
    return f"{-_saved('classification', _UNSEEN)['bd_rate']:.0f} %"


def unseen_classifier_interval() -> str:
    """Its interval."""
    row = _saved("classification", _UNSEEN)
    return f"{-row['high']:.0f} to {-row['low']:.0f} %"


def unseen_classifier_settings() -> str:
    """The part of it that is settings of the encoder."""
    return f"{-parts('classification')[_UNSEEN]['settings']['bd_rate']:.0f} points"


def unseen_classifier_map() -> str:
    """The points that the map adds."""
    return f"{-parts('classification')[_UNSEEN]['map']['bd_rate']:.0f}"


def unseen_classifier_filter() -> str:
    """The points that the filter adds."""
    return f"{-parts('classification')[_UNSEEN]['filter']['bd_rate']:.0f}"


def seen_classifier() -> str:
    """What the recipe saves MobileNetV2, with which it was trained."""
    return f"{-_saved('classification', 'MobileNetV2')['bd_rate']:.0f} %"


def other_family() -> str:
    """What the recipe for classifiers saves InceptionV3, which took no part."""
    return f"{-_saved('other_family', 'InceptionV3', quality='distance')['bd_rate']:.0f} %"


def restored() -> str:
    """What the recipe for classifiers saves the unseen one with its restorer behind the decoder."""
    return f"{-_saved('classification', _UNSEEN, 'restored')['bd_rate']:.0f} %"


def judged() -> str:
    """What a set saves the unseen classifier where EfficientNet-Lite0 says which pictures lose more."""
    rows = against_bpg("classification", shared="measured")
    return f"{-rows[_UNSEEN, 'recipe', 'kl']['bd_rate']:.0f} %"


def other_family_restored() -> str:
    """The same for InceptionV3."""
    return f"{-_saved('other_family', 'InceptionV3', 'restored', 'distance')['bd_rate']:.0f} %"


def _range_of_detectors(arm: str) -> str:
    """The least and the most that an arm saves one of the detectors."""
    cells = against_bpg("detection").items()
    saved = [-row["bd_rate"] for (_, name, quality), row in cells if (name, quality) == (arm, "kl")]
    return f"{min(saved):.0f} to {max(saved):.0f} %"


def detectors() -> str:
    """What the recipe saves them."""
    return _range_of_detectors("recipe")


def detectors_half() -> str:
    """What half the size alone saves them."""
    return _range_of_detectors("half")


def classification_psnr() -> str:
    """Percent more bits of the recipe for classifiers at equal PSNR."""
    return f"{_saved('classification', 'picture', quality='psnr')['bd_rate']:.0f} %"


def _at_95_percent(arm: str) -> str:
    """Bits per pixel at 95 % of the plates that are read on the originals."""
    text = (RESULTS / "recipes_reading/table.md").read_text().partition("**Bits per pixel at 95 %")[2]
    found = re.search(rf"^\| {arm} \| (\S+) bpp \|$", text, re.MULTILINE)
    assert found, arm
    return found[1]


def reading_bpg_bpp() -> str:
    """Of BPG as bpgenc writes it."""
    return _at_95_percent("bpg")


def reading_recipe_bpp() -> str:
    """Of the recipe."""
    return _at_95_percent("recipe")


def ray_rate() -> str:
    """Photos a second of Ray's runs against those of `npp encode`."""
    return f"{load('ray')['ratio']:.2f}"


def _of_both(figure: Callable[[list[dict[str, Any]]], float], digits: int = 0) -> str:
    """A figure of `npp encode`'s runs and of Ray's."""
    found = [figure(load("ray")[engine]) for engine in ("threads", "ray")]
    return f"{found[0]:.{digits}f} and {found[1]:.{digits}f}"


def ray_photos_a_second() -> str:
    """The median of `npp encode`'s runs and of Ray's."""
    return _of_both(lambda runs: statistics.median(run["photos_per_second"] for run in runs))


def ray_cpu_seconds() -> str:
    """The same for seconds of processor time."""
    return _of_both(lambda runs: statistics.median(run["cpu_seconds"] for run in runs))


def ray_memory() -> str:
    """Gigabytes of `npp encode` and of Ray's processes together."""
    return _of_both(lambda runs: max(run["most_memory_mb"] for run in runs) / 1000, digits=1)


def ray_resumed() -> str:
    """Files that were there when the driver was killed."""
    return str(load("ray")["driver_resumed"]["done_before"])


def jpeg_photos() -> str:
    """How many photos were coded as JPEG and as BPG."""
    return str(load("jpeg_qualities")["photos"])


def _conditions() -> dict[str, Callable[[], str]]:
    """How many photos each evaluation of a recipe has, and at which qps they are coded."""
    found: dict[str, Callable[[], str]] = {}
    recipes = {
        task: f"recipes_{task}"
        for task in ("classification", "detection", "segmentation", "reading", "other_photos", "bsds")
    }
    refined = {f"refine_{task}": f"refine_{task}" for task in ("classification", "detection")}
    for name, folder in (recipes | refined).items():
        found[f"{name}_photos"] = lambda folder=folder: str(load(f"{folder}/summary")["photos"])
        found[f"{name}_qps"] = lambda folder=folder: ", ".join(map(str, load(f"{folder}/summary")["qps"]))
    return found


FIGURES: dict[str, Callable[[], str]] = {
    figure.__name__: figure
    for figure in (
        effort_1_ms,
        effort_8_ms,
        effort_1_time,
        effort_1_bits,
        goals_reached,
        overhead_missed,
        unseen_classifier,
        unseen_classifier_interval,
        unseen_classifier_settings,
        unseen_classifier_map,
        unseen_classifier_filter,
        seen_classifier,
        other_family,
        detectors,
        detectors_half,
        classification_psnr,
        restored,
        judged,
        other_family_restored,
        reading_bpg_bpp,
        reading_recipe_bpp,
        ray_rate,
        ray_photos_a_second,
        ray_cpu_seconds,
        ray_memory,
        ray_resumed,
        jpeg_photos,
    )
} | _conditions()
