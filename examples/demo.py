"""What npp saves a classifier, on real photos: a strip, curves, and a short report.

    python examples/demo.py --out build/demo            # photos inside packages: nothing is downloaded
    python examples/demo.py --photos FOLDER             # your own

Squares of the photos go through BPG as bpgenc writes it, through BPG with the encoder settings of npp's
recipe "classification", and through the whole recipe, which adds a map of quantiser offsets and may add a
learned filter. Two classifiers say how much of their answers is left; EfficientNet-Lite2 took no part in
making the recipe. `npp evaluate` measures.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from demo_analysis import Beforehand, Drawn, SameAnswer, bd_rate_over, read_beforehand, same_answer
from demo_figures import draw_curves, draw_strip
from demo_strip import BPG, StripCase, find_case
from demo_views import SIDE, folder_photos, package_photos, write_views

import npp
from npp.evaluation import BDInterval, evaluate, parse_config
from npp.evaluation.measured_values import Measurements
from npp.files import write_file
from npp.photos import load_photo
from npp.tasks import build_task

RECIPE = "classification"
SEEN, UNSEEN = "efficientnet-lite0", "efficientnet-lite2"
NETWORKS = {
    UNSEEN: "EfficientNet-Lite2 (took no part in making npp's recipe)",
    SEEN: "EfficientNet-Lite0 (npp's recipe was made with it)",
}
QPS = [26, 30, 34, 38, 42, 46, 50]
MEASURED = Path(__file__).resolve().parents[1] / "docs" / "results" / "recipes_classification"
# Photos whose files are looked at for the strip.
_STRIP_PHOTOS = 8


def part_names(recipe: npp.Recipe) -> dict[str, tuple[str, str]]:
    """The measured parts of the saving: an arm and what it is compared with, by the part's name."""
    first = {"encoder settings": ("settings", "bpg")}
    if recipe.preprocessor is None:
        own = {"map, on top of them": ("recipe", "settings")}
    else:
        own = {"map, on top of them": ("map", "settings"), "filter, on top": ("recipe", "map")}
    return {**first, **own, "all": ("recipe", "bpg")}


def without_filter(recipe: npp.Recipe, path: Path) -> Path:
    """Writes a recipe that lacks the filter; the file."""
    parts = {"scale": recipe.scale, "allocator": recipe.allocator, "options": recipe.options}
    npp.Recipe("without filter", qp=recipe.qp, **parts).save(path)
    return path


def comparison(photos: Path, recipe: npp.Recipe, out: Path) -> dict[str, Any]:
    """The configuration, as `npp evaluate` would read it from YAML."""
    own = [{"name": "recipe", "recipe": RECIPE}]
    if recipe.preprocessor is not None:
        own.insert(0, {"name": "map", "recipe": str(without_filter(recipe, out / "map.safetensors"))})
    judge = {"name": "classification", "metrics": False}
    return {
        "name": "demo",
        "data": {"folder": str(photos), "size": SIDE, "part": "all"},
        "qps": QPS,
        "seen": [{**judge, "model": SEEN}],
        "unseen": [{**judge, "model": UNSEEN}],
        "arms": [
            {"name": "bpg", **BPG},
            {"name": "settings", **recipe.options},
            *own,
        ],
        # The demo's own intervals are over photos, not over their squares.
        "analysis": {"samples": 10},
        "strip": {"photos": 1},
    }


def stage(name: str, total: int) -> Callable[[int], None]:
    """Says every quarter of the long stage, which is measuring."""
    done = 0

    def progress(more: int) -> None:
        nonlocal done
        before, done = done, done + more
        if name == "measuring" and 4 * done // total > 4 * before // total:
            print(f"  {name}: {100 * done // total} %", flush=True)

    return progress


def find_strip(views: Path, recipe: npp.Recipe) -> StripCase:
    """The strip's photo among the middle squares of the first photos."""
    paths = sorted(views.glob("*_0.png"))[:_STRIP_PHOTOS]
    images = torch.stack([load_photo(path, SIDE) for path in paths])
    return find_case(images, recipe, build_task("classification", model=UNSEEN).eval())


def parts(
    measured: Measurements, network: str, drawn: Drawn, names: Mapping[str, tuple[str, str]]
) -> dict[str, BDInterval | str]:
    """BD-rate at equal KL of the encoder settings, of the map, and of both; or why there is none."""
    found: dict[str, BDInterval | str] = {}
    for name, (arm, anchor) in names.items():
        try:
            found[name] = bd_rate_over(measured, network, arm, anchor, drawn)
        except ValueError as error:
            found[name] = str(error)
    return found


def said(change: BDInterval) -> str:
    """A change of bytes in words."""
    return f"{abs(change.value):.0f} % {'fewer' if change.value < 0 else 'more'} bytes"


def _doubt(change: BDInterval) -> str:
    return "" if change.excludes_zero else " The interval touches zero: this run alone does not settle it."


def sentence(network: str, found: SameAnswer, drawn: Drawn) -> str:
    """Same answer at x % fewer bytes, with its condition."""
    if found.change is None:
        return f"{network}: too few squares of this run lose their answer at all; nothing can be said of it."
    change, kind = found.change, "photos" if drawn.by_photo else "squares"
    return (
        f"{network}: same answer at {said(change)} "
        f"[{change.low:+.0f}, {change.high:+.0f}] %.{_doubt(change)}\n"
        "    (The fewest bytes down to which its answer is the one it gives on the original; geometric\n"
        f"    mean of {found.used} of {found.pictures} squares; 95 % interval over {found.groups} {kind}.)"
    )


