"""Figures within sentences of docs/research, and of the page on results that compares searches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import mean
from typing import Any

from recipe_tables import interval
from tables import listed, load, span


def _find(rows: Iterable[dict[str, Any]], **values: Any) -> dict[str, Any]:
    """The only row with these values."""
    (row,) = (row for row in rows if all(row[key] == value for key, value in values.items()))
    return row


# What was tried while settings were chosen.
def _tried(group: str, coded_with: str) -> dict[str, dict[str, float]]:
    """BD-rates of a row of choices.json, by network."""
    row = _find(load("choices")["groups"][group], coded_with=coded_with)
    return dict(row["bd_rate"])


def _mean(group: str, coded_with: str) -> float:
    """The mean BD-rate over the networks, in percent."""
    return mean(row["value"] for row in _tried(group, coded_with).values())


def _left(group: str, coded_with: str) -> float:
    """The part of the bits that is left, in the mean over the networks."""
    return 1 + _mean(group, coded_with) / 100


_SETTINGS = ("settings", "and deblock -6, chroma 3 qps finer (chosen)")
_FILTER = ("filter", "filter alone: 294 steps of 64 crops, trained behind the map of strength 1.25")
_MAP = ("map", "strength 1 (chosen, with the filter)")
_MAP_AT_FIRST = ("map", "strength 1.25 (what the last row began with)")
_MAP_TRAINED = ("map", "trained on through the codec, 350 steps of 64 crops")
_BOTH = ("filter", "that filter and the map of strength 1 (chosen)")
_UNET = ("filter", "the published U-Net alone, pretrained, 900 steps of 8 crops")


def _part(value: float) -> str:
    """A part of 1, without its leading zero."""
    return f"{value:.2f}".removeprefix("0")


def left_if_apart() -> str:
    """The part of the bits that filter and map would leave if they knew nothing of each other."""
    return _part(_left(*_FILTER) * _left(*_MAP) / _left(*_SETTINGS))


def unet_costs() -> str:
    """The published network on top of the settings."""
    return f"{100 * (_left(*_UNET) / _left(*_SETTINGS) - 1):.0f} %"


def filter_saves() -> str:
    """Our filter on top of the settings."""
    return f"{100 * (1 - _left(*_FILTER) / _left(*_SETTINGS)):.0f} %"


def unet_to_filter() -> str:
    """Parameters of the published network for each of our filter's."""
    found = load("preprocessors")["results"]
    return f"{found['unet']['parameters'] / found['gains']['parameters']:.0f}"


def map_at_first() -> str:
    """The map's saving before it was trained through the codec."""
    return f"{_mean(*_MAP_AT_FIRST):.0f} %"


def map_trained_on() -> str:
    """Its saving afterwards."""
    return f"{_mean(*_MAP_TRAINED):.0f} %"


def _validated(steps: str) -> str:
    return f"{load('choices')['validation']['saved'][steps]:.1f} %"


def eight_crops_early() -> str:
    """What filter and map save on the photos for validation after 300 steps of eight crops."""
    return _validated("300")


def eight_crops_late() -> str:
    """The same after 900 steps."""
    return _validated("900")


def _worse_than_half(coded_with: str) -> str:
    return f"{_mean('detectors', coded_with) - _mean('detectors', 'half the size'):.1f}"


# Trainings of the filter alone.
def _seeds(evaluation: str, against: str, network: str, quality: str = "kl") -> list[dict[str, Any]]:
    """The comparisons of three seeds of a training."""
    rows = load(f"{evaluation}/summary")["comparisons"]
    place = {"against": against, "network": network, "quality": quality}
    return [_find(rows, arm=arm, **place) for arm in ("preprocessor", "seed1", "seed2")]


def _mean_of_seeds(network: str, quality: str) -> str:
    """What the detector's filter saves in the mean over the seeds."""
    rows = _seeds("detection", "bpg", network, quality)
    return f"{mean(row['bd_rate'] for row in rows):.1f} %"


def classifier_filter() -> str:
    """What the classifiers' filter saves by itself, over the seeds."""
    rows = _seeds("classification", "machine", "efficientnet-lite0")
    return f"{span((-row['bd_rate'] for row in rows), 1)} %"


def classifier_filter_shipped() -> str:
    """The same of the seed that ships."""
    return f"{_seeds('classification', 'machine', 'efficientnet-lite0')[0]['bd_rate']:.1f} %"


