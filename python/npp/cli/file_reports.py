"""Reports on files, for people and as JSON."""

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
    """The report on one file.

    Attributes:
        file: name of the input.
        output: name of the output, written or not; ``None`` for a command that writes nothing.
        status: ``"written"``, ``"skipped"`` or ``"failed"``.
        error: the reason of a failure.
        notes: what could not be kept, and other remarks about the output.
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
        """The fields of the JSON report."""
        head = {"file": self.file, "output": self.output, "status": self.status, "error": self.error}
        return {**head, "notes": list(self.notes), **self.values}

    def lines(self) -> list[str]:
        """The lines of the report for people."""
        if self.status == FAILED:
            reason = (self.error or "").removesuffix(f": {self.file}")  # named by the system's messages too
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
    """A message of the library with the names of options in place of those of arguments."""
    for name, option in _OPTIONS.items():
        message = message.replace(name, option)
    return message


def print_json(value: object) -> None:
    """Prints a JSON document on standard output. Raises OSError if it cannot be written completely."""
    write_output(json.dumps(value, indent=2) + "\n")


def print_report(documents: Sequence[dict[str, Any]], code: int, **more: Any) -> int:
    """Prints the report of a command as JSON.

    Args:
        documents: one for each file.
        code: the exit code of the work.
        more: further fields beside ``files``.

    Returns:
        The exit code; that of a failure if the report could not be written completely.
    """
    from npp.codec.build import __version__  # slow, for it looks through the installed files

    try:
        print_json({"npp": __version__, "files": documents, **more})
    except OSError as error:
        say(f"npp: the report is not whole: {describe(error)}")
        return SOME_FAILED
    return code


def counts(reports: Sequence[FileReport]) -> str:
    """The last line for people, such as ``12 written, 1 failed``."""
    numbers = [
        (sum(report.status == status for report in reports), status) for status in (WRITTEN, SKIPPED, FAILED)
    ]
    return ", ".join(f"{number} {status}" for number, status in numbers if number)
