"""What npp.refine saves, judged by networks that took no part (docs/gradients.md).

Refines photos with EfficientNet-Lite0 as the task, looking at each and at npp.VIEWS of it, writes files at
effort 8, tune "ssim", and compares them with plain files of the same settings: BD-rate over KL to each
judge's clean prediction, and at equal qp PSNR and predictions that change. Every finished batch is kept in
--cache, so a stopped run goes on.

    python benchmarks/refine.py --out docs/data/refine.json --plot docs/images/refine.png
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import SHARED, machine, read_photo
from gradients import Divergence
from networks import FastestDet
from result_files import add_file, report_parser, write_report
from torch import Tensor, nn

import npp
from npp.evaluation import bootstrap_bd_rate

QPS = (28, 34, 39, 44)
# Plain files are cheap: finer and further, so that their curve covers all of the refined one.
PLAIN_QPS = (22, 25, 28, 31, 34, 37, 39, 42, 44)
STEPS = 12
TASK = "EfficientNet-Lite0 on the picture and npp.VIEWS of it"
WRITTEN = {"effort": 8, "tune": "ssim"}


def photo_paths(count: int) -> list[Path]:
    """So many photos, spread over the classes."""
    paths = sorted((SHARED / "data/imagenet-sample").glob("*.webp"))
    paths = paths[:: max(1, len(paths) // count)][:count]
    if len(paths) < count:
        raise SystemExit(f"{count} photos are needed, {len(paths)} were found in {SHARED}")
    return paths


def read_labels(paths: list[Path]) -> Tensor:
    """(N,) ImageNet classes."""
    with (SHARED / "data/imagenet-sample/labels.csv").open() as file:
        classes = {row["file"]: int(row["label"]) for row in csv.DictReader(file)}
    return torch.tensor([classes[path.name] for path in paths])


def photos(paths: list[Path], size: int) -> Tensor:
    """(N, 3, size, size) in [0, 1], 8-bit values."""
    full = torch.stack([read_photo(path)[:, 16:240, 16:240] for path in paths]).float() / 255
    if size == full.shape[-1]:
        return full
    small = nn.functional.interpolate(full, (size, size), mode="bilinear", antialias=True)
    return (small.clamp(0, 1) * 255).round() / 255


def _psnr(a: Tensor, b: Tensor) -> Tensor:
    return -10 * (a - b).square().mean((1, 2, 3)).clamp_min(1e-10).log10()


Arm = dict[int, dict[str, Tensor]]  # by qp; x_hat as uint8, bpp, and the step taken where refined


def _bytes(x_hat: Tensor) -> Tensor:
    return (x_hat * 255).round().to(torch.uint8)


def write_plain(x: Tensor, qp: int, task: Callable[[Tensor], Tensor], lr: float) -> dict[str, Tensor]:
    """Files of the pictures as they are."""
    plain = npp.compress(x, qp, **WRITTEN)
    return {"x_hat": _bytes(plain.x_hat), "bpp": plain.bpp}


def write_refined(x: Tensor, qp: int, task: Callable[[Tensor], Tensor], lr: float) -> dict[str, Tensor]:
    """Files of refined pictures."""
    refined = npp.refine(x, qp, task, steps=STEPS, lr=lr, **WRITTEN)
    return {"x_hat": _bytes(refined.x_hat), "bpp": refined.bpp, "step": refined.best_step}


ARMS = {"plain": (PLAIN_QPS, write_plain), "refined": (QPS, write_refined)}


def run(x: Tensor, batch: int, cache: Path, lr: float) -> dict[str, Arm]:
    """Both arms at all their qps over all pictures, batch by batch."""
    network = Divergence(x)
    cache.mkdir(parents=True, exist_ok=True)
    parts: dict[str, dict[int, list[dict[str, Tensor]]]] = {
        arm: {qp: [] for qp in qps} for arm, (qps, _) in ARMS.items()
    }
    for begin in range(0, len(x), batch):
        part = slice(begin, begin + batch)
        task = npp.keep_prediction(network.log_probabilities, x[part], npp.VIEWS)
        for arm, (qps, write) in ARMS.items():
            for qp in qps:
                name = f"{arm}_{lr}" if arm == "refined" else arm
                stored = cache / f"{name}_{x.shape[-1]}_{batch}_{begin}_{qp}.pt"
                if not stored.exists():
                    torch.save(write(x[part], qp, task, lr), stored)
                parts[arm][qp].append(torch.load(stored))
        print(f"{min(begin + batch, len(x))} of {len(x)} photos", flush=True)
    return {
        arm: {
            qp: {name: torch.cat([one[name] for one in found]) for name in found[0]}
            for qp, found in by_qp.items()
        }
        for arm, by_qp in parts.items()
    }


View = Callable[[Tensor], "tuple[Tensor, Tensor | None]"]


def _judge(name: str, x: Tensor) -> tuple[View, Tensor | None]:
    """(uint8 pictures to their divergence from the clean prediction and log-probabilities, clean ones)."""
    if name == "fastestdet":
        detector = FastestDet()
        clean = detector.predict(_bytes(x))
        return lambda images: (detector.divergence(images, clean), None), None
    network = Divergence(x, {"lite0": 0, "lite2": 2}[name])

    def view(images: Tensor) -> tuple[Tensor, Tensor]:
        now = network.predictions(images.float() / 255)
        return (network.clean.exp() * (network.clean - now)).sum(1), now

    return view, network.clean


def judge(name: str, x: Tensor, labels: Tensor, found: dict[str, Arm]) -> dict[str, Any]:
    """BD-rate over KL of one network, and what became of its predictions at equal qp."""
    view, clean = _judge(name, x)
    seen = {arm: {qp: view(one["x_hat"]) for qp, one in by_qp.items()} for arm, by_qp in found.items()}
    bpp = {arm: np.stack([one["bpp"].numpy() for one in by_qp.values()]) for arm, by_qp in found.items()}
    kl = {arm: np.stack([one[0].numpy() for one in by_qp.values()]) for arm, by_qp in seen.items()}
    interval = bootstrap_bd_rate(
        bpp["plain"], kl["plain"], bpp["refined"], kl["refined"], summarise=lambda mean: -np.log(mean)
    )
    result: dict[str, Any] = {
        "bd_rate_kl": [round(interval.value, 2), round(interval.low, 2), round(interval.high, 2)],
        "covered": round(_covered(*(-np.log(kl[arm].mean(1)) for arm in ARMS)), 3),
        **{f"{arm}_kl": np.round(kl[arm].mean(1), 5).tolist() for arm in ARMS},
    }
    if clean is not None:
        predicted = {arm: torch.stack([seen[arm][qp][1] for qp in QPS]) for arm in ARMS}  # type: ignore[misc]
        result |= predictions(clean, predicted, labels)
    return result


def predictions(clean: Tensor, predicted: dict[str, Tensor], labels: Tensor) -> dict[str, Any]:
    """What the files do to predictions, right and wrong ones, at each of QPS.

    Args:
        clean: (N, classes) log-probabilities of the clean pictures.
        predicted: of each arm's files, (qps, N, classes).
        labels: (N,) true classes.
    """
    classes = clean.argmax(1)
    same = {arm: now.argmax(2) == classes for arm, now in predicted.items()}
    right = {arm: (now.argmax(2) == labels).double() for arm, now in predicted.items()}
    wrong = classes != labels
    chosen = classes[wrong, None]
    result: dict[str, Any] = {
        "brought_back": (~same["plain"] & same["refined"]).sum(1).tolist(),
        "lost": (same["plain"] & ~same["refined"]).sum(1).tolist(),
        "clean_wrong": int(wrong.sum()),
        "clean_wrong_confidence": round(float(clean[wrong].gather(1, chosen).exp().mean()), 4),
    }
    for arm, now in predicted.items():
        confidence = now[:, wrong].gather(2, chosen.expand(len(now), -1, -1)).exp().mean((1, 2))
        result[f"{arm}_agreement"] = np.round(same[arm].double().mean(1).numpy(), 4).tolist()
        result[f"{arm}_wrong_made_right"] = right[arm][:, wrong].sum(1).int().tolist()
        result[f"{arm}_wrong_confidence"] = np.round(confidence.numpy(), 4).tolist()
    return result


def _covered(plain: Any, refined: Any) -> float:
    """The part of the refined curve's range of quality that the plain one has too."""
    common = min(plain.max(), refined.max()) - max(plain.min(), refined.min())
    return float(max(0.0, common) / (refined.max() - refined.min()))


