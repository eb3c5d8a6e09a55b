"""Python run where a folder is a file system of its own: too small, or read-only."""

from __future__ import annotations

import functools
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest


@functools.cache
def _namespace() -> tuple[str, ...]:
    """A command whose mounts nobody else sees; empty where that is not allowed."""
    for options in (("-m",), ("-Urm",)):
        command = ("unshare", *options, "--propagation", "private")
        try:
            subprocess.run(
                [*command, "mount", "-t", "tmpfs", "none", "/mnt"], check=True, capture_output=True
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return command
    return ()


def run_mounted(mount: str, script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a script after ``mount``, a shell command, both in ``folder``.

    The test is skipped where mounting is not allowed.
    """
    if not _namespace():
        pytest.skip("mounting needs root or user namespaces")
    shell = f'{mount} && exec "$0" -c "$1"'
    command = [*_namespace(), "sh", "-e", "-c", shell, sys.executable, textwrap.dedent(script)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
