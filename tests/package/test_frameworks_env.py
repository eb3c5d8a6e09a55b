"""tools/frameworks_env where pip reaches nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_packages_out_of_reach_have_an_exit_code_of_their_own_and_leave_nothing(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    cut_off = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "none"), "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(
        [ROOT / "tools/frameworks_env", tmp_path / "folder", sys.prefix, "torch==2.13.0"],
        env={**os.environ, **cut_off, "NPP_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 75, done.stderr
    assert "pip could not install torch==2.13.0" in done.stderr
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lock"]
    assert not (tmp_path / "folder").exists()
