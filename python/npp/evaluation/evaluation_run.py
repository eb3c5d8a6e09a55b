"""A whole evaluation: from a configuration to results on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from npp.config.surroundings import modules_below, resolve_device
from npp.config.yaml_files import ConfigError
from npp.evaluation.analysis import Analyst, Findings
from npp.evaluation.arm_sharing import SharedArm, joined_qps, share_arm, shared_name, weighted_by_size
from npp.evaluation.arm_words import arm_summary, describe_arm
from npp.evaluation.arms import Arm, build_parts
from npp.evaluation.choosing import Selector, curve_qps, resolve_arms
from npp.evaluation.comparison_tables import shared_tables, tables
from npp.evaluation.computer import describe_computer
from npp.evaluation.earlier_results import SHARED, remove_earlier, result_file
from npp.evaluation.evaluate_config import EvaluateConfig
from npp.evaluation.html_pictures import photo_view
from npp.evaluation.html_report import ArmLine, ReportPart, write_report
from npp.evaluation.json_values import write_json
from npp.evaluation.judges import Axis, Judge, build_judge
from npp.evaluation.labelled_photos import LabelledPhotos
from npp.evaluation.measured_values import Measurements
from npp.evaluation.measuring import Measurer
from npp.evaluation.originals import warn_of_unused
from npp.evaluation.part_store import PartStore
from npp.evaluation.real_labels import UNLABELLED, RealLabels, read_labels
from npp.evaluation.report_files import arm_results, comparisons_json, shared_summary, summary
from npp.evaluation.report_pictures import draw_strip, plot_curves
from npp.evaluation.report_tables import Table, one_line
from npp.evaluation.strip_rows import StripRow, strip_row
from npp.evaluation.truth import LabelError
from npp.extras import need
from npp.files import write_file
from npp.photos.finding import would_be_found
from npp.photos.photo_set import PhotoSet
from npp.progress import Stage, no_stages
from npp.torch_defaults import plain_defaults

#: File name of the report, beside the other results.
REPORT = "report.html"
_CURVES, _STRIP = "curves.png", "strip.png"


@dataclass(frozen=True)
class SharedFindings:
    """Arms whose bits are shared over all pictures, with the anchor unchanged.

    Attributes:
        arms: the arms with the chosen qps.
        measured: values of every picture; bpp is weighted so that its mean is total bits over total pixels.
        findings: the comparisons.
    """

    arms: list[SharedArm]
    measured: Measurements
    findings: Findings


@dataclass(frozen=True)
class Evaluation:
    """The result of a run.

    Attributes:
        out: the folder of its files.
        measured: values of every picture.
        findings: the comparisons.
        tables: the comparisons as tables to print.
        shared: the arms with sharing, ``None`` without any.
    """

    out: Path
    measured: Measurements
    findings: Findings
    tables: list[Table]
    shared: SharedFindings | None = None


class _Measuring:
    """Networks, store and photos of one configuration."""

    def __init__(self, config: EvaluateConfig, device: torch.device, out: Path) -> None:
        self.config, self._device, self._store = config, device, PartStore(out / "parts")
        self.networks: list[Judge] = [
            *(build_judge(spec, device, seen=True) for spec in config.seen),
            *(build_judge(spec, device, seen=False) for spec in config.unseen),
        ]

    def of(
        self,
        key: str,
        photos: PhotoSet,
        networks: Sequence[Judge],
        labels: RealLabels = UNLABELLED,
    ) -> Measurer:
        """A measurer of the photos that a key of the configuration describes."""
        size, threads, device = self.config.batch, self.config.threads, self._device
        try:
            return Measurer(
                photos, networks, self._store, batch=size, device=device, threads=threads, labels=labels
            )
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError(f"{key}.{error}") from None


def _selector(measuring: _Measuring, test: Measurer, stage: Stage) -> Selector | None:
    photos = measuring.config.selection
    if photos is None:
        return None
    # Only the first seen network chooses.
    labels = _labels("selection", photos)
    measurer = measuring.of("selection", photos, measuring.networks[:1], labels)
    if {path.resolve() for path in measurer.pictures} & {path.resolve() for path in test.pictures}:
        raise ConfigError("selection and data share photos: choose another part or folder for one of them")
    return Selector(measuring.config, measurer, stage)


def _strip(measuring: _Measuring, measurer: Measurer, arms: Sequence[Arm], out: Path) -> list[StripRow]:
    config, networks = measuring.config, measuring.networks
    strip = config.strip
    assert strip.qp is not None
    shown, anchor = (next(arm for arm in arms if arm.name == name) for name in (strip.arm, config.anchor))
    rows = [
        strip_row(batch, shown, anchor, strip.qp, networks, config.threads)
        for batch in measurer.first(strip.photos)
    ]
    draw_strip(rows, out / _STRIP, f"{shown.name} and {anchor.name} at about the same bytes")
    return rows


def evaluate(config: EvaluateConfig, out: Path, stage: Stage = no_stages) -> Evaluation:
    """Measures all arms, compares them and writes the results.

    Measurements from before an interruption are taken from ``out/parts``. The results are
    ``results/ARM.json``, ``summary.json``, ``table.md``, ``measurements.npz``, ``curves.png``, ``strip.png``
    and ``report.html``. Files of an earlier run about arms that the configuration lacks are removed.

    Args:
        config: see :func:`npp.evaluation.evaluate_config.parse_config`.
        out: folder of the results, created if it is missing.
        stage: called for every stage of the work; returns the progress function of the stage.

    Raises:
        ConfigError: a network or weights cannot be loaded, there is no such device, photos are missing,
            selection and data share some, or the pictures in ``out`` would be taken for photos.
        ModuleNotFoundError: a package is missing.
    """
    # Missing things are found before hours of work, not after.
    need("a plot of the curves", "matplotlib")
    need("the page with the results", "plotly", "jinja2", "yaml")
    device = resolve_device(config.device)
    _check_photos("data", config.data, out)
    if config.selection is not None:
        _check_photos("selection", config.selection, out)
    out.mkdir(parents=True, exist_ok=True)
    with modules_below(config.modules), plain_defaults():
        return _run(config, device, out, stage)


def _check_photos(key: str, photos: LabelledPhotos, out: Path) -> None:
    """Raises ConfigError unless there are photos and the run's own pictures would not be among them."""
    try:
        photos.paths()
    except ValueError as error:
        raise ConfigError(f"{key}.{error}") from None
    for name in (_CURVES, _STRIP):
        if would_be_found(out / name, photos.folder, photos.include):
            raise ConfigError(
                f"out must not lie in {key}.folder, {photos.folder}, where {out / name} would be "
                "taken for a photo; choose another folder for one of them, or a narrower include"
            )