def classifier_filter_against_bpg() -> str:
    """The shipped filter with tune `machine`, against BPG as bpgenc writes it."""
    return f"{_seeds('classification', 'bpg', 'efficientnet-lite0')[0]['bd_rate']:.1f} %"


def classifier_filter_of_enlarged_crops() -> str:
    """The same of weights from enlarged crops."""
    return interval(load("earlier")["classifier_of_enlarged_crops"])


def classifier_filter_effort_4() -> str:
    """What a filter trained at effort 4 saves by itself."""
    rows = load("training_effort/summary")["comparisons"]
    return interval(_find(rows, arm="effort4", network="efficientnet-lite0", quality="kl"))


def classifier_filter_effort_4_minus_1() -> str:
    """The difference to the shipped one."""
    rows = load("training_effort/summary")["differences"]
    place = {"first": "effort4", "second": "preprocessor"}
    return interval(_find(rows, **place, network="efficientnet-lite0", quality="kl"), "points")


def _validations() -> list[float]:
    """What three seeds of the classifiers' filter saved on crops of photos for validation."""
    rows = load("trainings")["runs"]
    place = {"task": "classification", "surrogate": "gated", "effort": 1, "slope_factor": 6.0, "steps": 900}
    return [-_find(rows, **place, seed=seed)["bd_rate"] for seed in (0, 1, 2)]


def classifier_filter_validation() -> str:
    """The least and the most of them."""
    return f"{span(_validations())} %"


def seeds_apart() -> str:
    """How far they lie apart."""
    return f"{max(_validations()) - min(_validations()):.1f} points"


def detector_filter_validation() -> str:
    """What the detector's filter saved there, with slope factors near that of the shipped one."""
    rows = [row for row in load("trainings")["runs"] if row["task"] == "detection"]
    return f"{span(-row['bd_rate'] for row in rows if row['slope_factor'] <= 2)} %"


def unet_psnr() -> str:
    """How near the published network's pictures are to the originals after the short training."""
    found = load("networks/results/unet-adaptive")["results"]["psnr"]
    return f"{mean(found):.0f} dB"


# Searching with a network at the encoder.
def _searched(task: str, arm: str, network: str, sign: int) -> str:
    """Points that an arm saves more than the recipe, or, with a negative sign, less."""
    rows = load(f"refine_{task}/summary")["differences"]
    row = _find(rows, first=arm, second="recipe", network=network, quality="kl")
    return f"{-sign * row['bd_rate']:.0f} points"


# The recipe for classifiers with the filter of its training and with the narrow one.
def _each(values: list[float]) -> str:
    return f"{listed([f'{-value:.1f}' for value in values])} %"


def narrow_saved() -> str:
    """What the recipe for classifiers saved each of them before it had psy_rd."""
    return _each([load("earlier")["narrow_filter"]["bd_rate_kl"][name][0] for name in _CLASSIFIERS])


def wide_saved() -> str:
    """The same with the filter as it was trained."""
    return _each([load("earlier")["wide_filter"]["bd_rate_kl"][name][0] for name in _CLASSIFIERS])


# Where a map comes from.
def _map_rate(evaluation: str, arm: str, network: str) -> float:
    """BD-rate of a map against the same codec without one."""
    rows = load(f"maps_{evaluation}/summary")["comparisons"]
    found = _find(rows, arm=arm, network=network, against="codec", quality="kl")
    return float(found["bd_rate"])


def _map_saves(evaluation: str, arm: str, networks: tuple[str, ...]) -> str:
    """What a map saves each of some networks, on top of the same codec without one."""
    return f"{span((-_map_rate(evaluation, arm, name) for name in networks), 1)} %"


def _map_keeps(evaluation: str, network: str) -> str:
    """How much of the saving of the gradients' map the allocator's map has."""
    learned, computed = (_map_rate(evaluation, arm, network) for arm in ("allocator", "gradients"))
    return f"{100 * learned / computed:.0f} %"


def _sensitivity_adds(part_of_name: str) -> str:
    """Points, over the networks, that sharing by a sensitivity has over sharing by rates alone."""
    rows = load("choices")["groups"]["sensitivity"]
    rates, other = (
        next(row["bd_rate"] for row in rows if words in row["coded_with"])
        for words in ("rates alone", part_of_name)
    )
    return span((rates[name]["value"] - other[name]["value"] for name in rates), 1)


