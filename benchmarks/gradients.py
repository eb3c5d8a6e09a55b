"""Judges every surrogate by what its gradient does to the real codec's objective (docs/gradients.md).

Four judgements, each a section of the JSON: ``descent`` (image-space Adam steps on bpp + λ KL),
``direction`` (predicted against real change along random smooth directions), ``proxy`` (the learned
proxy against BPG) and ``cost``. Each arm is written as soon as it is measured; an arm that is in the
file already is not measured again, so a stopped run goes on.

    python benchmarks/gradients.py --out docs/data/gradients.json --plot docs/images/gradients.png
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import SHARED, machine, read_photo
from networks import EfficientNetLite
from result_files import add_file, report_parser, write_report
from timing import median_seconds
from torch import Tensor, nn

import npp
from npp.gradient.refinement import refine
from npp.gradient.surrogates import NAMES, resolve_surrogate
from npp.gradient.surrogates.learned import ShippedHyperprior
from npp.hevc.quantiser import slice_qp, step_size
from npp.tasks.folding import fold_batch_norm

QPS = (28, 34, 40, 46)
STEPS, LR = 30, 3 / 255  # LR on pixels in [0, 1]
CODEC = {"effort": 0}
HELD_OUT_EVERY, HELD_OUT_FIRST = 20, 10  # the shipped proxy was trained without these photos


def published_weight(qp: int) -> float:
    """Bits a pixel that a nat is worth in the published schedule (arXiv 2206.05650)."""
    return float(2 * 2 ** ((34 - qp) / 3))


def held_out_photos(count: int, size: int) -> Tensor:
    """(count, 3, size, size) in [0, 1]: photos that no training here has seen, scaled down."""
    paths = sorted((SHARED / "data/imagenet-sample").glob("*.webp"))[HELD_OUT_FIRST::HELD_OUT_EVERY][:count]
    if len(paths) < count:
        raise SystemExit(f"{count} held-out photos are needed, {len(paths)} were found in {SHARED}")
    photos = torch.stack([read_photo(path)[:, 16:240, 16:240] for path in paths]).float() / 255
    small = nn.functional.interpolate(photos, (size, size), mode="bilinear", antialias=True)
    return (small.clamp(0, 1) * 255).round() / 255


class Divergence:
    """KL of EfficientNet-Lite's prediction from its own on the clean pictures, (N,) nats, differentiable."""

    def __init__(self, clean: Tensor, number: int = 0) -> None:
        network = fold_batch_norm(EfficientNetLite(number).model).requires_grad_(False)
        self._network = network.to(memory_format=torch.channels_last)
        with torch.no_grad():
            self.clean = torch.cat([self.log_probabilities(part) for part in clean.split(16)])

    def log_probabilities(self, x: Tensor) -> Tensor:
        """(N, classes) of pictures in [0, 1]."""
        pixels = ((x * 255 - 127) / 128).contiguous(memory_format=torch.channels_last)
        return self._network(pixels).log_softmax(1)  # type: ignore[no-any-return]

    def of(self, chosen: slice) -> Callable[[Tensor], Tensor]:
        """The loss for a part of the clean pictures."""
        clean = self.clean[chosen]
        return lambda x_hat: (clean.exp() * (clean - self.log_probabilities(x_hat))).sum(1)

    def predictions(self, x: Tensor) -> Tensor:
        """Log-probabilities without a gradient."""
        with torch.no_grad():
            return torch.cat([self.log_probabilities(part) for part in x.split(16)])


def _step(qp: int) -> float:
    """BPG's quantiser step at a qp, on the scale of 0..255."""
    return float(step_size(slice_qp(torch.tensor(float(qp)))))


def descend(x: Tensor, task: Divergence, surrogate: str, qp: int, batch: int) -> dict[str, Any]:
    """The real bpp and KL after every step, (steps + 1, pictures)."""
    bpp, loss = [], []
    for begin in range(0, len(x), batch):
        part = slice(begin, begin + batch)
        refined = refine(
            x[part], qp, task.of(part), steps=STEPS, lr=LR * 255 / _step(qp), surrogate=surrogate,
            search_effort=None, **CODEC,
        )  # fmt: skip
        bpp.append(torch.stack([step.bpp for step in refined.history]))
        loss.append(torch.stack([step.loss for step in refined.history]))
    return {"bpp": _rounded(torch.cat(bpp, 1)), "kl": _rounded(torch.cat(loss, 1))}


def _rounded(values: Tensor) -> Any:
    return np.round(values.double().numpy(), 6).tolist()


