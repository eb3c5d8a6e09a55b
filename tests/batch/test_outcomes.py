"""What becomes of a file, told in one line that steers no terminal."""

from __future__ import annotations

import pytest

from npp.batch import FileResult
from npp.batch.outcomes import checksum_of, describe, single_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("photo é 🐙.png", "photo é 🐙.png"),
        ("a\nb\r\tc\x1b[2Jd\x7f\x85", r"a\nb\r\tc\x1b[2Jd\x7f\x85"),
        ("a\u2028b\u2029c", r"a\u2028b\u2029c"),
        ("a\udc80b\udcff\ud800", r"a\x80b\xff\ud800"),
        ("".join(map(chr, range(0x202A, 0x202F))), r"\u202a\u202b\u202c\u202d\u202e"),
        ("".join(map(chr, range(0x2066, 0x206A))), r"\u2066\u2067\u2068\u2069"),
        ("a\u00a0b\u200d\u3000", "a\u00a0b\u200d\u3000"),
    ],
)
def test_what_would_end_a_line_or_steer_stands_there_as_an_escape(text: str, line: str) -> None:
    assert single_line(text) == line and len(line.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (FileNotFoundError(2, "No such file", "a.png"), "No such file: a.png"),
        (OSError("broken\n  disk"), "broken disk"),
        (ValueError("qp is\tlarge"), "qp is large"),
        (ValueError(), "ValueError"),
        (KeyError("a"), "KeyError: 'a'"),
        (RuntimeError("x"), "RuntimeError: x"),
    ],
)
def test_errors_are_described_in_one_line(error: Exception, line: str) -> None:
    assert describe(error) == line
    failed = FileResult.failed(error)
    assert (failed.error, failed.file, failed.bits, failed.checksum, failed.values) == (
        line,
        None,
        0,
        None,
        {},
    )


def test_the_checksum_is_sha256() -> None:
    """Of the test vector in its specification, "abc"."""
    wanted = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert checksum_of(b"abc") == FileResult(b"abc").checksum == wanted
    assert FileResult(b"abc").bits == 24
