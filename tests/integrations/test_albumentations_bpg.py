"""Coding within albumentations' pipelines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, get_worker_info

import npp

pytestmark = pytest.mark.filterwarnings("default")  # the package's own


@pytest.fixture(scope="module")
def library() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_ALBUMENTATIONS_UPDATE", "1")
        yield pytest.importorskip("albumentations", reason="albumentations is not installed")


def _transform(**settings: Any) -> Any:
    from npp.integrations.albumentations_bpg import BPGCompression

    return BPGCompression(**settings)


def test_pictures_are_coded_and_boxes_stay(library: Any, photo: np.ndarray) -> None:
    pipeline = library.Compose(
        [_transform(qp_range=40, p=1.0, effort=0), library.HorizontalFlip(p=1.0)],
        bbox_params=library.BboxParams("pascal_voc", label_fields=["labels"]),
    )
    mask = np.arange(80 * 112, dtype=np.uint8).reshape(80, 112)
    found = pipeline(image=photo, mask=mask, bboxes=[[1, 2, 30, 40]], labels=[3])
    wanted = npp.decode(npp.encode(torch.from_numpy(photo).permute(2, 0, 1), 40, effort=0))
    assert (found["image"] == wanted.permute(1, 2, 0).numpy()[:, ::-1]).all()
    assert (found["mask"] == mask[:, ::-1]).all()
    np.testing.assert_allclose(found["bboxes"], [[82, 2, 111, 40]], atol=1e-3)
    swapped = _transform(qp_range=40, p=1.0, effort=0, bgr=True)(image=photo[..., ::-1].copy())["image"]
    assert (swapped[..., ::-1] == wanted.permute(1, 2, 0).numpy()).all()
    floats = _transform(qp_range=40, p=1.0, effort=0)(image=photo.astype(np.float32) / 255)["image"]
    assert floats.dtype == np.float32 and floats.shape == photo.shape


def test_pictures_are_coded_by_a_recipe(library: Any, photo: np.ndarray) -> None:
    transform = _transform(qp_range=38, p=1.0, recipe="detection", effort=0)
    recipe = npp.Recipe.load("detection")
    wanted = recipe.decode(recipe.encode(torch.from_numpy(photo).permute(2, 0, 1), 38, effort=0))
    assert (transform(image=photo)["image"] == wanted.permute(1, 2, 0).numpy()).all()
    kept = library.to_dict(transform)
    assert kept["transform"]["recipe"] == "detection"
    assert (library.from_dict(kept)(image=photo)["image"] == wanted.permute(1, 2, 0).numpy()).all()
    with pytest.raises(FileNotFoundError, match=r"recipe: .*nothing"):
        _transform(recipe="nothing")
    with pytest.raises(npp.EncodeError, match="lossless"):
        _transform(recipe="detection", lossless=True)


def test_gray_pictures_whatever_the_order_of_channels(library: Any, photo: np.ndarray) -> None:
    gray = np.ascontiguousarray(photo[..., :1])
    for bgr in (False, True):
        coded = _transform(qp_range=33, p=1.0, effort=0, bgr=bgr)(image=gray)["image"]
        wanted = npp.decode(npp.encode(gray, 33, effort=0))[0].numpy()
        assert coded.shape == gray.shape and (coded[..., 0] == wanted).all()


def test_the_last_of_four_channels_is_alpha_whatever_their_order(library: Any, photo: np.ndarray) -> None:
    """No blue is not transparent: that would lose the colours where alpha is multiplied in."""
    settings = {"qp_range": 30, "p": 1.0, "effort": 0, "premultiplied": True}
    rgba = np.dstack([photo * np.array([1, 1, 0], np.uint8), np.full_like(photo[..., 0], 255)])
    coded = _transform(**settings)(image=rgba)["image"]
    order = [2, 1, 0, 3]
    swapped = _transform(**settings, bgr=True)(image=np.ascontiguousarray(rgba[..., order]))["image"]
    assert (swapped[..., order] == coded).all()
    assert np.abs(coded.astype(int) - rgba).mean() < 10


def test_draws_are_those_of_the_pipelines_seed(library: Any, photo: np.ndarray) -> None:
    def found(seed: int) -> list[int]:
        pipeline = library.Compose([_transform(qp_range=(25, 46), p=1.0, effort=0)], seed=seed)
        return [int(pipeline(image=photo)["image"].sum()) for _ in range(5)]

    assert found(7) == found(7) != found(8)
    assert len(set(found(7))) > 2


class _Draws(Dataset[int]):
    """The qps that a pipeline draws."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        found = self.pipeline(image=np.zeros((16, 16, 3), np.uint8))
        return int(found["applied_transforms"][0][1]["qp"])


