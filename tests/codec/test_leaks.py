"""Memory stays bounded over thousands of mixed calls, good and bad ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_GROWTH_KIB = 8 * 1024


def _growth_kib(*arguments: object) -> int:
    """In a process of its own: in this one the tests before may have left room that hides a leak."""
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is measured with Linux's /proc")
    result = subprocess.run(
        [sys.executable, "-m", "hostile.leaks", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0 and result.stderr == "", result.stderr[-2000:]
    return int(result.stdout)


def test_memory_is_bounded_over_1500_mixed_calls() -> None:
    assert _growth_kib(1500) < _GROWTH_KIB


@pytest.mark.slow
def test_memory_is_bounded_over_10000_mixed_calls() -> None:
    assert _growth_kib(10_000) < _GROWTH_KIB


def test_a_leak_would_be_noticed() -> None:
    """Of one call in fifteen something is kept, on purpose."""
    assert _growth_kib(300, "leak") > _GROWTH_KIB
