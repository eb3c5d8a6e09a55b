"""The program about FiftyOne in docs/frameworks.md runs, without the app and its database."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
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

pytestmark = pytest.mark.skipif(find_spec("fiftyone") is None, reason="fiftyone is not installed")
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


def _run(program: str) -> tuple[str, list[tuple[str, float, list[float]]]]:
    """Runs it; gives the sample's coded file, and the label, confidence and box of its detections."""
    task = build_task("detection", model=_Spot(), input={"size": [480, 640]}, cells={})
    names: dict[str, Any] = {"task": task}
    exec(compile(program, _PAGE.name, "exec"), names)
    sample = names["sample"]
    found = sample["coded"].detections
    return sample.bpg, [(one.label, one.confidence, list(one.bounding_box)) for one in found]


@pytest.mark.parametrize("recipe", [npp.Recipe("plain"), npp.Recipe.load("detection")], ids=lambda r: r.name)
def test_the_page_runs(recipe: npp.Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own: FiftyOne cannot be imported after importlib_metadata, as MMPretrain does.

    Boxes are parts of the picture's sides, also where a recipe coded it smaller.
    """
    monkeypatch.chdir(tmp_path)
    for name in ("coded", "decoded"):
        Path(name).mkdir()
    picture = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    Path("coded/a.bpg").write_bytes(recipe.encode(picture, 40, effort=0))
    assert (npp.probe("coded/a.bpg").width < 640) == (recipe.scale is not None)
    Image.fromarray(picture).save("decoded/a.png")
    (program,) = (block.code for block in blocks(_PAGE, "py") if "fiftyone" in block.code)
    # FiftyOne starts no database, and tells nobody that it was imported.
    for name in ("FIFTYONE_DISABLE_SERVICES", "FIFTYONE_DO_NOT_TRACK"):
        monkeypatch.setenv(name, "1")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        file, ((label, confidence, box),) = process.submit(_run, program).result()
    assert (file, label) == ("coded/a.bpg", "1")
    assert confidence == pytest.approx(torch.tensor(3.0).sigmoid().item())
    assert box == pytest.approx([0.1, 0.1, 0.4, 0.4])
