"""The command ``npp verify``, which checks the files of a manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from npp.batch.manifest import ManifestRow, read_manifest
from npp.batch.outcomes import describe
from npp.batch.pixel_limit import limit_on_pixels
from npp.batch.verification import verify_row
from npp.cli.exit_codes import OK, SOME_FAILED, UsageError
from npp.cli.file_reports import in_options
from npp.cli.help_panels import SETTINGS
from npp.cli.jobs import cancelling
from npp.cli.shared_options import (
    JsonReportOption,
    MaxPixelsOption,
    QuietOption,
    ThreadsOption,
    checked,
    finish,
)
from npp.cli.streams import say
from npp.codec.limits import resolve_threads

_AT_ONCE = 4096  # rows in memory


def _checked(row: ManifestRow, folder: Path, pixels: bool) -> dict[str, Any]:
    try:
        wrong = in_options(verify_row(row, folder, pixels=pixels) or "")
        status = "not encoded" if row.output is None else "wrong" if wrong else "whole"
    except MemoryError:
        wrong, status = "there is too little memory to decode it", "not decoded"
    return {"input": row.input, "output": row.output, "status": status, "error": wrong or row.error}


def _outcomes(manifests: list[str], pixels: bool, pool: ThreadPoolExecutor) -> Iterator[dict[str, Any]]:
    """The outcome for each row's file, in the order of the rows."""
    for path in manifests:
        folder, rows = Path(path).parent, read_manifest(path)
        while chunk := list(islice(rows, _AT_ONCE)):
            # Within a copy of this context, for the limit on pixels belongs to the context.
            checks = [pool.submit(copy_context().run, _checked, row, folder, pixels) for row in chunk]
            yield from (check.result() for check in checks)


def _failed(counts: Mapping[str, int], known_errors: bool) -> bool:
    """Whether a file is wrong, or no file was checked."""
    wrong = counts["wrong"] or counts["not decoded"] or (counts["not encoded"] and not known_errors)
    return bool(wrong) or not any(counts.values())


def verify(
    manifests: Annotated[
        list[str], typer.Argument(metavar="MANIFEST", help="Files are looked for from its folder on.")
    ],
    pixels: Annotated[
        bool,
        typer.Option(
            "--decode/--no-decode",
            help="Whether each file is decoded as well, or only its checksum compared.",
            rich_help_panel=SETTINGS,
        ),
    ] = True,
    known_errors: Annotated[
        bool,
        typer.Option(
            "--known-errors",
            help="Inputs that could not be encoded, as the manifest says, do not count as failures.",
            rich_help_panel=SETTINGS,
        ),
    ] = False,
    threads: ThreadsOption = None,
    max_pixels: MaxPixelsOption = None,
    json_report: JsonReportOption = False,
    quiet: QuietOption = False,
) -> None:
    """Checks files against the manifest that npp encode --manifest wrote.

    Each BPG file that the manifest names must lie where it says, have the checksum that was noted when it was
    written, and decode. What is wrong gets a line each, and the exit code 1.
    """
    workers = checked(resolve_threads, threads)
    try:
        for path in manifests:
            for _ in read_manifest(path):
                pass
    except (OSError, ValueError) as error:
        raise UsageError(describe(error)) from None
    counts = {"whole": 0, "wrong": 0, "not encoded": 0, "not decoded": 0}
    documents: list[dict[str, Any]] = []
    with limit_on_pixels(max_pixels), ThreadPoolExecutor(workers) as pool, cancelling(pool):
        for outcome in _outcomes(manifests, pixels, pool):
            counts[outcome["status"]] += 1
            if outcome["status"] != "whole":
                say(f"npp: {outcome['output'] or outcome['input']}: {outcome['error']}")
            if json_report:
                documents.append(outcome)
    if not any(counts.values()):
        say(f"npp: {', '.join(manifests)}: no rows, so nothing is known to be whole")
    elif not quiet:
        say(", ".join(f"{number} {status}" for status, number in counts.items() if number))
    code = SOME_FAILED if _failed(counts, known_errors) else OK
    finish(documents, code, json_report, counts=counts)
