"""The list of what is inside a wheel besides npp, in CycloneDX's form.

CMake puts it into the wheel's .dist-info/sboms.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from codec_sources import Source


def component(name: str, version: str, licence: str, url: str = "", sha256: str = "") -> dict[str, Any]:
    """An entry for one library; ``licence`` is an SPDX expression."""
    entry: dict[str, Any] = {
        "type": "library",
        "name": name,
        "version": version,
        "licenses": [{"expression": licence}],
        "purl": f"pkg:generic/{name}@{version}",
    }
    if url:
        reference: dict[str, Any] = {"type": "source-distribution", "url": url}
        if sha256:
            reference["hashes"] = [{"alg": "SHA-256", "content": sha256}]
        entry["externalReferences"] = [reference]
    return entry


def of_source(name: str, source: Source) -> dict[str, Any]:
    """The entry of an archive of packaging/sources.json."""
    return component(name, source.version, source.licence, source.url, source.sha256)


def write(file: Path, components: Iterable[dict[str, Any]]) -> None:
    """The list as a file."""
    document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": list(components)}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
