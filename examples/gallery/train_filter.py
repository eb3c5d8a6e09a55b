"""Trains a filter for a network through the real codec: the loop without any framework, a few steps of it.

`npp train` does the same with schedules, validation and checkpoints; this shows what is inside.
"""

from __future__ import annotations

import torch
from gallery_pictures import arguments, panel, photo

import npp
from npp.tasks import build_task

STEPS = 12
QP = 37
WEIGHT = 2.0


def main() -> None:
    out, size = arguments("Training a filter for a network.")
    torch.manual_seed(0)
    photos = torch.stack([photo(name, size) for name in ("chelsea", "coffee", "astronaut", "rocket")])
    # Any network will do; this one stands for yours. "match" keeps its output, whatever it means.
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 8, 8), torch.nn.ReLU(), torch.nn.Conv2d(16, 16, 1))
    task = build_task("match", model=network, distance="mse")
    clean = task.targets(photos)
    filter_ = npp.Preprocessor()
    optimiser = torch.optim.Adam(filter_.parameters(), lr=3e-3)
    first = npp.compress(photos, QP, effort=0)
    for step in range(STEPS):
        found = npp.compress(filter_(photos, QP), QP, effort=0)
        loss = task.loss(found.x_hat, clean).mean()
        total = found.bpp.mean() + WEIGHT * loss
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        print(f"step {step}: {found.bpp.mean().item():.3f} bpp, loss {loss.item():.4f}")
    filter_.save(out / "filter.safetensors")  # for npp.Preprocessor.load, npp evaluate, a recipe
    with torch.no_grad():
        filtered = filter_(photos, QP)
    change = 0.5 + 8 * (filtered[0] - photos[0])
    saved = 1 - float(npp.compress(filtered, QP, effort=0).bpp.mean() / first.bpp.mean())
    panel([photos[0], filtered[0], change], ["photo", f"filtered, {saved:.1%} fewer bits", "change, 8 times"],
          out / "train_filter.png")  # fmt: skip


if __name__ == "__main__":
    main()
