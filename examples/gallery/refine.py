"""Optimises one picture, and one map, through the codec for a network that is there at the encoder."""

from __future__ import annotations

import torch
from gallery_pictures import arguments, panel, photo
from torch import nn

import npp

STEPS = 6


def main() -> None:
    out, size = arguments("Refining for a network.")
    torch.manual_seed(0)
    x = photo("coffee", size)[None]
    layers = [nn.Conv2d(3, 8, 16, 16), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(8 * 16, 5)]
    network = nn.Sequential(*layers)  # stands for yours
    task = npp.keep_prediction(network, x)  # KL against what it says about the clean picture
    plain = npp.compress(x, 40, effort=1)
    refined = npp.refine(x, 40, task, steps=STEPS, effort=1)
    mapped = npp.refine(x, 40, task, steps=STEPS, effort=1, over="map")
    pictures, captions = [], []
    for name, files in (
        ("plain", plain.bitstreams),
        ("pixels", refined.bitstreams),
        ("map", mapped.bitstreams),
    ):
        picture = npp.decompress(files)
        bits = 8 * len(files[0]) / (size * size)
        captions.append(f"{name}: {bits:.2f} bpp, KL {task(picture).item():.5f}")
        pictures.append(picture[0])
    print("\n".join(captions))
    panel(pictures, captions, out / "refine.png")


if __name__ == "__main__":
    main()