def _own_draws(worker: int) -> None:
    """As docs/frameworks.md has it."""
    about = get_worker_info()
    assert about is not None
    about.dataset.pipeline.set_random_seed(torch.initial_seed() % 2**32)  # type: ignore[attr-defined]


def test_workers_draw_their_own_where_they_are_told_to(library: Any) -> None:
    """Two epochs of two workers, each of which draws half of the qps."""

    def found(told: Any) -> list[tuple[int, ...]]:
        coding = _transform(qp_range=(0, 51), p=1.0, effort=0)
        pipeline = library.Compose([coding], seed=1, save_applied_params=True)
        loader = DataLoader(_Draws(pipeline), batch_size=4, num_workers=2, worker_init_fn=told)
        return [tuple(batch.tolist()) for _ in range(2) for batch in loader]

    assert len(set(found(None))) == 1
    assert len(set(found(_own_draws))) == 4


def test_it_is_written_to_files_and_read(library: Any, photo: np.ndarray) -> None:
    kept = library.to_dict(library.Compose([_transform(qp_range=(30, 30), p=1.0, effort=0)]))
    again = library.from_dict(kept)
    wanted = _transform(qp_range=30, p=1.0, effort=0)(image=photo)["image"]
    assert (again(image=photo)["image"] == wanted).all()


def test_wrong_settings_are_named(library: Any) -> None:
    with pytest.raises(ValueError, match="0 to 51, not 60"):
        _transform(qp_range=(25, 60))


_OTHER_PROCESS = """
import sys
import numpy as np
from ultralytics.data.augment import Albumentations
from ultralytics.utils.patches import torch_load

state = torch_load(sys.argv[1], map_location="cpu")
image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
coded = Albumentations(p=1.0, transforms=state["args"]["augmentations"])({"img": image.copy()})["img"]
print("coded" if (coded != image).any() else "as it was")
"""


@pytest.mark.parametrize("known", [True, False])
def test_the_processes_of_ultralytics_other_gpus_know_it_by_the_callback(
    library: Any, known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its trainer writes for such a process is read in a new one, where nobody has imported npp."""
    for name, value in (("CONFIG_DIR", str(tmp_path)), ("OFFLINE", "true"), ("AUTOINSTALL", "false")):
        monkeypatch.setenv(f"YOLO_{name}", value)
    dist = pytest.importorskip("ultralytics.utils.dist", reason="ultralytics is not installed")
    pytest.importorskip("cloudpickle", reason="cloudpickle is not installed")
    from npp.integrations.albumentations_bpg import registered

    monkeypatch.setattr(dist, "USER_CONFIG_DIR", tmp_path)
    stored = [library.to_dict(_transform(qp_range=40, p=1.0, bgr=True, effort=0))]
    callbacks = {"on_pretrain_routine_start": [registered] if known else []}
    trainer = SimpleNamespace(args=SimpleNamespace(augmentations=stored), model=None, callbacks=callbacks)
    state = Path(dist.generate_ddp_file(trainer)).with_suffix(".pt")
    command = [sys.executable, "-c", _OTHER_PROCESS, state]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.splitlines()[-1] == ("coded" if known else "as it was")
    registered(trainer)


def test_ultralytics_trains_with_it(
    library: Any, photo: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/frameworks.md says: among the augmentations of its own training, on BGR pictures."""
    for name, value in (("CONFIG_DIR", str(tmp_path)), ("OFFLINE", "true"), ("AUTOINSTALL", "false")):
        monkeypatch.setenv(f"YOLO_{name}", value)
    monkeypatch.chdir(tmp_path)
    ultralytics = pytest.importorskip("ultralytics", reason="ultralytics is not installed")
    for kind in ("images", "labels"):
        (tmp_path / "data" / kind).mkdir(parents=True)
    for number in range(2):
        Image.fromarray(photo).save(tmp_path / "data" / "images" / f"{number}.png")
        (tmp_path / "data" / "labels" / f"{number}.txt").write_text("0 0.5 0.5 0.4 0.4\n")
    (tmp_path / "data.yaml").write_text(
        f"path: {tmp_path}/data\ntrain: images\nval: images\nnames: {{0: thing}}\n"
    )
    from npp.integrations.albumentations_bpg import BPGCompression

    coded = []

    class Watched(BPGCompression):
        def apply(self, img: np.ndarray, *given: Any, **named: Any) -> np.ndarray:
            found = super().apply(img, *given, **named)
            coded.append(not np.array_equal(found, img))
            return found

    settings = {"epochs": 1, "imgsz": 64, "batch": 2, "workers": 0, "device": "cpu", "plots": False}
    model, coding = ultralytics.YOLO("yolov8n.yaml"), Watched(qp_range=40, p=1.0, bgr=True, effort=0)
    model.train(data="data.yaml", augmentations=[coding], project=str(tmp_path / "runs"), **settings)
    assert coded == [True, True]