def _seeds_deviate(evaluation: str) -> str:
    """Standard deviations, by network, of what three trainings save."""
    groups = load(f"{evaluation}/summary")["groups"]
    return span((row["deviation"] for row in groups if row["quality"] == "kl"), 1)


_CLASSIFIERS = ("efficientnet-lite0", "MobileNetV2", "efficientnet-lite2")

FIGURES: dict[str, Callable[[], str]] = {
    figure.__name__: figure
    for figure in (
        left_if_apart,
        unet_costs,
        filter_saves,
        unet_to_filter,
        map_at_first,
        map_trained_on,
        eight_crops_early,
        eight_crops_late,
        classifier_filter,
        classifier_filter_shipped,
        classifier_filter_against_bpg,
        classifier_filter_of_enlarged_crops,
        classifier_filter_effort_4,
        classifier_filter_effort_4_minus_1,
        classifier_filter_validation,
        seeds_apart,
        detector_filter_validation,
        unet_psnr,
        narrow_saved,
        wide_saved,
    )
} | {
    "sensitivity_measured": lambda: _sensitivity_adds("divergences of"),
    "sensitivity_learned": lambda: _sensitivity_adds("all of EfficientNet-Lite0"),
    "sensitivity_trunk": lambda: _sensitivity_adds("trunk"),
    "sensitivity_predicted": lambda: _sensitivity_adds("general-1"),
    "allocator_seeds_classifiers": lambda: _seeds_deviate("allocators_classification"),
    "allocator_seeds_detectors": lambda: _seeds_deviate("allocators_detection"),
    "filter_seeds": lambda: _seeds_deviate("recipes_filter_seeds"),
    "left_by_settings": lambda: _part(_left(*_SETTINGS)),
    "left_by_filter": lambda: _part(_left(*_FILTER)),
    "left_by_map": lambda: _part(_left(*_MAP)),
    "left_by_both": lambda: _part(_left(*_BOTH)),
    "larger_than_half": lambda: _worse_than_half(".6 of the size"),
    "lanczos": lambda: _worse_than_half("half the size, scaled down by Lanczos's filter"),
    "sharpened": lambda: _worse_than_half("half the size, sharpened"),
    "detector_filter": lambda: _mean_of_seeds("FastestDet", "kl"),
    "detector_filter_f1": lambda: _mean_of_seeds("FastestDet", "f1"),
    "detector_filter_unseen": lambda: _mean_of_seeds("efficientnet-lite0", "kl"),
    "searched_map_unseen": lambda: _searched("classification", "map", "efficientnet-lite2", 1),
    "searched_both_unseen": lambda: _searched("classification", "both", "efficientnet-lite2", 1),
    "searched_pixels_centernet": lambda: _searched("detection", "pixels", "CenterNet", 1),
    "searched_both_yolox": lambda: _searched("detection", "both", "YOLOX", -1),
    "map_classifiers_gradients": lambda: _map_saves("classification", "gradients", _CLASSIFIERS),
    "map_classifiers_allocator": lambda: _map_saves("classification", "allocator", _CLASSIFIERS),
    "map_classifiers_features": lambda: _map_saves("classification", "features", _CLASSIFIERS),
    "map_nanodet_gradients_own_size": lambda: _map_saves("detection_own_size", "gradients", ("NanoDet",)),
    "map_nanodet_allocator_own_size": lambda: _map_saves("detection_own_size", "allocator", ("NanoDet",)),
    "map_nanodet_gradients": lambda: _map_saves("detection", "gradients", ("NanoDet",)),
    "map_nanodet_allocator": lambda: _map_saves("detection", "allocator", ("NanoDet",)),
    "map_coco_gradients": lambda: _map_saves("other_photos", "gradients", _CLASSIFIERS),
    "map_coco_allocator": lambda: _map_saves("other_photos", "allocator", _CLASSIFIERS),
    "map_learned_gradients": lambda: _map_saves("learned_photos", "gradients", _CLASSIFIERS),
    "map_learned_allocator": lambda: _map_saves("learned_photos", "allocator", _CLASSIFIERS),
    "map_lite0_kept": lambda: _map_keeps("classification", "efficientnet-lite0"),
    "map_mobilenet_kept": lambda: _map_keeps("classification", "MobileNetV2"),
    "map_lite2_kept": lambda: _map_keeps("classification", "efficientnet-lite2"),
    "map_nanodet_kept": lambda: _map_keeps("detection", "NanoDet"),
    "map_nanodet_kept_own_size": lambda: _map_keeps("detection_own_size", "NanoDet"),
}
