"""A loop of one's own in plain PyTorch, with the codec between the data set and the network.

    python examples/plain_pytorch_loop.py

First a small network learns to tell four photos apart from pieces of them. Then it is frozen, and a filter in
front of the codec learns what the network can do without: the loss is the codec's bits and how far the
network's answers move. Lines marked ``# npp`` are all that the codec adds.

The photos are public-domain or CC0 pictures inside scikit-image's package; nothing is downloaded. They are
few and the network is small: this shows the lines to write, not what can be saved.
"""

from __future__ import annotations

import argparse

import skimage.data
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

import npp

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
SIDE = 96
QPS = (28, 46)


class Pieces(Dataset[tuple[Tensor, int]]):
    """Random pieces (3, SIDE, SIDE) of the photos in [0, 1], and which photo each is from."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.photos = [torch.from_numpy(getattr(skimage.data, name)()).permute(2, 0, 1) for name in PHOTOS]
        self.augment = npp.transforms.BPG(qp=QPS, p=0.5, effort=0)  # npp

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        label = index % len(PHOTOS)
        photo = self.photos[label]
        top, left = (int(torch.randint(0, size - SIDE, ())) for size in photo.shape[1:])
        piece = photo[:, top : top + SIDE, left : left + SIDE].contiguous()
        piece = self.augment(piece)  # npp: half of the pieces have been coded
        return piece / 255, label


class Network(nn.Sequential):
    """A classifier that normalises its pictures itself."""

    def __init__(self) -> None:
        layers: list[nn.Module] = [nn.BatchNorm2d(3, affine=False)]
        for before, after in ((3, 16), (16, 32), (32, 32)):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, len(PHOTOS)))


def train_network(loader: DataLoader[tuple[Tensor, Tensor]]) -> Network:
    """The ordinary loop."""
    network = Network()
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3)
    for x, y in loader:
        loss = F.cross_entropy(network(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def train_filter(
    network: Network, loader: DataLoader[tuple[Tensor, Tensor]], trade_off: float
) -> npp.Preprocessor:
    """The same loop for what stands in front of the codec, with the network frozen."""
    network.requires_grad_(False)
    prefilter = npp.Preprocessor(depth=0)  # npp: its table alone, which learns in few steps
    codec = npp.BPG(effort=0)  # npp
    optimiser = torch.optim.Adam(prefilter.parameters(), 3e-2)
    for x, _ in loader:
        qp = torch.randint(QPS[0], QPS[1] + 1, (len(x),))  # npp
        coded = codec(prefilter(x, qp), qp)  # npp: x_hat and bpp, with gradients
        moved = F.kl_div(network(coded.x_hat).log_softmax(1), network(x).softmax(1), reduction="none").sum(1)
        loss = (coded.bpp + trade_off * moved).mean()  # npp
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return prefilter


@torch.no_grad()
def measure(
    network: Network, prefilter: nn.Module | None, x: Tensor, y: Tensor, qp: int
) -> tuple[float, float]:
    """Bits per pixel and the part of right answers."""
    filtered = x if prefilter is None else prefilter(x, qp)
    coded = npp.compress(filtered, qp, effort=0)
    right = (network(coded.x_hat).argmax(1) == y).float().mean()
    return float(coded.bpp.mean()), float(right)


def main() -> None:
    parser = argparse.ArgumentParser(description="The codec in a loop of one's own.")
    parser.add_argument("--steps", type=int, default=100, help="of each of the two trainings")
    parser.add_argument("--batch", type=int, default=16, help="pictures a step")
    settings = parser.parse_args()
    torch.manual_seed(0)
    loader = DataLoader(Pieces(settings.steps * settings.batch), settings.batch, shuffle=True)
    network = train_network(loader)
    prefilter = train_filter(network, loader, trade_off=1.0)
    held_out = Pieces(64)
    held_out.augment.p = 0.0
    x, y = next(iter(DataLoader(held_out, 64)))
    print(f"{'qp':>4}{'bpp':>10}{'right':>8}{'bpp, filtered':>16}{'right':>8}")
    for qp in (28, 34, 40, 46):
        plain, own = (measure(network, one, x, y, qp) for one in (None, prefilter))
        print(f"{qp:>4}{plain[0]:>10.3f}{plain[1]:>8.2f}{own[0]:>16.3f}{own[1]:>8.2f}")


if __name__ == "__main__":
    main()
