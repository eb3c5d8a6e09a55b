"""Where the recipes that come with npp are."""

from __future__ import annotations

from pathlib import Path

from npp.weight_files import WeightFiles

FILES = WeightFiles("recipe", Path(__file__).parent / "weights")
