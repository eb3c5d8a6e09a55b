"""Versions and build options."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import npp._bpg as _bpg
from npp.codec.limits import usable_cores

__version__ = version("npp")


def build_config() -> dict[str, Any]:
    """Versions and options of this build.

    Returns:
        npp's version; x265's version, build text, bit depths and linkage; libavcodec's version and
        linkage; the compiler; and the number of threads that ``threads=None`` stands for.
    """
    return {"npp_version": __version__, **_bpg.build_config(), "threads": usable_cores()}
