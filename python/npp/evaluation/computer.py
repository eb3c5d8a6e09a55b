"""The computer that a run was made on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import torch

from npp.codec.build import build_config
from npp.evaluation.installed_versions import versions


def cpu_name() -> str:
    """The system's name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if "model name" in line), platform.processor()
    )


def describe_computer() -> dict[str, Any]:
    """Processor, cores, GPU and versions."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        **build_config(),
        **versions(),
    }