def descend_spsa(x: Tensor, task: Divergence, qp: int, batch: int) -> dict[str, Any]:
    """SPSA (Spall 1992) on the real codec: two evaluations give the slope along one random direction."""
    generator = torch.Generator().manual_seed(0)
    bpp, loss = [], []
    weight = published_weight(qp)

    def evaluate(pixels: Tensor, part: slice) -> tuple[Tensor, Tensor, Tensor]:
        with torch.no_grad():
            out = npp.compress(pixels, qp, **CODEC)
            kl = task.of(part)(out.x_hat)
        return out.bpp, kl, out.bpp + weight * kl

    for begin in range(0, len(x), batch):
        part = slice(begin, begin + batch)
        pixels = x[part].clone().requires_grad_()
        optimizer = torch.optim.Adam([pixels], lr=LR)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS, LR / 10)
        values = [evaluate(pixels, part)]
        for _ in range(STEPS):
            direction = torch.randint(0, 2, pixels.shape, generator=generator).float() * 2 - 1
            shift = direction * 2 / 255
            ahead = evaluate((pixels + shift).clamp(0, 1), part)[2]
            behind = evaluate((pixels - shift).clamp(0, 1), part)[2]
            pixels.grad = (ahead - behind)[:, None, None, None] / (4 / 255) * direction
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                pixels.clamp_(0, 1)
            values.append(evaluate(pixels, part))
        bpp.append(torch.stack([value[0] for value in values]))
        loss.append(torch.stack([value[1] for value in values]))
    return {"bpp": _rounded(torch.cat(bpp, 1)), "kl": _rounded(torch.cat(loss, 1))}


def smooth_directions(shape: torch.Size, count: int) -> Tensor:
    """(count, *shape) random directions of RMS one grey level, with the energy of 8-pixel structure."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.randn(count * shape[0], shape[1], shape[2] // 4, shape[3] // 4, generator=generator)
    smooth = nn.functional.interpolate(coarse, shape[2:], mode="bicubic", align_corners=False)
    smooth = smooth / smooth.square().mean((1, 2, 3), keepdim=True).sqrt() / 255
    return smooth.view(count, *shape)


def direction_agreement(
    x: Tensor, task: Divergence, surrogates: list[str], qp: int, count: int
) -> dict[str, Any]:
    """Correlation, over directions and pictures, of predicted and real relative changes."""
    whole = slice(0, len(x))
    with torch.no_grad():
        start = npp.compress(x, qp, **CODEC)
        start_kl = task.of(whole)(start.x_hat)
    directions = smooth_directions(x.shape, count)
    real_bpp, real_kl = [], []
    for direction in directions:
        with torch.no_grad():
            pair = [npp.compress((x + sign * direction).clamp(0, 1), qp, **CODEC) for sign in (1, -1)]
            kl = [task.of(whole)(one.x_hat) for one in pair]
        real_bpp.append((pair[0].bpp - pair[1].bpp) / start.bpp)
        real_kl.append((kl[0] - kl[1]) / start_kl.clamp_min(1e-3))
    result = {}
    for name in surrogates:
        pixels = x.clone().requires_grad_()
        out = npp.compress(pixels, qp, surrogate=name, **CODEC)
        (bits,) = torch.autograd.grad(out.bpp.sum(), pixels, retain_graph=True)
        (kl_slope,) = torch.autograd.grad(task.of(whole)(out.x_hat).sum(), pixels)
        predicted_bpp = [(2 * bits * d).sum((1, 2, 3)) / start.bpp for d in directions]
        predicted_kl = [(2 * kl_slope * d).sum((1, 2, 3)) / start_kl.clamp_min(1e-3) for d in directions]
        result[name] = {
            "rate": _correlation(predicted_bpp, real_bpp),
            "task": _correlation(predicted_kl, real_kl),
        }
    return result


def _correlation(predicted: list[Tensor], real: list[Tensor]) -> float:
    """Rank correlation (Spearman): a few steep pictures do not decide it."""
    ranks = [torch.cat(values).argsort().argsort().double() for values in (predicted, real)]
    return round(float(torch.corrcoef(torch.stack(ranks))[0, 1]), 4)


def proxy_fidelity(x: Tensor, qps: tuple[int, ...]) -> dict[str, Any]:
    """The shipped proxy against BPG: PSNR between reconstructions, correlation and ratio of bpp, per qp."""
    surrogate, result = ShippedHyperprior(), {}
    for qp in qps:
        with torch.no_grad():
            real = npp.compress(x, qp, **CODEC)
            estimate = surrogate(
                x, torch.full((len(x),), float(qp)), None, npp.codec.options.resolve_options(CODEC)
            )
        error = (estimate.x_hat.clamp(0, 1) - real.x_hat).square().mean((1, 2, 3))
        own = (x - real.x_hat).square().mean((1, 2, 3))
        result[str(qp)] = {
            "psnr_proxy_to_bpg": round(float((-10 * error.log10()).mean()), 2),
            "psnr_input_to_bpg": round(float((-10 * own.log10()).mean()), 2),
            "bpp_correlation": round(float(torch.corrcoef(torch.stack([estimate.bpp, real.bpp]))[0, 1]), 4),
            "bpp_ratio": round(float((estimate.bpp / real.bpp).mean()), 3),
        }
    return result


def _median_ms(work: Callable[[], Any], repeats: int) -> float:
    """CPU milliseconds of this process, for the machine may be shared."""
    return 1000 * median_seconds(work, repeats, clock=time.process_time)


def cost(x: Tensor, surrogates: list[str], repeats: int = 5) -> dict[str, Any]:
    """CPU milliseconds a megapixel, forward and backward, and as a part of the codec's at effort 8."""
    megapixels = x.shape[0] * x.shape[2] * x.shape[3] / 1e6
    qp = torch.full((len(x),), 34.0)
    options = npp.codec.options.resolve_options({})
    with torch.no_grad():
        real = npp.compress(x, 34)
    given = npp.gradient.surrogates.Real(real.x_hat, real.bpp)
    codec = {
        e: _median_ms(lambda e=e: npp.compress(x, 34, effort=e, threads=1), repeats) / megapixels
        for e in (0, 8)
    }
    result: dict[str, Any] = {"codec": {str(effort): round(value, 1) for effort, value in codec.items()}}
    for name in surrogates:
        surrogate = resolve_surrogate(name)

        def forward(surrogate: Any = surrogate) -> Any:
            pixels = x.clone().requires_grad_()
            return pixels, surrogate(pixels, qp, given if surrogate.needs_real else None, options)

        def both(forward: Callable[[], Any] = forward) -> None:
            pixels, estimate = forward()
            torch.autograd.grad(estimate.x_hat.sum() + estimate.bpp.sum(), pixels)

        ahead, whole = (_median_ms(work, repeats) / megapixels for work in (forward, both))
        result[name] = {
            "forward": round(ahead, 1),
            "backward": round(whole - ahead, 1),
            "part_of_effort_8": round(whole / codec[8], 4),
        }
    return result


