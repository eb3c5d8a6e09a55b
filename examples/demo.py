"""What npp saves a classifier: one photo that shows it, curves of 300, and this computer's own measurement.

    python examples/demo.py --out build/demo            # photos inside packages
    python examples/demo.py --photos FOLDER             # your own

The strip has one photo in two files of the same bytes, by BPG as bpgenc writes it and by npp's recipe
"classification". The curves were measured beforehand and lie in docs/results; squares of the photos at hand
go through the same codec and the same network and become points beside them. The network that judges,
EfficientNet-Lite2, took no part in making the recipe.
"""

from __future__ import annotations

import argparse
import json
import textwrap
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from demo_analysis import Beforehand, Drawn, bd_rate_over, read_beforehand
from demo_figures import draw_curves, draw_strip
from demo_progress import Stage, silent, stage_bars
from demo_strip import BPG, StripCase, find_case
from demo_views import SIDE, background_photos, folder_photos, package_photos, write_views

import npp
from npp.evaluation import BDInterval, evaluate, parse_config
from npp.files import write_file
from npp.photos import load_photo
from npp.tasks import build_task

RECIPE = "classification"
NETWORK, NAME = "efficientnet-lite2", "EfficientNet-Lite2"
MEASURED = Path(__file__).resolve().parents[1] / "docs" / "results" / "recipes_classification"
_WIDTH = 100


def comparison(photos: Path, qps: Sequence[int]) -> dict[str, Any]:
    """The configuration, as `npp evaluate` would read it from YAML."""
    return {
        "name": "demo",
        "data": {"folder": str(photos), "size": SIDE, "part": "all"},
        "qps": list(qps),
        "unseen": [{"name": "classification", "metrics": False, "model": NETWORK}],
        # What any BPG decoder gives: nothing of npp is needed to open the files.
        "arms": [{"name": "bpg", **BPG}, {"name": "recipe", "recipe": RECIPE, "restorer": False}],
        # The demo's own intervals are over photos, not over their squares.
        "analysis": {"samples": 10},
        "strip": {"photos": 1},
    }


def find_strip(
    views: Path, photos: Sequence[str], qps: Sequence[int], recipe: npp.Recipe, stage: Stage = silent
) -> StripCase:
    """The strip's photo among the middle squares of all photos."""
    paths = [views / f"{photo}_0.png" for photo in photos]
    images = torch.stack([load_photo(path, SIDE) for path in paths])
    task = build_task("classification", model=NETWORK).eval()
    return find_case(images, qps, recipe, task, stage("looking for a photo to show", len(photos)))


def fewer(change: BDInterval) -> str:
    """A change of bytes with its interval, in words."""
    low, high = sorted((-change.high, -change.low))
    if change.value >= 0:
        return f"{change.value:.0f} % more bytes (95 % interval {-high:.0f} to {-low:.0f} % more)"
    return f"{-change.value:.0f} % fewer bytes (95 % interval {low:.0f} to {high:.0f})"


def strip_lines(case: StripCase) -> list[str]:
    """One photo in two files."""
    return [
        f"{NAME} says of the photo: {case.answer}.",
        f"Of BPG's file of {case.bpg.bytes:,} bytes it says: {case.bpg.answer}.",
        f"Of npp's file of {case.npp.bytes:,} bytes it says: {case.npp.answer}.",
        case.how_chosen(),
    ]


def measured_lines(before: Beforehand) -> list[str]:
    """The sentence, and its conditions."""
    by_kl, by_answers = (before.saving(NETWORK, quality) for quality in ("kl", "agreement"))
    parts = ", ".join(f"{-points:.0f} by {name}" for name, points in before.parts(NETWORK).items())
    meaning = (
        f"npp's files need so many fewer bytes than BPG's to move {NAME}'s answers as little from those "
        "on the originals (equal mean KL divergence). Counting only which class comes out first, as many "
        f"answers stay the same at {fewer(by_answers)}."
    )
    conditions = (
        f"Conditions: {before.photos} photos ({before.source}) of {SIDE}x{SIDE} pixels on which nothing was "
        f"trained; a network that took no part; BPG as bpgenc writes it, at qp {before.qps[0]} to "
        f"{before.qps[-1]}. Of these points come {parts}. What other networks save: docs/results.md."
    )
    changed = "The recipe's encoder settings have changed since that measurement."
    first = [f"SAME ANSWER AT {fewer(by_kl)}.", meaning, conditions]
    return first if before.same_recipe else [*first, changed]


