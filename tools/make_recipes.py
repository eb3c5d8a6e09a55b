#!/usr/bin/env python3
"""Makes the recipes that come with the package from the weights that come with it.

    python tools/make_recipes.py python/npp/recipes/weights [--filter NAME=TRAINED.safetensors ...]
        [--restorer NAME=TRAINED.safetensors ...] [--plates TRAINED.safetensors]

What each recipe is made of stands here; how it was chosen and what it saves, in docs/results.md. A filter
comes from a recipe that npp train made (configs/recipe-*.yaml; of classification from -narrow.yaml), a
restorer from configs/restorer-*.yaml, and the allocator that finds plates from configs/allocator-plates.yaml;
without them, the recipe that is there keeps what it has.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import npp
from npp.recipes import Recipe, ScaleRule

_CLASSIFICATION = """\
For classifiers of about 224 pixels. A filter trained through the codec with EfficientNet-Lite0, Lite1 and
MobileNetV2 on 227 photos of ImageNet (294 steps of 64 crops), which a narrower network imitates; bits by
block, and the encoder's tools chosen for networks. Behind the decoder a restorer, which a back end may leave
out: it learned from the same networks, on these photos and 428 of BSDS500 and COCO train2017 (800 steps of
32 crops)."""
_DETECTION = """\
For detectors that look at about 416 to 640 pixels. Coded at half the size from qp 25 on, though the longer
side never below 312 pixels, three quarters of 416; bits by block."""
_MACHINES = """\
One for all tasks, at the picture's own size: the mean of all maps, and an effort that was good for every
network that was tried."""
_MAP = "general-1"  # with which all that is reported of the recipes was measured
_READING = """\
For reading number plates in photos of cars at their own size, about 1280x720, where a plate is 50 to 200
pixels wide. Bits go to the plate and away from all else."""
_ALL = """
The map is that of the allocator "general-1": distilled on the gradients of EfficientNet-Lite0 and
MobileNetV2 (ImageNet), NanoDet-Plus (COCO) and DeepLabv3 (Pascal VOC) on 460 photos of BSDS500, ImageNet
and COCO train2017. Its trunk began as EfficientNet-Lite0's (Apache-2.0). No photo is in the file.
To a person the picture is coarser where the map spends less{more}. Any BPG decoder reads it."""

_PLATES = """
The map is an allocator of its own: that of "general-1", whose trunk began as EfficientNet-Lite0's
(Apache-2.0), with a body and one head that learned the gradients of rapidocr's recogniser (PP-OCR,
Apache-2.0) on annotated plates: 192 pictures of 93 photos of US cars (openalpr/benchmarks, AGPL-3.0). No
photo is in the file. It knows such plates only; other plates and other text were not tried.
To a person everything but the plate is coarse, the more so the higher the qp. Meant where the plate is
what a picture is kept for and where reading it is lawful: it makes plates easier to read at few bytes.
Any BPG decoder reads it."""


def recipes(
    filters: Mapping[str, npp.Preprocessor | None],
    restorers: Mapping[str, npp.Restorer | None],
    plates: npp.Allocator,
) -> list[Recipe]:
    """All of them, each with its filter and restorer; "reading" with the allocator that finds plates."""
    general = npp.Allocator.load(_MAP)
    return [
        Recipe(
            "classification",
            preprocessor=filters["classification"],
            allocator=general.with_mix({"efficientnet-lite0": 1, "mobilenet-v2": 1}).with_strength(1),
            restorer=restorers["classification"],
            options={"effort": 5, "tune": "machine", "deblock": -6, "psy_rd": 1},
            qp=37,
            card=_CLASSIFICATION + _ALL.format(more=", and the filter changes its detail"),
        ),
        Recipe(
            "detection",
            scale=ScaleRule({25: 0.5}, input_size=416),
            allocator=general,
            options={"effort": 5, "tune": "machine"},
            qp=40,
            card=_DETECTION + _ALL.format(more=", and blurred, for it is coded smaller"),
        ),
        Recipe(
            "machines",
            allocator=general.with_strength(1),
            options={"effort": 5, "tune": "machine"},
            qp=37,
            card=_MACHINES + _ALL.format(more=""),
        ),
        Recipe(
            "reading",
            allocator=plates.with_strength(2, limit=20),
            options={"effort": 5, "tune": "machine"},
            qp=44,
            card=_READING + _PLATES,
        ),
    ]


def _trained(given: list[str]) -> dict[str, Recipe]:
    return {name: Recipe.load(path) for name, path in (one.split("=") for one in given)}


def main() -> None:
    """Writes them into the folder that the command names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--filter", action="append", default=[], metavar="NAME=TRAINED.safetensors")
    parser.add_argument("--restorer", action="append", default=[], metavar="NAME=TRAINED.safetensors")
    parser.add_argument("--plates", metavar="TRAINED.safetensors")
    arguments = parser.parse_args()
    here = Recipe.load("classification")
    filters = {"classification": _trained(arguments.filter).get("classification", here).preprocessor}
    restorers = {"classification": _trained(arguments.restorer).get("classification", here).restorer}
    plates = npp.Allocator.load(arguments.plates) if arguments.plates else Recipe.load("reading").allocator
    assert plates is not None
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for recipe in recipes(filters, restorers, plates):
        named = None if recipe.name == "reading" else _MAP
        recipe.save(arguments.folder / f"{recipe.name}.safetensors", allocator_weights=named)


if __name__ == "__main__":
    main()
