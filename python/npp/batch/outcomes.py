"""The result of one file of a batch, and errors described in one line."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


def describe(error: Exception) -> str:
    """One line about an exception; its type only where the text alone would say too little."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.strerror}: {error.filename}"
    if isinstance(error, (OSError, ValueError)) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def single_line(text: str) -> str:
    """Text in one line for people: line breaks and what would steer a terminal are written as escapes.

    Names of files may hold all of that, and bytes that are no UTF-8.
    """
    return "".join(_escaped(char) if _steers(char) else char for char in text)


_STEERING = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of others, ends of lines and paragraphs
_DIRECTIONS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # they turn text round


def _steers(char: str) -> bool:
    return unicodedata.category(char) in _STEERING or char in _DIRECTIONS


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte that is no UTF-8, as Python has it in names
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()


def checksum_of(file: bytes) -> str:
    """The SHA-256 of a file in hexadecimal digits, as ``sha256sum`` prints it."""
    return hashlib.sha256(file).hexdigest()


@dataclass(frozen=True)
class FileResult:
    """The result of one file. It can be pickled, and does not depend on where the file is written.

    Attributes:
        file: the new file; ``None`` if there was an error.
        values: facts about it, as ``width``, ``height``, ``frames``, ``bytes``, and of a BPG file ``qp`` and
            ``bpp``; empty if there was an error.
        notes: what could not be kept.
        error: why there is no file, in one line.
    """

    file: bytes | None
    values: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    error: str | None = None

    @property
    def bits(self) -> int:
        """Size of the file in bits, 0 if there is no file."""
        return 0 if self.file is None else 8 * len(self.file)

    @property
    def checksum(self) -> str | None:
        """The SHA-256 of the file in hexadecimal digits, ``None`` if there is no file."""
        return None if self.file is None else checksum_of(self.file)

    @classmethod
    def failed(cls, error: Exception | str) -> FileResult:
        """The result of a file that could not be made.

        Args:
            error: the reason; an exception is described in one line.
        """
        return cls(None, error=describe(error) if isinstance(error, Exception) else error)