def summarise(descent: dict[str, Any]) -> dict[str, Any]:
    """Per arm and qp: objective relative to the start at the end and best so far, with standard errors."""
    summary: dict[str, Any] = {}
    for name, by_qp in descent.items():
        summary[name] = {}
        for qp, found in by_qp.items():
            weight = published_weight(int(qp))
            bpp, kl = np.array(found["bpp"]), np.array(found["kl"])
            objective = bpp + weight * kl
            relative = objective / objective[0]
            best = relative.min(0)
            summary[name][qp] = {
                "last": round(float(relative[-1].mean()), 4),
                "best": round(float(best.mean()), 4),
                "best_error": round(float(best.std(ddof=1) / np.sqrt(best.size)), 4),
                "of_sums": round(float(objective[-1].sum() / objective[0].sum()), 4),
                "bpp": round(float((bpp[-1] / bpp[0]).mean()), 4),
                "kl": round(float(kl[-1].sum() / kl[0].sum()), 4),
            }
    return summary


def relative_to(default: str, descent: dict[str, Any]) -> dict[str, Any]:
    """Per arm and qp: its best relative objective less the default's, on the photos that both have."""
    differences: dict[str, Any] = {}
    for name, by_qp in descent.items():
        differences[name] = {}
        for qp in by_qp.keys() & descent.get(default, {}).keys():
            ours, theirs = (_best_relative(descent[arm][qp], int(qp)) for arm in (name, default))
            count = min(len(ours), len(theirs))
            paired = ours[:count] - theirs[:count]
            error = paired.std(ddof=1) / np.sqrt(count)
            differences[name][qp] = [round(float(paired.mean()), 4), round(float(error), 4), count]
    return differences


def _best_relative(found: dict[str, Any], qp: int) -> Any:
    weight = published_weight(qp)
    objective = np.array(found["bpp"]) + weight * np.array(found["kl"])
    return (objective / objective[0]).min(0)


