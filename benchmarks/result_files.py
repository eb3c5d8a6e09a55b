"""Where benchmarks write what they measured: a place that is known and checked before hours of work begin.

Nothing here needs more than Python and this repository, for scripts in tools/ use it too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"

try:
    from npp.files import check_target, write_file
except ModuleNotFoundError:  # tools run with a Python where npp is not installed
    sys.path.append(str(ROOT / "python"))
    from npp.files import check_target, write_file

#: Programs that ``make cpp-test`` builds.
_PROGRAMS = ROOT / "build/cpp-tests/third_party/libbpg/tests"


def result_file(text: str) -> Path:
    """A file of the command line that can be written, or replaced.

    Raises:
        argparse.ArgumentTypeError: it is a folder or a device, or nothing can be written into its folder.
    """
    path = Path(text).absolute()
    try:
        check_target(path, force=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{path.parent} is no folder")
    if not os.access(path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{path.parent} may not be written")
    return path


def report_parser(description: str | None, result: str | None = None) -> argparse.ArgumentParser:
    """The parser of a benchmark, with ``--out`` for its report.

    Args:
        description: of the benchmark, for ``--help``.
        result: the report's place below docs/, from wherever the benchmark is started, unless ``--out`` names
            another one; without it ``--out`` has to be given.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_file(parser, "--out", result, "the report")
    return parser


def add_file(parser: argparse.ArgumentParser, option: str, result: str | None, what: str) -> None:
    """An option for a file that is written: its place below docs/ unless another one is given.

    Args:
        parser: gets the option.
        option: its name.
        result: the place; without it the option has to be given.
        what: is written, for ``--help``.
    """
    # As text, so that argparse checks it as it checks what is given.
    default = None if result is None else str(DOCS / result)
    usual = "" if result is None else f"; docs/{result} by default"
    parser.add_argument(
        option, type=result_file, default=default, required=result is None, metavar="FILE", help=what + usual
    )


def refuse_quick(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """Ends the program where figures of a quick look would replace those of the pages."""
    if given.quick and str(given.out) == parser.get_default("out"):
        parser.error("--quick needs --out: the figures of the pages are those of all runs")


def program_arguments(description: str | None, program: str, result: str) -> argparse.Namespace:
    """The command line of a benchmark that runs a C++ program: ``--program``, which is there, and ``--out``.

    Args:
        description: of the benchmark, for ``--help``.
        program: name of the one that ``make cpp-test`` builds.
        result: as :func:`report_parser`.
    """
    parser = report_parser(description, result)
    parser.add_argument("--program", type=Path, default=_PROGRAMS / program)
    given = parser.parse_args()
    if not given.program.is_file():
        parser.error(f"{given.program} does not exist; `make cpp-test` builds it")
    return given


def read_report(parser: argparse.ArgumentParser, path: Path, option: str) -> Any:
    """A report that is there already, of which an option keeps a part; ends the program if there is none."""
    if not path.is_file():
        parser.error(f"{option} keeps a part of --out, and {path} is not there")
    return json.loads(path.read_text(encoding="utf-8"))


def write_report(path: Path, report: object, *, indent: int | None = 1) -> None:
    """Writes a report as JSON: all of it, or the old one stays.

    Args:
        path: the file.
        report: what JSON can hold.
        indent: of its lines; ``None`` puts all into one line.
    """
    write_file(path, (json.dumps(report, indent=indent) + "\n").encode(), force=True)
