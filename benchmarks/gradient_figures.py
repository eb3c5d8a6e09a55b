"""Figures within sentences of docs/gradients.md."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean

from gradient_tables import QPS, load_data
from tables import load, span


def _gated(key: str) -> list[float]:
    """A value of the default surrogate's descent at each qp."""
    return [load_data("gradients")["summary"]["gated"][qp][key] for qp in QPS]


def codec_effort_0() -> str:
    """CPU milliseconds a megapixel of the codec, beside which the surrogates' stand."""
    return f"{load_data('gradients')['cost']['codec']['0']:.0f}"


def codec_effort_8() -> str:
    """The same of the default effort."""
    return f"{load_data('gradients')['cost']['codec']['8']:.0f}"


def gated_last() -> str:
    """The objective after the last step, relative to the start, at each qp."""
    return ", ".join(f"{value:.3f}" for value in _gated("last"))


def gated_last_mean() -> str:
    """Their mean."""
    return f"{mean(_gated('last')):.2f}"


def gated_kl() -> str:
    """What is left of the KL divergence."""
    return f"{span(100 * value for value in _gated('kl'))} %"


def gated_bits() -> str:
    """The bits, relative to the start's."""
    return f"{span(100 * value for value in _gated('bpp'))} %"


def gated_best_mean() -> str:
    """The mean of the lowest objectives."""
    return f"{mean(_gated('best')):.3f}"


def gated_best_mean_before() -> str:
    """The same before the rate model had its constant."""
    return f"{mean(load('earlier')['gated_without_the_constant']['best'].values()):.3f}"


def proxy_nearer() -> str:
    """By how much the proxy's picture is nearer to BPG's than the input is."""
    rows = load_data("gradients")["proxy"]["by_qp"].values()
    return f"{span((row['psnr_proxy_to_bpg'] - row['psnr_input_to_bpg'] for row in rows), 2)} dB"


def refine_psnr_cost() -> str:
    """What refining costs, over the qps."""
    report = load_data("refine")
    plain = dict(zip(report["plain_qps"], report["plain_psnr"], strict=True))
    refined = zip(report["refined_qps"], report["refined_psnr"], strict=True)
    return f"{span((plain[qp] - psnr for qp, psnr in refined), 1)} dB"


def _earlier_refine(settings: str, judge: str) -> Callable[[], str]:
    """A BD-rate of other settings of `npp.refine`, with its interval."""

    def figure() -> str:
        value, low, high = load("earlier")["refine"][settings]["bd_rate_kl"][judge]
        return f"{value:+.1f} % [{low:+.1f}, {high:+.1f}]"

    return figure


FIGURES: dict[str, Callable[[], str]] = {
    figure.__name__: figure
    for figure in (
        codec_effort_0,
        codec_effort_8,
        gated_last,
        gated_last_mean,
        gated_kl,
        gated_bits,
        gated_best_mean,
        gated_best_mean_before,
        proxy_nearer,
        refine_psnr_cost,
    )
} | {
    f"refine_{settings}_{judge}": _earlier_refine(settings, judge)
    for settings, judges in {
        "mirrored": ["lite2"],
        "alone": ["lite2", "fastestdet"],
        "larger_step": ["lite2", "fastestdet"],
    }.items()
    for judge in judges
}
