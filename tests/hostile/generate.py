"""Writes the hostile files and what must become of them.

PYTHONPATH=tests python -m hostile.generate           from the stored base files
PYTHONPATH=tests python -m hostile.generate --bases   encodes the base files anew first
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from hostile import bases
from hostile.named import CASES

FOLDER = Path(__file__).parent
EXPECTED = FOLDER / "expected.json"


def files() -> dict[str, bytes]:
    """The named files' bytes."""
    good = bases.load()
    return {name: case.make(good) for name, case in CASES.items()}


def expected() -> dict[str, dict[str, str]]:
    """The named files' outcomes."""
    return {name: {"outcome": case.outcome, "why": case.why} for name, case in sorted(CASES.items())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bases", action="store_true", help="encode the base files anew")
    if parser.parse_args().bases:
        for name, data in bases.encode().items():
            (bases.FOLDER / f"{name}.bpg").write_bytes(data)
    for old in FOLDER.glob("*.bpg"):
        old.unlink()
    for name, data in files().items():
        (FOLDER / f"{name}.bpg").write_bytes(data)
    EXPECTED.write_text(json.dumps(expected(), indent=1) + "\n")


if __name__ == "__main__":
    main()
