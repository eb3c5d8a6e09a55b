"""Tables of docs/gradients.md, from what gradients.py, rate_models.py and refine.py wrote to docs/data."""

from __future__ import annotations

import json
from typing import Any

from common import ROOT
from tables import table

#: At which surrogates are compared.
QPS = ("28", "34", "40", "46")
_ARROW = "→"
# Which of the models that were tried stand on the page, and how it writes them.
_MODELS = {
    "0.5 log2(1+(2c)^2), 8": "Σ 0.5 log2(1 + (2c/Δ)²), 8x8",
    "0.5 log2(1+(2c)^2), 8 16": "the same, 8x8 and 16x16",
    "0.5 log2(1+(2c)^2), 8 16 32": "the same, 8x8, 16x16 and 32x32",
    "0.25 log2(1+(2c)^4), 8": "Σ 0.25 log2(1 + (2c/Δ)⁴), 8x8",
    "0.25 log2(1+(2c)^4), 8 16": "the same, 8x8 and 16x16",
    "0.25 log2(1+(2c)^4), 8 16, 0.01": "**the same and 0.01 a pixel**",
    "0.25 log2(1+(2c)^4), 8 16, 0.02": "the same and 0.02 a pixel",
    "0.25 log2(1+(1.5c)^4), 8 16": "Σ 0.25 log2(1 + (1.5c/Δ)⁴), 8x8 and 16x16",
}
_JUDGES = {
    "lite0": "EfficientNet-Lite0",
    "lite2": "EfficientNet-Lite2",
    "fastestdet": "FastestDet, a detector",
}


def load_data(name: str) -> Any:
    """A JSON file of docs/data."""
    return json.loads((ROOT / "docs" / "data" / f"{name}.json").read_text())


def _short(value: float, digits: int = 2) -> str:
    """A correlation, without its leading zero."""
    return f"{value:.{digits}f}".replace("0.", ".", 1)


def _surrogate(name: str, default: str) -> str:
    if name == "spsa":
        return "SPSA on the real codec"
    return f"`{name}`{' (default)' if name == default else ''}"


def rate_models() -> str:
    """Each model's correlation with real bits, and the real bits that a step along its gradient saves."""
    found = load_data("rate_models")["results"]
    rows = []
    for key, name in _MODELS.items():
        correlations, saved = zip(*(found[key][qp] for qp in QPS), strict=True)
        cells = [" ".join(_short(one, 3) for one in correlations), " ".join(f"{one:.1f}" for one in saved)]
        rows.append([name, *cells, f"{sum(saved) / len(saved):.1f}"])
    return table(["model", "log-correlation", "real bits saved, %", "mean"], rows, text_columns=3)


def descent() -> str:
    """The lowest real objective along each surrogate's gradient, the best surrogate first."""
    report = load_data("gradients")
    rows = []
    for name, by_qp in report["summary"].items():
        best = [by_qp[qp]["best"] for qp in QPS]
        cells = [f"{one:.3f}" for one in best]
        if name != report["default"]:
            pairs = [report["against_default"][name][qp][:2] for qp in QPS]
            notes = [f"({mean:+.3f} ± {error:.3f})" for mean, error in pairs]
            cells = [" ".join(cell) for cell in zip(cells, notes, strict=True)]
        last = sum(by_qp[qp]["last"] for qp in QPS) / len(QPS)
        means = [f"{sum(best) / len(best):.3f}", f"{last:.2f}"]
        rows.append([_surrogate(name, report["default"]), *cells, *means])
    rows.sort(key=lambda row: float(row[-2]))
    head = ["surrogate", *(f"qp {qp}" for qp in QPS), "mean", "mean of the 30th step"]
    return table(head, rows, text_columns=len(head))


def directions() -> str:
    """How well each gradient predicts what happens along random directions."""
    by_qp = load_data("gradients")["direction"]["by_qp"]
    rows = [
        [f"rate, {name}", *(_short(by_qp[qp][key]["rate"]) for qp in QPS)]
        for key, name in (("gated", "the rate model"), ("hyperprior", "`hyperprior`"))
    ]
    rows += [[f"task, `{name}`", *(_short(by_qp[qp][name]["task"]) for qp in QPS)] for name in by_qp["28"]]
    return table(["", *(f"qp {qp}" for qp in QPS)], rows, text_columns=5)


