"""One step along the gradient of the bits makes the real file smaller."""

from __future__ import annotations

from gallery_pictures import arguments, panel, photo, psnr

import npp


def main() -> None:
    out, size = arguments("A gradient step that lowers real bits.")
    x = photo("coffee", size)[None].requires_grad_()
    before = npp.compress(x, 34)
    before.bpp.sum().backward()
    assert x.grad is not None
    step = x.grad / x.grad.square().mean().sqrt() / 255  # on average one grey level
    moved = (x - step).detach().clamp(0, 1)
    after = npp.compress(moved, 34)
    saved = 1 - (after.bpp / before.bpp).item()
    print(f"{before.bpp.item():.3f} bpp before, {after.bpp.item():.3f} after: {saved:.1%} fewer bits")
    captions = [
        "original",
        f"step, 20 times; PSNR {psnr(x[0].detach(), moved[0]):.1f} dB",
        f"decoded, {saved:.1%} fewer bits",
    ]
    panel([x[0].detach(), 0.5 - 20 * step[0], after.x_hat[0]], captions, out / "gradient_step.png")


if __name__ == "__main__":
    main()
