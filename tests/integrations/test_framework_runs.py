"""Other people's networks in whole runs of npp: filters learn for them, and they stay as they were."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import framework_nets as nets
import pytest
import torch
from command_line import run
from framework_commands import BuiltTasks, measured, train_file
from PIL import Image
from torch import Tensor

import npp
from npp.tasks import build_task

pytestmark = pytest.mark.filterwarnings("default")  # the packages' own
pytest.importorskip("lightning", reason="training needs lightning")
pytest.importorskip("yaml", reason="training needs pyyaml")
os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("YOLO_AUTOINSTALL", "false")

YOLO = ("yolov8n", "yolo11n")  # from the package's YAML files, with random weights that see things
NETWORKS = ("detr", "rt_detr", "yolos", "vit", "segformer", *YOLO)
_PROCESSORS = {
    "detr": ("DetrImageProcessor", {"size": {"shortest_edge": 64, "longest_edge": 96}}),
    "rt_detr": ("RTDetrImageProcessor", {"size": {"height": 64, "width": 64}}),
    "yolos": ("YolosImageProcessor", {"size": {"shortest_edge": 64, "longest_edge": 96}}),
    "vit": ("ViTImageProcessor", {"size": {"height": 64, "width": 64}}),
    "segformer": ("SegformerImageProcessor", {"size": {"height": 64, "width": 64}}),
}
_KINDS = {"vit": "classification", "segformer": "segmentation"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight smooth photos."""
    folder = tmp_path_factory.mktemp("photos")
    generator = torch.Generator().manual_seed(1)
    for i in range(8):
        low = torch.rand(1, 3, 6, 8, generator=generator)
        photo = torch.nn.functional.interpolate(low, (72, 96), mode="bicubic").clamp(0, 1)[0]
        Image.fromarray((photo * 255).byte().permute(1, 2, 0).numpy()).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module", params=NETWORKS)
def settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A task of that network, as a configuration has it."""
    name = str(request.param)
    folder = tmp_path_factory.mktemp(name)
    if name in YOLO:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("YOLO_CONFIG_DIR", str(folder))
            pytest.importorskip("ultralytics", reason="ultralytics is not installed")
            nets.yolo(f"{name}.yaml").save(folder / "own.pt")
        return {"name": "detection", "model": f"ultralytics:{folder / 'own.pt'}", "input": {"size": 64}}
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("torchvision", reason="image processors need torchvision")
    getattr(nets, name)().save_pretrained(folder)
    processor, sizes = _PROCESSORS[name]
    getattr(transformers, processor)(**sizes).save_pretrained(folder)
    return {"name": _KINDS.get(name, "detection"), "model": f"transformers:{folder}"}


def test_a_filter_is_trained_for_it_and_it_stays_as_it_was(
    settings: dict[str, Any], photos: Path, tmp_path: Path, built: BuiltTasks
) -> None:
    assert run("train", train_file(settings, photos, tmp_path)) == 0
    recipe = npp.Recipe.load(tmp_path / "trained" / "recipe.safetensors")
    assert recipe.preprocessor is not None
    assert built.stayed()


def test_it_is_measured_at_several_qps(
    settings: dict[str, Any], photos: Path, tmp_path: Path, built: BuiltTasks
) -> None:
    results = measured(settings, photos, tmp_path)
    assert len(results["q"]) == 5 and results["bpp"] == sorted(results["bpp"], reverse=True)
    assert built.stayed()


def test_what_sees_nothing_is_refused(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A YOLO straight from its YAML file finds nothing anywhere, and a filter could learn nothing for it."""
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    pytest.importorskip("ultralytics", reason="ultralytics is not installed")
    task = {"name": "detection", "model": "ultralytics:yolov8n.yaml", "input": {"size": 64}}
    assert run("train", train_file(task, photos, tmp_path)) == 2
    assert "the loss of detection is nothing at any qp" in capsys.readouterr().err


def test_with_a_lossless_codec_it_sees_what_it_would_have_seen(
    settings: dict[str, Any], photos: Path
) -> None:
    task = build_task(**settings)
    pixels = [torch.from_numpy(_array(path)) for path in sorted(photos.glob("*.png"))[:2]]
    x: Tensor = torch.stack(pixels).permute(0, 3, 1, 2).contiguous() / 255
    coded = npp.compress(x, 30, lossless=True).x_hat
    assert torch.equal(coded, x)
    clean = task.targets(x)
    assert torch.equal(task.loss(coded, clean), task.loss(x, clean))
    again = task.targets(coded)
    for one, other in zip(clean, again, strict=True):
        if isinstance(one, dict):
            assert all(torch.equal(one[name], other[name]) for name in ("boxes", "labels", "scores"))
        else:
            assert torch.equal(one, other)


def _array(path: Path) -> Any:
    import numpy as np

    with Image.open(path) as image:
        return np.array(image)