def surrogate_cost() -> str:
    """CPU time of each surrogate, the fastest first."""
    report = load_data("gradients")
    costs = {name: cost for name, cost in report["cost"].items() if name != "codec"}
    rows = [
        [
            _surrogate(name, report["default"]),
            f"{cost['forward']:.0f}",
            f"{cost['backward']:.0f}",
            f"{100 * cost['part_of_effort_8']:.1f} %",
        ]
        for name, cost in sorted(costs.items(), key=lambda one: one[1]["forward"] + one[1]["backward"])
    ]
    return table(["", "forward", "backward", "part of effort 8"], rows)


def proxy() -> str:
    """How near the shipped proxy is to BPG."""
    by_qp = load_data("gradients")["proxy"]["by_qp"]
    rows = [
        ["PSNR of its x_hat to BPG's, dB", *(f"{one['psnr_proxy_to_bpg']:.2f}" for one in by_qp.values())],
        ["PSNR of the input to BPG's, dB", *(f"{one['psnr_input_to_bpg']:.2f}" for one in by_qp.values())],
        ["correlation of bpp", *(_short(one["bpp_correlation"], 3) for one in by_qp.values())],
        ["its bpp / real bpp", *(f"{one['bpp_ratio']:.2f}" for one in by_qp.values())],
    ]
    return table(["qp", *by_qp], rows, text_columns=6)


def refine_judges() -> str:
    """What refining saves by each judge."""
    rows = []
    for key, name in _JUDGES.items():
        one = load_data("refine")["judges"][key]
        value, low, high = one["bd_rate_kl"]
        interval = f"{value:+.1f} % [{low:+.1f}, {high:+.1f}]"
        rows.append([name, "yes" if key == "lite0" else "no", interval, f"{100 * one['covered']:.0f} %"])
    return table(["judge", "took part", "BD-rate", "refined curve covered by the plain one"], rows, 4)


def _arrows(plain: list[float], refined: list[float], form: str) -> list[str]:
    pairs = zip(plain, refined, strict=True)
    return [f"{before:{form}} {_ARROW} {after:{form}}" for before, after in pairs]


def _wrong(judge: dict[str, Any], name: str) -> list[list[str]]:
    counts = _arrows(judge["plain_wrong_made_right"], judge["refined_wrong_made_right"], "d")
    sure = _arrows(judge["plain_wrong_confidence"], judge["refined_wrong_confidence"], ".2f")
    clean = f"{judge['clean_wrong_confidence']:.2f} clean"
    return [
        [f"{name} wrong on the clean picture ({judge['clean_wrong']}): right on the file", *counts],
        [f"the same: probability of the wrong class ({clean})", *sure],
    ]


def refine_points() -> str:
    """Rates, divergences and predictions, plain and refined, at the refined qps."""
    report = load_data("refine")
    places = [report["plain_qps"].index(qp) for qp in report["refined_qps"]]
    lite0, lite2, detector = (report["judges"][name] for name in _JUDGES)

    def row(name: str, plain: list[float], refined: list[float], form: str) -> list[str]:
        return [name, *_arrows([plain[place] for place in places], refined, form)]

    moved = [f"{back} / {lost}" for back, lost in zip(lite2["brought_back"], lite2["lost"], strict=True)]
    agreement = [lite2["plain_agreement"], lite2["refined_agreement"]]
    rows = [
        row("bpp", report["plain_bpp"], report["refined_bpp"], ".3f"),
        row("PSNR, dB", report["plain_psnr"], report["refined_psnr"], ".2f"),
        row("KL of Lite0", lite0["plain_kl"], lite0["refined_kl"], ".3f"),
        row("KL of Lite2", lite2["plain_kl"], lite2["refined_kl"], ".3f"),
        row("divergence of FastestDet", detector["plain_kl"], detector["refined_kl"], ".1f"),
        ["Lite2 agrees with its clean prediction", *_arrows(*agreement, ".3f")],
        [f"Lite2: predictions brought back / lost, of {report['photos']}", *moved],
        *_wrong(lite2, "Lite2"),
        *_wrong(lite0, "Lite0"),
        ["pictures written as given", *(f"{100 * one:.0f} %" for one in report["kept_as_given"])],
    ]
    head = [f"plain {_ARROW} refined", *(f"qp {qp}" for qp in report["refined_qps"])]
    return table(head, rows, text_columns=5)
