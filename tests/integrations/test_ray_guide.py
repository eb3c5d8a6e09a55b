"""The Python about Ray in docs/many-machines.md runs, on this machine and on a folder of photos."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from doc_pages import ROOT, blocks

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")
pytest.importorskip("pyarrow")

# Ray warns about itself, and its processes leave sockets to the collector.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def cluster_there(folder: Path) -> Iterator[None]:
    """Ray, whose processes are in the folder too."""
    own = {"address": "local", "num_cpus": 2, "object_store_memory": 200 << 20, "include_dashboard": False}
    ray.init(log_to_driver=False, **({} if "RAY_ADDRESS" in os.environ else own))
    yield
    ray.shutdown()


@pytest.mark.usefixtures("cluster_there")
def test_the_page_runs(folder: Path) -> None:
    code = [block.code for block in blocks(ROOT / "docs/many-machines.md", "python") if "ray" in block.code]
    assert len(code) == 1
    names: dict[str, Any] = {}
    exec(compile(code[0], "many-machines.md", "exec"), names)
    assert sorted(path.name for path in (folder / "archive").rglob("*.bpg")) == ["a.bpg", "b.bpg", "c.bpg"]
    assert sorted(path.name for path in (folder / "pixels").rglob("*.png")) == ["a.png", "b.png", "c.png"]
    assert len(list((folder / "budget").rglob("*.bpg"))) == 3
    assert len(list((folder / "shards").glob("*.tar"))) == 1
    assert len(list((folder / "rows").glob("*.parquet"))) == 1
    rows = names["encoded"].take_all()
    assert sorted(Path(row["path"]).name for row in rows if row["error"] is None) == [
        "a.png",
        "b.jpg",
        "c.png",
    ]
    assert [Path(row["path"]).name for row in rows if row["error"]] == ["notes.txt"]
