"""The demo of `make demo`, run for real."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

import npp

_EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, _EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    return _load("demo")


@pytest.fixture
def results(
    demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[Path, str]:
    """The folder and the output of a run with two photos and two qps."""
    monkeypatch.setattr(demo, "PHOTOS", ("chelsea", "rocket"))
    monkeypatch.setattr(demo, "QPS", (34, 46))
    out = tmp_path / "new" / "demo"
    monkeypatch.setattr(sys, "argv", ["demo.py", "--out", str(out)])
    demo.main()
    return out, capsys.readouterr().out


def test_table_files_and_sheet(demo: ModuleType, results: tuple[Path, str]) -> None:
    out, text = results
    rows = re.findall(r"^(\w+) +(\d+) +([\d.]+) +([\d.]+) +(\S+\.bpg)$", text, re.MULTILINE)
    assert len(rows) == 4
    for name, _, bpp, psnr, path in rows:
        photo = demo.load(name)
        file = Path(path).read_bytes()
        assert float(bpp) == pytest.approx(8 * len(file) / photo[0].numel(), abs=6e-4)
        mse = (npp.decode(file).double() / 255 - photo.double()).square().mean()
        assert float(psnr) == pytest.approx(float(-10 * torch.log10(mse)), abs=6e-3)
    by_photo = [rows[:2], rows[2:]]
    assert all(float(low[2]) > float(high[2]) and float(low[3]) > float(high[3]) for low, high in by_photo)
    assert f"4 .bpg files are in {out}" in text
    assert f"The contact sheet is {out / 'contact_sheet.png'}" in text
    with Image.open(out / "contact_sheet.png") as sheet:
        assert sheet.size == (3 * 264 + 8, 2 * 292 + 8)
        original = (demo.load("chelsea") * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        top, left = (original.shape[0] - 256) // 2, (original.shape[1] - 256) // 2
        shown = np.asarray(sheet)[8 : 8 + 256, 8 : 8 + 256]
        assert np.array_equal(shown, original[top : top + 256, left : left + 256])


def test_runs_again_over_its_own_results(demo: ModuleType, results: tuple[Path, str]) -> None:
    demo.main()


def test_photos_are_inside_the_package(demo: ModuleType) -> None:
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    for name in demo.PHOTOS:
        assert list(folder.glob(f"{name}.*")), name


def test_saving_compares_three_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    saving = _load("saving")
    monkeypatch.setattr(saving, "PHOTOS", ("chelsea",))
    monkeypatch.setattr(saving, "QPS", [30, 33, 36, 40, 44])
    monkeypatch.setattr(sys, "argv", ["saving.py", "--out", str(tmp_path)])
    saving.main()
    assert len(list((tmp_path / "tiles").glob("chelsea_*.png"))) == 2
    summary = json.loads((tmp_path / "saving" / "summary.json").read_text())
    assert {one["arm"] for one in summary["comparisons"]} == {"machine", "preprocessor"}
    results = {arm: _bpp(tmp_path, arm) for arm in ("bpg", "machine", "preprocessor")}
    assert all(now < before for now, before in zip(results["preprocessor"], results["machine"], strict=True))
    assert (tmp_path / "saving" / "curves.png").stat().st_size > 1000


def _bpp(out: Path, arm: str) -> list[float]:
    bpp: list[float] = json.loads((out / "saving" / "results" / f"{arm}.json").read_text())["results"]["bpp"]
    return bpp