def plot(result: dict[str, Any], path: Path) -> None:
    """KL over bpp, one panel a judge."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(result["judges"]), figsize=(4.4 * len(result["judges"]), 3.6))
    for axis, (name, judged) in zip(np.atleast_1d(axes), result["judges"].items(), strict=True):
        for arm in ("plain", "refined"):
            axis.plot(result[f"{arm}_bpp"], judged[f"{arm}_kl"], marker="o", label=arm)
        axis.set(title=f"{name}: {judged['bd_rate_kl'][0]:+.1f} %", xlabel="bpp", yscale="log")
        axis.grid(alpha=0.3)
    np.atleast_1d(axes)[0].set_ylabel("KL to the clean prediction")
    np.atleast_1d(axes)[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = report_parser(__doc__, "data/refine.json")
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--lr", type=float, default=0.03, help="npp.refine's")
    parser.add_argument("--judges", default="lite0,lite2,fastestdet")
    parser.add_argument("--limit", type=int, help="stop after so many of the photos and judge those")
    parser.add_argument("--cache", type=Path, default=Path("/tmp/npp-refine"))
    add_file(parser, "--plot", "images/refine.png", "the chart")
    args = parser.parse_args()
    torch.set_num_threads(1)
    paths = photo_paths(args.photos)[: args.limit]
    x, labels = photos(paths, args.size), read_labels(paths)
    found = run(x, args.batch, args.cache, args.lr)
    result: dict[str, Any] = {
        "machine": machine(), "photos": len(x), "size": args.size, "steps": STEPS, "lr": args.lr,
        "written": WRITTEN, "surrogate": npp.gradient.surrogates.DEFAULT_SURROGATE, "task": TASK,
    }  # fmt: skip
    for arm, by_qp in found.items():
        result[f"{arm}_qps"] = list(by_qp)
        result[f"{arm}_bpp"] = [round(float(one["bpp"].mean()), 5) for one in by_qp.values()]
        decoded = [one["x_hat"].float() / 255 for one in by_qp.values()]
        result[f"{arm}_psnr"] = [round(float(_psnr(one, x).mean()), 3) for one in decoded]
    result["kept_as_given"] = [float((one["step"] == 0).double().mean()) for one in found["refined"].values()]
    result["judges"] = {name: judge(name, x, labels, found) for name in args.judges.split(",")}
    write_report(args.out, result)
    print(json.dumps(result["judges"], indent=1))
    plot(result, args.plot)


if __name__ == "__main__":
    main()
