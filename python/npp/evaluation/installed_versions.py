"""Versions of all software that may change measurements."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from npp.codec.build import build_config
from npp.extras import PACKAGES

_BUILD = ("npp_version", "npp_commit", "x265_version", "x265_build", "libavcodec_version")
_ALWAYS = ("torch", "numpy", "pillow")


def _judging() -> dict[str, tuple[str, ...]]:
    """The packages of networks and scores, each with the distributions that may install it."""
    return {name: (name, *package.other_names) for name, package in PACKAGES.items() if package.judges}


def _installed(names: Iterable[str]) -> str | None:
    """The version of the first of these distributions that is installed, ``None`` without one."""
    for name in names:
        with suppress(PackageNotFoundError):
            return version(name)
    return None


def versions() -> dict[str, str | None]:
    """Versions of npp, the parts of the codec, and the packages of networks.

    Packages that are not installed are left out.
    """
    build = build_config()
    names = {name: (name,) for name in _ALWAYS} | _judging()
    packages = {name: _installed(known_as) for name, known_as in names.items()}
    installed = {name: number for name, number in packages.items() if number is not None}
    return {name: build.get(name) for name in _BUILD} | installed
