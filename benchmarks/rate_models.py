"""Rate models for the surrogates: how they follow real bits, and the real bits that a step along them saves.

python benchmarks/rate_models.py --out docs/data/rate_models.json
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from common import center_crop, load_photos, machine
from result_files import report_parser, write_report
from torch import Tensor

import npp
from npp.codec.options import resolve_options
from npp.gradient.surrogates.rate_model import _dc_differences
from npp.hevc.dct import block_dct
from npp.hevc.planes import PictureLayout, Plane

QPS = (28, 34, 40, 46)
CODEC = {"effort": 0}

Form = Callable[[Tensor], Tensor]


def squared(sharpness: float) -> Form:
    """0.5 log2(1 + (s c)^2)."""
    return lambda ratio: 0.5 * torch.log2(1 + (sharpness * ratio).square())


def fourth(sharpness: float) -> Form:
    """0.25 log2(1 + (s c)^4)."""
    return lambda ratio: 0.25 * torch.log2(1 + (sharpness * ratio).pow(4))


class Model(NamedTuple):
    """Mean over block sizes of a form of coefficients, in bits a pixel, and what is not coefficients."""

    form: Form
    sizes: tuple[int, ...]
    overhead: float = 0


MODELS = {
    "0.5 log2(1+(2c)^2), 4": Model(squared(2), (4,)),
    "0.5 log2(1+(2c)^2), 8": Model(squared(2), (8,)),
    "0.5 log2(1+(2c)^2), 16": Model(squared(2), (16,)),
    "0.5 log2(1+(2c)^2), 8 16": Model(squared(2), (8, 16)),
    "0.5 log2(1+(2c)^2), 8 16 32": Model(squared(2), (8, 16, 32)),
    "0.5 log2(1+(1.5c)^2), 8 16": Model(squared(1.5), (8, 16)),
    "0.25 log2(1+(2c)^4), 8": Model(fourth(2), (8,)),
    "0.25 log2(1+(2c)^4), 8 16": Model(fourth(2), (8, 16)),
    "0.25 log2(1+(2c)^4), 8 16, 0.005": Model(fourth(2), (8, 16), 0.005),
    "0.25 log2(1+(2c)^4), 8 16, 0.01": Model(fourth(2), (8, 16), 0.01),
    "0.25 log2(1+(2c)^4), 8 16, 0.02": Model(fourth(2), (8, 16), 0.02),
    "0.25 log2(1+(1.5c)^4), 8 16": Model(fourth(1.5), (8, 16)),
}


def modelled_bpp(planes: list[Plane], model: Model, pixels: int) -> Tensor:
    """Modelled bits a pixel (N,)."""
    form, sizes, overhead = model
    total = torch.zeros(len(planes[0].samples))
    for plane in planes:
        step = plane.step[:, None]
        for size in sizes:
            coefficients = block_dct(plane.samples, size)
            dc = coefficients[:, :, 0, :, 0]
            total = total + form(coefficients.flatten(1) / step).sum(1) - form(dc.flatten(1) / step).sum(1)
            total = total + form(_dc_differences(dc).flatten(1) / step).sum(1)
    return total / (len(sizes) * pixels) + overhead


def measure(x: Tensor, qp: int, model: Model) -> tuple[float, float]:
    """(correlation of log bits, percent of real bits saved by a step of RMS one grey level)."""
    layout = PictureLayout(resolve_options(CODEC), x.shape, torch.full((len(x),), float(qp)))
    pixels = x.clone().requires_grad_()
    modelled = modelled_bpp(layout.split(pixels), model, x.shape[-2] * x.shape[-1])
    (gradient,) = torch.autograd.grad(modelled.sum(), pixels)
    step = gradient / gradient.square().mean((1, 2, 3), keepdim=True).sqrt() / 255
    before = npp.compress(x, qp, **CODEC).bpp
    after = npp.compress(x - step, qp, **CODEC).bpp
    correlation = torch.corrcoef(torch.stack([modelled.detach().log(), before.log()]))[0, 1]
    return round(float(correlation), 4), round(float(100 * (1 - after / before).mean()), 2)


def main() -> None:
    parser = report_parser(__doc__, "data/rate_models.json")
    parser.add_argument("--photos", type=int, default=16)
    args = parser.parse_args()
    torch.set_num_threads(1)
    photos = load_photos("imagenet-sample", args.photos)
    x = torch.stack([center_crop(photo, 224, 224) for photo in photos]).float() / 255
    results = {name: {str(qp): measure(x, qp, model) for qp in QPS} for name, model in MODELS.items()}
    for name, by_qp in results.items():
        cells = "  ".join(f"{correlation:.3f} {saved:5.2f}%" for correlation, saved in by_qp.values())
        print(f"{name:34s} {cells}  mean {sum(saved for _, saved in by_qp.values()) / len(QPS):.2f}%")
    document = {"machine": machine(), "photos": len(x), "size": 224, "codec": CODEC, "results": results}
    write_report(args.out, document)


if __name__ == "__main__":
    main()