def beforehand_lines(before: Beforehand | None) -> list[str]:
    """What was measured beforehand, for the report and below the curves."""
    if before is None:
        return ["No curve that was measured beforehand is at hand; the points are of this run."]
    lines = [
        f"Measured beforehand: {before.photos} photos of {before.source} that trained nothing of npp's.",
        "Bars and bands are 95 % intervals over these photos; a band is BPG's curve moved by npp's saving.",
        "Dotted: this run's own photos, which are others and need other rates: compare grey with green.",
    ]
    if not before.same_recipe:
        lines.append("The recipe's encoder settings have changed since that measurement.")
    return lines


def report(
    same: Mapping[str, SameAnswer],
    saved: Mapping[str, Mapping[str, BDInterval | str]],
    before: Beforehand | None,
    drawn: Drawn,
) -> str:
    """The whole report."""
    lines = ["", "This run"]
    lines += [f"  {sentence(NETWORKS[network], found, drawn)}" for network, found in same.items()]
    lines += ["", f"  Bytes at equal distance of the answers (KL), 95 % intervals over {drawn.what}:"]
    for network, kinds in saved.items():
        lines.append(f"  {NETWORKS[network]}")
        for name, found in kinds.items():
            doubt = "  (touches zero)" if isinstance(found, BDInterval) and not found.excludes_zero else ""
            lines.append(f"    {name:<20} {found}{doubt}")
    if not drawn.by_photo:
        lines.append("  Squares of one photo are alike: with so few photos these intervals are too narrow.")
    lines += ["", "Beforehand"]
    if before is None:
        return "\n".join([*lines, f"  {beforehand_lines(before)[0]}"])
    lines.append(f"  {before.photos} photos of {before.source}, npp's recipe against BPG at equal KL:")
    for network in NETWORKS:
        interval = before.intervals.get((network, "kl"))
        lines.append(f"    {network:<20} {'not measured' if interval is None else interval}")
    if not before.same_recipe:
        lines.append("  The recipe's encoder settings have changed since that measurement.")
    return "\n".join(lines)


def figures(
    same: Mapping[str, SameAnswer],
    saved: Mapping[str, Mapping[str, BDInterval | str]],
    drawn: Drawn,
    case: StripCase,
    views: int,
) -> dict[str, Any]:
    """All numbers of the run, as a JSON value."""
    return {
        "squares": views,
        "intervals_over": drawn.what,
        "networks": {
            network: {
                "seen": network == SEEN,
                "same_answer": asdict(same[network]),
                "bd_rate_at_equal_kl": {
                    name: asdict(found) if isinstance(found, BDInterval) else {"problem": found}
                    for name, found in saved[network].items()
                },
            }
            for network in NETWORKS
        },
        "strip": {
            "network": UNSEEN,
            "original": case.answer,
            "bpg": {"bytes": case.bpg.bytes, "answer": case.bpg.answer, "same": case.bpg.same},
            "npp": {"bytes": case.npp.bytes, "answer": case.npp.answer, "same": case.npp.same},
            "pairs_of_equal_bytes": asdict(case.counts),
        },
    }


def run(photos: Mapping[str, Path], out: Path) -> None:
    """Measures, writes everything below ``out`` and prints the report."""
    recipe = npp.Recipe.load(RECIPE)
    names = write_views(photos, out / "squares")
    if not names:
        raise SystemExit(f"No photo is at least {SIDE} pixels wide and high: nothing to measure")
    count = len(set(names.values()))
    print(f"{len(names)} squares of {count} photos, {len(QPS)} qps, two classifiers", flush=True)
    measured = evaluate(
        parse_config(comparison(out / "squares", recipe, out)), out / "measured", stage
    ).measured
    drawn = Drawn.of(measured.pictures, names)
    same = {network: same_answer(measured, network, "recipe", "bpg", drawn) for network in NETWORKS}
    saved = {network: parts(measured, network, drawn, part_names(recipe)) for network in NETWORKS}
    print("  looking for the strip's photo", flush=True)
    case = find_strip(out / "squares", recipe)
    draw_strip(case, NETWORKS[UNSEEN], out / "strip.png")
    before = read_beforehand(MEASURED, RECIPE, recipe.options)
    draw_curves(measured, before, NETWORKS, count, out / "curve.png", beforehand_lines(before))
    numbers = json.dumps(figures(same, saved, drawn, case, len(names)), indent=1)
    write_file(out / "demo.json", f"{numbers}\n".encode(), force=True)
    print(report(same, saved, before, drawn))
    print(f"\nStrip: {out / 'strip.png'} ({case.how_chosen()})")
    print(f"Curves: {out / 'curve.png'}\nNumbers: {out / 'demo.json'}")


def main() -> None:
    parser = argparse.ArgumentParser(description="What npp saves a classifier, on real photos.")
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="folder for the results")
    parser.add_argument("--photos", type=Path, help="folder of your own photos")
    options = parser.parse_args()
    start = time.monotonic()
    try:
        photos = folder_photos(options.photos) if options.photos else package_photos()
    except ValueError as error:
        parser.error(str(error))
    run(photos, options.out)
    print(f"Done in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
