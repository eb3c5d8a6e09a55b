"""Work in a process of its own where memory runs out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

_LIMITED = """
import json, resource

def limited(megabytes, call):
    with open("/proc/self/statm") as pages:
        now = int(pages.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (megabytes << 20), resource.RLIM_INFINITY))
    try:
        return call()
    except Exception as error:
        return error
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
"""


def printed_by(script: str, folder: Path | None = None) -> Any:
    """What a script prints as JSON in a process of its own.

    Args:
        script: it has ``json``, and ``limited(megabytes, call)``, which gives what a call gives or raises
            where only so much more memory is to be had.
        folder: where it runs.
    """
    command = [sys.executable, "-c", _LIMITED + script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
