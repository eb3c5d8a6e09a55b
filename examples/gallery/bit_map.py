"""Where a recipe puts the bits: the map of quantiser offsets over a photo, red is finer and blue coarser."""

from __future__ import annotations

import torch
from gallery_pictures import arguments, panel, photo
from torch import Tensor

import npp


def overlay(x: Tensor, offsets: Tensor) -> Tensor:
    """The photo in gray with each block of 16x16 pixels tinted by its offset."""
    tint = (offsets / 6).clamp(-1, 1).repeat_interleave(16, 0).repeat_interleave(16, 1)
    tint = tint[: x.shape[1], : x.shape[2]]
    gray = x.mean(0)
    red, blue = (-tint).clamp(min=0), tint.clamp(min=0)
    return torch.stack(
        [gray * (1 - blue) + 0.3 * red, gray * (1 - red - blue), gray * (1 - red) + 0.3 * blue]
    )


def main() -> None:
    out, size = arguments("A recipe's map over a photo.")
    x = photo("astronaut", size)
    with torch.no_grad():
        offsets = npp.Allocator.load("general")(x[None], 37)
    plain, mapped = npp.compress(x[None], 37), npp.compress(x[None], 37, qp_map=offsets)
    print(f"offsets from {offsets.min():.1f} to {offsets.max():.1f} qp, mean {offsets.mean():.2f}")
    captions = [f"plain, {plain.bpp.item():.2f} bpp", "map", f"with the map, {mapped.bpp.item():.2f} bpp"]
    panel([plain.x_hat[0], overlay(x, offsets[0]), mapped.x_hat[0]], captions, out / "bit_map.png")


if __name__ == "__main__":
    main()