def table(results: dict[str, Any]) -> str:
    """The descent as Markdown: best-so-far objective relative to the start, and the paired difference."""
    lines = ["| surrogate | photos | " + " | ".join(f"qp {qp}" for qp in QPS) + " | mean |"]
    lines.append("|---" * (len(QPS) + 3) + "|")
    for name, by_qp in results["summary"].items():
        if set(by_qp) != {str(qp) for qp in QPS}:
            continue
        differences = results["against_default"][name]
        cells = [f"{by_qp[str(qp)]['best']:.3f}" for qp in QPS]
        if name != results["default"]:
            pairs = [differences[str(qp)] for qp in QPS]
            cells = [f"{c} ({d:+.3f} ± {e:.3f})" for c, (d, e, _) in zip(cells, pairs, strict=True)]
        mean = np.mean([by_qp[str(qp)]["best"] for qp in QPS])
        lines.append(f"| `{name}` | {differences['28'][2]} | " + " | ".join(cells) + f" | {mean:.3f} |")
    return "\n".join(lines)


def plot(results: dict[str, Any], path: Path) -> None:
    """The mean relative objective (best so far) over steps, one panel a qp; the photos that all arms have."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(QPS), figsize=(4 * len(QPS), 3.6), sharey=True)
    common = min(len(found["bpp"][0]) for by_qp in results["descent"].values() for found in by_qp.values())
    for axis, qp in zip(axes, QPS, strict=True):
        for name, by_qp in results["descent"].items():
            if str(qp) not in by_qp:
                continue
            found = by_qp[str(qp)]
            weight = published_weight(qp)
            objective = np.array(found["bpp"]) + weight * np.array(found["kl"])
            best = np.minimum.accumulate((objective / objective[0])[:, :common], axis=0).mean(1)
            axis.plot(best, label=name, linewidth=2.5 if name == results["default"] else 1.2)
        axis.set_title(f"qp {qp}")
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel(f"real objective / start, {common} photos")
    axes[-1].legend(fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def directions(x: Tensor, surrogates: list[str]) -> dict[str, Any]:
    """How far each surrogate's direction agrees with the codec's own, by qp."""
    task = Divergence(x)
    by_qp = {str(qp): direction_agreement(x, task, surrogates, qp, 8) for qp in QPS}
    return {"photos": len(x), "directions": 8, "by_qp": by_qp}


def descents(done: dict[str, Any], x: Tensor, arms: list[str], batch: int) -> Iterator[tuple[str, int]]:
    """Adds to ``done`` each descent that it lacks, and gives its arm and qp once it is there."""
    task = Divergence(x)
    for name in arms:
        of_arm = done.setdefault(name, {})
        for qp in QPS:
            if str(qp) in of_arm:
                continue
            begin = time.process_time()
            found = descend_spsa(x, task, qp, batch) if name == "spsa" else descend(x, task, name, qp, batch)
            of_arm[str(qp)] = {**found, "cpu_seconds": round(time.process_time() - begin, 1)}
            yield name, qp


def main() -> None:
    parser = report_parser(__doc__, "data/gradients.json")
    parser.add_argument("--photos", type=int, default=32)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--arms", default=",".join((*NAMES, "spsa")))
    parser.add_argument("--sections", default="descent,direction,proxy,cost")
    add_file(parser, "--plot", "images/gradients.png", "the chart")
    args = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, Any] = json.loads(args.out.read_text()) if args.out.exists() else {"descent": {}}
    results.update(
        machine=machine(), size=args.size, steps=STEPS, lr=LR, codec=CODEC,
        default=npp.gradient.surrogates.DEFAULT_SURROGATE,
    )  # fmt: skip

    def save() -> None:
        results["summary"] = summarise(results["descent"])
        results["against_default"] = relative_to(results["default"], results["descent"])
        write_report(args.out, results)

    arms, sections = args.arms.split(","), args.sections.split(",")
    default = results["default"]
    if "descent" in sections and default not in (*arms, *results["descent"]):
        parser.error(f"--arms must name {default}, with which the others are compared, where --out lacks it")
    x = held_out_photos(args.photos, args.size)
    surrogates = [name for name in arms if name != "spsa"]
    if "cost" in sections:
        results["cost"] = cost(held_out_photos(4, 224), surrogates)
        save()
    if "proxy" in sections:
        whole = held_out_photos(32, 224)
        results["proxy"] = {"photos": 32, "size": 224, "by_qp": proxy_fidelity(whole, (22, 28, 34, 40, 46))}
        save()
    if "direction" in sections:
        results["direction"] = directions(x[:8], surrogates)
        save()
    if "descent" in sections:
        for name, qp in descents(results["descent"], x, arms, args.batch):
            save()
            print(name, qp, results["summary"][name][str(qp)], flush=True)
    print(table(results))
    plot(results, args.plot)


if __name__ == "__main__":
    main()
