"""A whole evaluation: from a configuration to results on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from npp.config.surroundings import float32_by_default, modules_below, need, resolve_device
from npp.config.yaml_files import ConfigError
from npp.evaluation.analysis import Analyst, Findings
from npp.evaluation.arms import BEST, Arm, BlurByQp, BlurConfig, build_prefilter
from npp.evaluation.choosing import Selector, resolve_arms
from npp.evaluation.evaluate_config import EvaluateConfig
from npp.evaluation.judges import Judge, build_judge
from npp.evaluation.measured_values import Measurements, PartStore
from npp.evaluation.measuring import Measurer, Stage, code, silent
from npp.evaluation.report_files import (
    Table,
    arm_results,
    arm_summary,
    describe_arm,
    describe_computer,
    summary,
    tables,
    write_json,
)
from npp.evaluation.report_pictures import StripRow, draw_strip, plot_curves
from npp.files import write_file
from npp.photos.photo_set import PhotoSet


@dataclass(frozen=True)
class Evaluation:
    """What a run found.

    Attributes:
        out: the folder with its files.
        measured: values of every picture.
        findings: the comparisons.
        tables: the same for people.
    """

    out: Path
    measured: Measurements
    findings: Findings
    tables: list[Table]


class _Measuring:
    """Networks, store and photos of one configuration."""

    def __init__(self, config: EvaluateConfig, device: torch.device, out: Path) -> None:
        self.config, self._device, self._store = config, device, PartStore(out / "parts")
        self.networks: list[Judge] = [
            *(build_judge(spec, device, seen=True) for spec in config.seen),
            *(build_judge(spec, device, seen=False) for spec in config.unseen),
        ]

    def of(self, key: str, photos: PhotoSet, networks: Sequence[Judge]) -> Measurer:
        """A measurer of the photos that a key of the configuration describes."""
        size, threads = self.config.batch, self.config.threads
        try:
            return Measurer(photos, networks, self._store, batch=size, device=self._device, threads=threads)
        except ValueError as error:
            raise ConfigError(f"{key}.{error}") from None


def _selector(measuring: _Measuring, test: Measurer, stage: Stage) -> Selector | None:
    photos = measuring.config.selection
    if photos is None:
        return None
    # Only the first seen network chooses.
    measurer = measuring.of("selection", photos, measuring.networks[:1])
    if set(measurer.pictures) & set(test.pictures):
        raise ConfigError("selection and data share photos: choose another part or folder for one of them")
    return Selector(measuring.config, measurer, stage)


def _strip(measuring: _Measuring, measurer: Measurer, arms: Sequence[Arm], out: Path) -> None:
    config = measuring.config
    strip = config.strip
    assert strip.qp is not None
    shown, anchor = (next(one for one in arms if one.name == name) for name in (strip.arm, config.anchor))
    rows = []
    for batch in measurer.first(strip.photos):
        coded, plain = (
            code(batch, arm, strip.qp, measuring.networks, config.threads) for arm in (shown, anchor)
        )
        bits = [8 * int(one.sizes[0]) / batch.images[0, 0].numel() for one in (coded, plain)]
        rows.append(StripRow(batch.images[0], coded.filtered[0], coded.x_hat[0], *bits))
    draw_strip(rows, out / "strip.png", f"{shown.name} at qp {strip.qp}")


def evaluate(config: EvaluateConfig, out: Path, stage: Stage = silent) -> Evaluation:
    """Measures all arms, compares them and writes the results.

    What was measured before an interruption is taken from ``out/parts``. Written are ``results/ARM.json``,
    ``summary.json``, ``table.md``, ``measurements.npz``, ``curves.png`` and ``strip.png``.

    Args:
        config: see :func:`npp.evaluation.evaluate_config.parse_config`.
        out: folder, made where it is missing.
        stage: told about every stage of the work; gives the stage's progress.

    Raises:
        ConfigError: a network or weights cannot be loaded, there is no such device, photos are missing, or
            selection and data share some.
        ModuleNotFoundError: a package is missing.
    """
    # What is not there is better found before hours of work than after.
    need("a plot of the curves", "matplotlib")
    device = resolve_device(config.device)
    out.mkdir(parents=True, exist_ok=True)
    with modules_below(config.modules), float32_by_default():
        return _run(config, device, out, stage)


def _run(config: EvaluateConfig, device: torch.device, out: Path, stage: Stage) -> Evaluation:
    prefilters = {
        arm.name: build_prefilter(arm, config.qps, device, config.threads)
        for arm in config.arms
        if not (isinstance(arm.prefilter, BlurConfig) and arm.prefilter.blur == BEST)
    }
    measuring = _Measuring(config, device, out)
    measurer = measuring.of("data", config.data, measuring.networks)
    arms = resolve_arms(config, prefilters, _selector(measuring, measurer, stage))
    total = len(arms) * len(config.qps) * len(measurer.pictures)
    measured = measurer.measure(arms, config.qps, stage("measuring", total))
    findings = Analyst(measured, config.analysis, config.anchor).findings(stage)
    found = Evaluation(out, measured, findings, tables(config, measured, findings))
    _write(config, found, arms)
    _strip(measuring, measurer, arms, out)
    return found


def _write(config: EvaluateConfig, found: Evaluation, arms: Sequence[Arm]) -> None:
    out, measured = found.out, found.measured
    (out / "results").mkdir(exist_ok=True)
    described = []
    for arm, given in zip(arms, config.arms, strict=True):
        sigmas = arm.prefilter.sigmas if isinstance(arm.prefilter, BlurByQp) else None
        text = describe_arm(given, arm.options, sigmas)
        write_json(out / "results" / f"{arm.name}.json", arm_results(measured, arm.name, text))
        described.append(arm_summary(given, arm.options, sigmas))
    computer = describe_computer()
    write_json(out / "summary.json", summary(config, measured, found.findings, computer, described))
    measured.save(out / "measurements.npz")
    text = "\n\n".join(table.markdown() for table in found.tables)
    head = f"# {config.name}\n\n{len(measured.pictures)} photos, qp {', '.join(map(str, measured.qps))}."
    write_file(out / "table.md", f"{head}\n\n{text}\n".encode(), force=True)
    plot_curves(measured, out / "curves.png", f"{config.name}: {len(measured.pictures)} photos")
