"""The report as a self-contained HTML page: charts, tables, photos, configuration, versions."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from npp.config.yaml_files import as_yaml
from npp.evaluation.analysis import Findings
from npp.evaluation.arm_words import value_in_words
from npp.evaluation.evaluate_config import EvaluateConfig
from npp.evaluation.html_curves import Panel, panels_of, savings_of
from npp.evaluation.html_pictures import PhotoView
from npp.evaluation.measured_values import PICTURE, Measurements
from npp.evaluation.report_tables import Table
from npp.files import write_file

_PAGE = Path(__file__).parent / "page"


@dataclass(frozen=True)
class ArmLine:
    """An arm and its description in one line."""

    name: str
    text: str


@dataclass(frozen=True)
class ReportPart:
    """A section of the page: arms of one kind, measured on the same pictures.

    Attributes:
        key: word for links.
        title: the heading.
        note: a sentence or two about the section.
        arms: the arms that are drawn, including the anchor.
        measured: their values.
        findings: their comparisons.
        tables: the comparisons as tables to print.
    """

    key: str
    title: str
    note: str
    arms: tuple[ArmLine, ...]
    measured: Measurements
    findings: Findings
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class JudgeBlock:
    """Panels and tables of one judge."""

    title: str
    panels: tuple[Panel, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class JudgeGroup:
    """A group of judges of equal weight: the unseen ones, the seen ones, or PSNR."""

    key: str
    title: str
    note: str
    judges: tuple[JudgeBlock, ...]


_UNSEEN = "They took no part in training or choosing anything: only they show whether a saving carries over."
_SEEN = "They took part in training or choosing something, which flatters them."
_PSNR = "How near the decoded picture is to the original, which is not what the networks need."


def _labels(config: EvaluateConfig) -> Iterator[tuple[str, str, str, list[str]]]:
    """Key, title, note and judges of each group."""
    yield "unseen", "Unseen networks", _UNSEEN, [judge.label for judge in config.unseen]
    yield "seen", "Seen networks", _SEEN, [judge.label for judge in config.seen]
    yield PICTURE, "Decoded picture", _PSNR, [PICTURE]


def _groups(config: EvaluateConfig, part: ReportPart, panels: Sequence[Panel]) -> list[JudgeGroup]:
    groups = []
    for key, title, note, labels in _labels(config):
        judges = tuple(
            JudgeBlock(
                "PSNR" if label == PICTURE else label,
                tuple(panel for panel in panels if panel.judge == label),
                tuple(table for table in part.tables if table.judge == label),
            )
            for label in labels
        )
        if judges:
            groups.append(JudgeGroup(f"{part.key}-{key}", title, note, judges))
    return groups


def _drawable_part(config: EvaluateConfig, part: ReportPart) -> dict[str, Any]:
    """A part in the form for the template and the script of the page."""
    panels = panels_of(part.measured, part.key)
    judges = [(label, key) for key, _, _, labels in _labels(config) for label in labels]
    drawn = {
        "key": part.key,
        "arms": [arm.name for arm in part.arms],
        "anchor": config.anchor,
        "panels": [asdict(panel) for panel in panels],
        "savings": savings_of(part.findings, config.anchor, [label for label, _ in judges]),
        "judges": [{"label": label, "role": role} for label, role in judges],
    }
    return {
        "head": part,
        "groups": _groups(config, part, panels),
        "tables": [table for table in part.tables if not table.judge],
        "drawn": drawn,
    }


def packed_plotly() -> str:
    """The library that draws the charts, compressed with gzip and in base64, as the page embeds it."""
    source = (files("plotly") / "package_data" / "plotly.min.js").read_bytes()
    return base64.b64encode(gzip.compress(source, 9, mtime=0)).decode()


def render_report(
    config: EvaluateConfig,
    parts: Sequence[ReportPart],
    photos: Sequence[PhotoView],
    computer: Mapping[str, Any],
) -> str:
    """The text of the page.

    Args:
        config: configuration of the run.
        parts: the sections, single files first.
        photos: the photos to show.
        computer: the result of :func:`npp.evaluation.computer.describe_computer`.
    """
    import jinja2

    loader = jinja2.FileSystemLoader(_PAGE)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    shown = [_drawable_part(config, part) for part in parts]
    return environment.get_template("report.html").render(
        config=config,
        photos=photos,
        pictures=len(parts[0].measured.pictures),
        parts=shown,
        drawn=[part["drawn"] for part in shown],
        settings=as_yaml(config.as_mapping()),
        computer={name.replace("_", " "): value_in_words(value) for name, value in computer.items()},
        style=(_PAGE / "report.css").read_text(encoding="utf-8"),
        script=(_PAGE / "report.js").read_text(encoding="utf-8"),
        plotly=packed_plotly(),
    )


def write_report(
    path: Path,
    config: EvaluateConfig,
    parts: Sequence[ReportPart],
    photos: Sequence[PhotoView],
    computer: Mapping[str, Any],
) -> None:
    """Writes the page, whole or not at all; arguments as for :func:`render_report`.

    Bytes of a photo's name that are not UTF-8 are written as escapes.
    """
    text = render_report(config, parts, photos, computer)
    write_file(path, text.encode("utf-8", "backslashreplace"), force=True)