def _labels(key: str, photos: LabelledPhotos) -> RealLabels:
    try:
        return read_labels(photos)
    except ValueError as error:
        raise ConfigError(f"{key}.{error}") from None


def _run(config: EvaluateConfig, device: torch.device, out: Path, stage: Stage) -> Evaluation:
    labels = _labels("data", config.data)
    measuring = _Measuring(config, device, out)
    judges = {judge.label: judge for judge in measuring.networks}
    parts = {arm.name: build_parts(arm, config.qps, judges, device, config.threads) for arm in config.arms}
    measurer = measuring.of("data", config.data, measuring.networks, labels)
    measurer.check_qualities()
    warn_of_unused(labels, measuring.networks)
    axis = _choosing_axis(config, measurer.axes())
    arms = resolve_arms(config, parts, _selector(measuring, measurer, stage))
    total = len(arms) * len(config.qps) * len(measurer.pictures)
    try:
        clean = measurer.clean()  # first, for it warns of labels that the network understands differently
    except LabelError as error:
        raise ConfigError(f"data.{error}") from None
    measured = replace(measurer.measure(arms, config.qps, stage("measuring", total)), clean=clean)
    findings = Analyst(measured, config.analysis, config.anchor).findings(stage)
    shared = _shared(config, measurer, arms, measured, axis, stage)
    shown = tables(config, measured, findings)
    if shared is not None:
        shown += shared_tables(config, shared.measured, shared.findings)
    evaluation = Evaluation(out, measured, findings, shown, shared)
    computer = describe_computer()
    _write(config, evaluation, arms, computer)
    rows = _strip(measuring, measurer, arms, out)
    photos = [photo_view(name, row) for name, row in zip(measured.pictures, rows, strict=False)]
    write_report(out / REPORT, config, _report_parts(config, evaluation, arms), photos, computer)
    return evaluation


def _choosing_axis(config: EvaluateConfig, axes: Sequence[Axis]) -> Axis | None:
    """The divergence of the first seen network, if bits are shared by its losses; else ``None``."""
    if not any("measured" in arm.sharings for arm in config.arms):
        return None
    label = config.networks[0].label
    for axis in axes:
        if axis.network == label and not (axis.higher_is_better or axis.dataset or axis.true):
            return axis
    raise ConfigError(f"share: measured needs a divergence, and {label} has none")


