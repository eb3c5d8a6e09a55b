"""Measures two arms with a network of your own and draws the curves: `npp evaluate` from Python."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from gallery_pictures import arguments, panel, photo
from torch import nn

from npp.evaluation import evaluate, parse_config

NAMES = ("chelsea", "coffee", "astronaut", "rocket")


def network() -> nn.Module:
    """Stands for yours: ten classes."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 10, 8, 8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def main() -> None:
    out, size = arguments("Evaluation of two arms.")
    folder = out / "photos"
    folder.mkdir(exist_ok=True)
    for name in NAMES:
        panel([photo(name, size)], [""], folder / f"{name}.png")
    settings = {
        "name": "gallery",
        "modules": str(Path(__file__).parent),  # where "python:" names are looked for
        "data": {"folder": str(folder), "size": size, "part": "all"},
        "qps": [25, 30, 35, 40, 45],
        "seen": [{"name": "classification", "model": "python:evaluate_and_plot:network", "label": "mine"}],
        "arms": [{"name": "bpg", "effort": 5}, {"name": "fast", "effort": 0}],
    }
    found = evaluate(parse_config(settings), out / "evaluation")
    for table in found.tables:
        print(table.markdown())
    shutil.copyfile(out / "evaluation" / "curves.png", out / "evaluate_and_plot.png")


if __name__ == "__main__":
    main()