def own_lines(own: BDInterval | str, drawn: Drawn, before: Beforehand) -> list[str]:
    """What this run's own photos say, and what they cannot."""
    if isinstance(own, str):
        return [f"No figure: {own}."]
    if not drawn.by_photo:
        return [f"{drawn.what} are too few for a figure with an interval; the picture has their points."]
    lines = [f"Same answer at {fewer(own)}, over {drawn.what}."]
    if not own.excludes_zero:
        lines.append("The interval has zero in it: these photos alone do not settle it.")
    measured = before.saving(NETWORK, "kl").value
    which = f"The {abs(measured):.0f} % of the {before.photos} photos"
    if own.low <= measured <= own.high:
        lines.append(f"{which} lie within that interval.")
    else:
        lines.append(f"{which} lie outside that interval: how much is saved depends on the pictures.")
    return lines


def tell(title: str, lines: Sequence[str]) -> None:
    """Prints a part of the story."""
    print(f"\n{title}")
    for line in lines:
        print(textwrap.fill(line, _WIDTH, initial_indent="   ", subsequent_indent="   "))
    print(end="", flush=True)


def figures(
    before: Beforehand, own: BDInterval | str, drawn: Drawn, case: StripCase, views: int
) -> dict[str, Any]:
    """All numbers of the run, as a JSON value."""
    kinds = ("kl", "agreement")
    return {
        "network": NETWORK,
        "beforehand": {
            "photos": before.photos,
            **{f"bd_rate_at_equal_{kind}": asdict(before.saving(NETWORK, kind)) for kind in kinds},
            "points": before.parts(NETWORK),
        },
        "this_run": {
            "squares": views,
            "intervals_over": drawn.what,
            "bd_rate_at_equal_kl": {"problem": own} if isinstance(own, str) else asdict(own),
        },
        "strip": {
            "original": case.answer,
            "bpg": {"bytes": case.bpg.bytes, "answer": case.bpg.answer, "same": case.bpg.same},
            "npp": {"bytes": case.npp.bytes, "answer": case.npp.answer, "same": case.npp.same},
            "pairs_of_equal_bytes": asdict(case.counts),
        },
    }


def run(photos: Mapping[str, Path], out: Path) -> None:
    """Tells the story, and writes everything below ``out``."""
    recipe = npp.Recipe.load(RECIPE)
    before = read_beforehand(MEASURED, RECIPE, recipe.options)
    with stage_bars() as stage:
        names = write_views(photos, out / "squares", stage("cutting squares from photos", len(photos)))
    if not names:
        raise SystemExit(f"No photo is at least {SIDE} pixels wide and high: nothing to measure")
    kept = list(dict.fromkeys(names.values()))

    print(f"{len(names)} squares of {len(kept)} photos are at hand", flush=True)
    with stage_bars() as stage:
        case = find_strip(out / "squares", kept, before.qps, recipe, stage)
    draw_strip(case, NAME, out / "strip.png")
    tell(f"1. One photo at the same bytes: {out / 'strip.png'}", strip_lines(case))
    draw_curves(before, None, NETWORK, NAME, len(kept), out / "curve.png")
    tell(f"2. Measured beforehand on {before.photos} photos: {out / 'curve.png'}", measured_lines(before))

    print(f"\nMeasuring the {len(kept)} photos that are at hand", flush=True)
    with stage_bars() as stage:
        found = evaluate(parse_config(comparison(out / "squares", before.qps)), out / "measured", stage)
    drawn = Drawn.of(found.measured.pictures, names)
    own: BDInterval | str
    try:
        own = bd_rate_over(found, NETWORK, "recipe", "bpg", drawn)
    except ValueError as error:
        own = str(error)
    draw_curves(before, found, NETWORK, NAME, len(kept), out / "curve.png")
    tell(
        "3. Measured just now on this computer: the dotted lines of that picture",
        own_lines(own, drawn, before),
    )
    numbers = json.dumps(figures(before, own, drawn, case, len(names)), indent=1)
    write_file(out / "demo.json", f"{numbers}\n".encode(), force=True)
    print(f"\nAll numbers: {out / 'demo.json'}. The whole measurement: {out / 'measured' / 'report.html'}")


def main() -> None:
    parser = argparse.ArgumentParser(description="What npp saves a classifier, on real photos.")
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="folder for the results")
    parser.add_argument("--photos", type=Path, help="folder of your own photos")
    parser.add_argument("--backgrounds", type=Path, help="what tools/demo-photos unpacked, for more photos")
    options = parser.parse_args()
    start = time.monotonic()
    print(f"What npp's recipe {RECIPE!r} saves {NAME}: a photo, curves, and a measurement", flush=True)
    try:
        if options.photos:
            photos = folder_photos(options.photos)
        else:
            more = background_photos(options.backgrounds) if options.backgrounds else {}
            photos = {**package_photos(), **more}
    except ValueError as error:
        parser.error(str(error))
    run(photos, options.out)
    print(f"Done in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
