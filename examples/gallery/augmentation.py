"""Random BPG as augmentation: a network that learns on coded pictures is less surprised by them later."""

from __future__ import annotations

import torch
from gallery_pictures import arguments, panel, photo

import npp


def coded_at_random(x: torch.Tensor, qps: tuple[int, int] = (28, 46)) -> tuple[torch.Tensor, list[int]]:
    """Every picture of a batch (N, 3, H, W) through the codec at a qp of its own, without gradients."""
    qp = torch.randint(qps[0], qps[1] + 1, (len(x),)).tolist()
    with torch.no_grad():
        return npp.compress(x, qp, effort=0).x_hat, qp


def main() -> None:
    out, size = arguments("Random BPG as augmentation.")
    torch.manual_seed(0)
    x = photo("chelsea", size)
    coded, qps = coded_at_random(x.expand(4, -1, -1, -1))
    print("qps", qps)
    panel(list(coded), [f"qp {qp}" for qp in qps], out / "augmentation.png")


if __name__ == "__main__":
    main()
