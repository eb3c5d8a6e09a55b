"""The program about FiftyOne in docs/frameworks.md runs, without the app and its database."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doc_pages import ROOT, blocks
from PIL import Image
from torch import Tensor, nn

import npp
from npp.tasks import build_task

# Read when FiftyOne is imported: it starts no database, and tells nobody that it was imported.
os.environ.setdefault("FIFTYONE_DISABLE_SERVICES", "1")
os.environ.setdefault("FIFTYONE_DO_NOT_TRACK", "1")
fiftyone = pytest.importorskip("fiftyone")
_PAGE = ROOT / "docs/frameworks.md"


class _Spot(nn.Module):
    """Finds one box of class 1, always at the same place of pictures of 640x480."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Parameter(torch.tensor(3.0))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        corners = torch.tensor([[[64.0, 48.0, 320.0, 240.0]]]).expand(len(x), -1, -1)
        scores = torch.stack([self.score - 99, self.score]).sigmoid().expand(len(x), 1, -1)
        return {"boxes": corners, "scores": scores + 0 * x.sum((1, 2, 3))[:, None, None]}


@pytest.mark.filterwarnings("ignore")  # FiftyOne's own packages'
def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("coded", "decoded"):
        Path(name).mkdir()
    picture = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    Path("coded/a.bpg").write_bytes(npp.encode(torch.from_numpy(picture).permute(2, 0, 1), 40, effort=0))
    Image.fromarray(picture).save("decoded/a.png")
    (program,) = (block.code for block in blocks(_PAGE, "py") if "fiftyone" in block.code)
    task = build_task("detection", model=_Spot(), input={"size": [480, 640]}, cells={})
    names: dict[str, Any] = {"task": task}
    exec(compile(program, _PAGE.name, "exec"), names)
    (found,) = names["sample"]["coded"].detections
    assert found.label == "1" and found.confidence == pytest.approx(torch.tensor(3.0).sigmoid().item())
    assert found.bounding_box == pytest.approx([0.1, 0.1, 0.4, 0.4])
    assert names["sample"].bpg == "coded/a.bpg"
