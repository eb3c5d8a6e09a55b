"""What became of every file, for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from npp.batch.outcomes import describe
from npp.cli.exit_codes import SOME_FAILED
from npp.cli.streams import say, write_output

WRITTEN, SKIPPED, FAILED = "written", "skipped", "failed"


@dataclass(frozen=True)
class FileReport:
    """The outcome for one file.

    Attributes:
        file: what was read.
        output: what was written or would have been; ``None`` where nothing is written.
        status: ``"written"``, ``"skipped"``, ``"failed"``.
        error: why it failed.
        notes: what could not be kept, and what else is to be known of the output.
        values: further fields of the JSON report.
        summary: the line for people.
    """

    file: str
    output: str | None
    status: str
    error: str | None = None
    notes: tuple[str, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)
    summary: str = ""

    def as_json(self) -> dict[str, Any]:
        """The report's fields for JSON."""
        head = {"file": self.file, "output": self.output, "status": self.status, "error": self.error}
        return {**head, "notes": list(self.notes), **self.values}

    def lines(self) -> list[str]:
        """The report for people."""
        if self.status == FAILED:
            reason = (self.error or "").removesuffix(f": {self.file}")  # the system's messages name it too
            return [f"npp: {self.file}: {reason}"]
        skipped = f"{self.file}: skipped, {self.output} exists"
        headline = skipped if self.status == SKIPPED else self.summary
        return [headline, *(f"  note: {note}" for note in self.notes)]


_OPTIONS = {
    "npp.set_max_pixels": "--max-pixels",
    "restore_size=True": "--restore-size",
    "target_bpp is": "--target-bpp is",
}


def in_options(message: str) -> str:
    """What the library says, with the command line's names for what it names."""
    for name, option in _OPTIONS.items():
        message = message.replace(name, option)
    return message


def print_json(value: object) -> None:
    """A JSON document on standard output. Raises OSError where it does not arrive whole."""
    write_output(json.dumps(value, indent=2) + "\n")


def print_report(documents: Sequence[dict[str, Any]], code: int, **more: Any) -> int:
    """A command's report as JSON.

    Args:
        documents: one for each file.
        code: the exit code.
        more: further fields beside ``files``.

    Returns:
        the exit code; that of a failure where the report did not arrive whole.
    """
    from npp.codec.build import __version__  # looked up in the installed files, as slow as much of the rest

    try:
        print_json({"npp": __version__, "files": documents, **more})
    except OSError as error:
        say(f"npp: the report is not whole: {describe(error)}")
        return SOME_FAILED
    return code


def counts(reports: Sequence[FileReport]) -> str:
    """The last line for people, as ``12 written, 1 failed``."""
    numbers = [
        (sum(report.status == status for report in reports), status) for status in (WRITTEN, SKIPPED, FAILED)
    ]
    return ", ".join(f"{number} {status}" for number, status in numbers if number)
