"""Measured figures within sentences stand between markers that benchmarks/report.py fills."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from doc_pages import PAGES, name

_MARKED = re.compile(r"<!-- (results|figure) \w+ -->.*?<!-- end -->", re.DOTALL)
_FENCED = re.compile(r"^( *)(`{3,}).*?^\1\2 *$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]+`")
_TABLE = re.compile(r"^ *\|.*$", re.MULTILINE)
# How sure an interval is.
_CERTAINTY = re.compile(r"95 % (bootstrap )?intervals?|95 % of the (BD-rates|figures) that come out")
_NUMBER = r"(?<![\w.])[-+−]?\.?\d(?:[\d,.]*\d)?"
_WORD = r"(?:two|three|four|five|six|seven|eight|nine|ten)"
_COMPARED = r"(?:as (?:fast|large|long|many|slow)|faster|slower|smaller|the (?:bits|memory|speed|time))"
_TYPED = re.compile(
    rf"{_NUMBER} ?%"
    rf"|{_NUMBER} (?:percent|points|times|dB|ms|MP/s|nats)\b"
    rf"|{_NUMBER}x(?![\w.])"
    rf"|\b(?:[Tt]wice|{_WORD} times) {_COMPARED}"
    rf"|\[[-+−]\d[^\]]*\]"
    rf"|{_NUMBER} [→±]"
    rf"|(?<![\w./])0?\.\d{{3,}}(?![\w.])",
)
#: What stands typed all the same: a page, words of it, and why they are no measurement.
_NOT_MEASURED = {
    ("docs/evaluation.md", "for 95 % of what a network reaches"): "what the table asks for",
    ("docs/results.md", "to read 95 % of the plates"): "what the table asks for",
    ("docs/glossary.md", "8 times the bytes of the whole file"): "a definition",
    ("docs/glossary.md", "-20 % means a fifth fewer bits"): "an example of how to read a figure",
    ("docs/results.md", "-30 % means that three tenths"): "an example of how to read a figure",
    ("docs/gradients.md", "In the first 30 % of the steps"): "a setting",
    (
        "docs/performance.md",
        "4 times the speed at a BD-rate of at most +0.5 %, 6.8 times at +4.7 % and 43 times at +29 %",
    ): "goals",
    ("docs/performance.md", "at most 10 % over C++ for 64x64 and 3 % for 512x512"): "a goal",
    ("docs/performance.md", "at most 5 % more time than x265, and 1.9 times the images"): "goals",
    ("docs/research/filters.md", "8 % was asked for"): "a goal",
    ("docs/research/filters.md", "-30 % was the target"): "a goal",
    ("docs/research/filters.md", "-20 % was asked for"): "a goal",
}


def _sentences(text: str) -> str:
    """A page on one line, without its tables, its code and what is filled in."""
    for left_out in (_FENCED, _MARKED, _CODE, _TABLE):
        text = left_out.sub("~", text)
    return _CERTAINTY.sub("~", re.sub(r"\s+", " ", text))


def _typed(text: str) -> list[str]:
    """Each figure in the sentences of a page, with the words around it."""
    return [text[max(0, found.start() - 60) : found.end() + 40] for found in _TYPED.finditer(text)]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_measured_figure_is_typed_into_a_sentence(page: Path) -> None:
    text = _sentences(page.read_text())
    for where, words in _NOT_MEASURED:
        if where == name(page):
            assert words in text, f"{words}: not on the page any more"
            text = text.replace(words, "~")
    found = _typed(text)
    assert not found, f"put into a result file what was measured (benchmarks/figures.py): {found}"


def test_every_exception_is_of_a_page() -> None:
    assert {where for where, _ in _NOT_MEASURED} <= {name(page) for page in PAGES}


@pytest.mark.parametrize(
    "sentence",
    [
        "It saves 25 % for it.",
        "Files are -39.1 % as\nlarge.",
        "That is 1.6 times as fast.",
        "Twice the time is needed.",
        "It takes four times the time of ours.",
        "A step takes 348 ms.",
        "It gains .7 points.",
        "The mean was .483 then.",
        "It costs 1.2 dB.",
        "It was 3.5x with that [-4.5, +2].",
        "The KL rose, 0.22 → 1.13.",
    ],
)
def test_typed_figures_are_seen(sentence: str) -> None:
    assert _typed(_sentences(sentence))


@pytest.mark.parametrize(
    "sentence",
    [
        "Blocks of 16x16 at qp 40, with 95 % intervals.",
        "It saves <!-- figure seen_classifier -->26 %<!-- end -->.",
        "| measured | 25 % |",
        "Take `--quality 25 %` there.",
        "```sh\nnpp --part 50 %\n```",
        "Python 3.11, torch 2.13.0 and a factor of 0.3.",
    ],
)
def test_settings_and_filled_figures_are_not(sentence: str) -> None:
    assert not _typed(_sentences(sentence))