def _shared(
    config: EvaluateConfig,
    measurer: Measurer,
    arms: Sequence[Arm],
    measured: Measurements,
    axis: Axis | None,
    stage: Stage,
) -> SharedFindings | None:
    """The arms with shared bits, from measurements at more qps; ``None`` if no arm shares bits."""
    requests = [(arm.name, sharing) for arm in config.arms for sharing in arm.sharings]
    if not requests:
        return None
    sharing_arms = [arm for arm in arms if any(arm.name == name for name, _ in requests)]
    more = sorted({*curve_qps(config.qps), *config.share_qps} - set(config.qps))
    progress = stage("measuring for sharing", len(sharing_arms) * len(more) * len(measurer.pictures))
    wide = measured
    if more:
        further = measurer.measure(sharing_arms, more, progress)
        wide = joined_qps(measured, further, [arm.name for arm in sharing_arms])
    measured_arms, shared_arms = {config.anchor: measured.arms[config.anchor]}, []
    for name, sharing in requests:
        try:
            row, shared_arm = share_arm(wide, name, sharing, config.qps, axis)
        except ValueError as error:
            raise ConfigError(f"arm {name}: {error}") from None
        measured_arms[shared_name(name, sharing)] = row
        shared_arms.append(shared_arm)
    rows = weighted_by_size(replace(measured, arms=measured_arms), list(measured_arms))
    analysis = replace(config.analysis, against=(), differences=(), groups={})
    return SharedFindings(shared_arms, rows, Analyst(rows, analysis, config.anchor).findings(stage))


_ALONE = "Every file has the arm's qp: what is claimed here holds for a file by itself."
_SHARED = (
    "Each picture has a qp of its own, chosen so that the set loses least at the same total of bits: "
    "a claim about the set, not about a file. Rates are all bits over all pixels."
)


def _shared_text(shared_arm: SharedArm) -> str:
    return f"{shared_arm.arm} with bits shared over the set by {shared_arm.sharing}"


def _report_parts(config: EvaluateConfig, evaluation: Evaluation, arms: Sequence[Arm]) -> list[ReportPart]:
    """The parts of the report: single files, and arms whose bits are shared over the set."""
    lines = [
        ArmLine(arm.name, describe_arm(arm_config, arm))
        for arm, arm_config in zip(arms, config.arms, strict=True)
    ]
    single_tables = tuple(table for table in evaluation.tables if not table.shared)
    parts = [
        ReportPart(
            "files",
            "Each file by itself",
            _ALONE,
            tuple(lines),
            evaluation.measured,
            evaluation.findings,
            single_tables,
        )
    ]
    if evaluation.shared is not None:
        anchor = next(line for line in lines if line.name == config.anchor)
        shared = [
            ArmLine(shared_name(shared_arm.arm, shared_arm.sharing), _shared_text(shared_arm))
            for shared_arm in evaluation.shared.arms
        ]
        tables_of_set = tuple(table for table in evaluation.tables if table.shared)
        title = "Bits shared over the set"
        measured, findings = evaluation.shared.measured, evaluation.shared.findings
        parts.append(
            ReportPart("shared", title, _SHARED, (anchor, *shared), measured, findings, tables_of_set)
        )
    return parts


def _content(
    config: EvaluateConfig, evaluation: Evaluation, arms: Sequence[Arm], computer: Mapping[str, Any]
) -> dict[str, Any]:
    """The summary."""
    described = [arm_summary(arm_config, arm) for arm, arm_config in zip(arms, config.arms, strict=True)]
    content = summary(config, evaluation.measured, evaluation.findings, computer, described)
    if evaluation.shared is not None:
        content["shared"] = {
            "arms": [shared_summary(shared_arm) for shared_arm in evaluation.shared.arms],
            "comparisons": comparisons_json(evaluation.shared.findings),
        }
    return content


def _write_arms(config: EvaluateConfig, evaluation: Evaluation, arms: Sequence[Arm]) -> None:
    for arm, arm_config in zip(arms, config.arms, strict=True):
        text = describe_arm(arm_config, arm)
        write_json(evaluation.out / result_file(arm.name), arm_results(evaluation.measured, arm.name, text))
    if evaluation.shared is not None:
        measured = evaluation.shared.measured
        for shared_arm in evaluation.shared.arms:
            name = shared_name(shared_arm.arm, shared_arm.sharing)
            write_json(
                evaluation.out / result_file(name), arm_results(measured, name, _shared_text(shared_arm))
            )
        measured.save(evaluation.out / SHARED)


def _write(
    config: EvaluateConfig, evaluation: Evaluation, arms: Sequence[Arm], computer: Mapping[str, Any]
) -> None:
    out, measured = evaluation.out, evaluation.measured
    (out / "results").mkdir(exist_ok=True)
    content = _content(config, evaluation, arms, computer)
    remove_earlier(out, content)
    # Written before the files that it lists, so that the next run knows them all if this one is stopped.
    write_json(out / "summary.json", content)
    _write_arms(config, evaluation, arms)
    measured.save(out / "measurements.npz")
    text = "\n\n".join(table.markdown() for table in evaluation.tables)
    qps = ", ".join(map(str, measured.qps))
    head = f"# {one_line(config.name)}\n\n{len(measured.pictures)} photos, qp {qps}."
    write_file(out / "table.md", f"{head}\n\n{text}\n".encode(), force=True)
    plot_curves(measured, out / _CURVES, f"{config.name}: {len(measured.pictures)} photos")
