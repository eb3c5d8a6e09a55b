"""Tiny data and configurations for the tests of npp.integrations.openmmlab; import it after mmcv's stand-in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "openmmlab"
_SIZES = ((120, 160), (144, 128), (120, 160), (144, 128))  # heights and widths


def write_photos(photo: np.ndarray, folder: Path) -> list[Path]:
    """Four pictures of two sizes, cut from one photo and enlarged."""
    folder.mkdir(parents=True)
    paths = []
    for number, (height, width) in enumerate(_SIZES):
        part = Image.fromarray(photo[number : number + 60, 8 * number : 8 * number + 80])
        paths.append(folder / f"{number}.png")
        part.resize((width, height), Image.Resampling.BICUBIC).save(paths[-1])
    return paths


def write_coco(photo: np.ndarray, folder: Path) -> Path:
    """A data set in COCO's format with its 80 classes: two boxes on each of four pictures."""
    from mmdet.datasets import CocoDataset

    names = CocoDataset.METAINFO["classes"]
    write_photos(photo, folder / "img")
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for number, (height, width) in enumerate(_SIZES):
        images.append({"id": number, "file_name": f"{number}.png", "height": height, "width": width})
        for side in range(2):
            box = [10 + 50 * side, 12, 44, 60]
            label = (number + side) % 3 + 1
            known = {"image_id": number, "category_id": label, "bbox": box, "area": 44 * 60, "iscrowd": 0}
            boxes.append({"id": len(boxes), **known})
    categories = [{"id": place + 1, "name": name} for place, name in enumerate(names)]
    content = {"images": images, "annotations": boxes, "categories": categories}
    (folder / "all.json").write_text(json.dumps(content))
    return folder


def write_classes(photo: np.ndarray, folder: Path) -> Path:
    """Two classes of two pictures each, a folder a class."""
    paths = write_photos(photo, folder / "new")
    for number, path in enumerate(paths):
        place = folder / f"class{number % 2}" / path.name
        place.parent.mkdir(exist_ok=True)
        path.rename(place)
    (folder / "new").rmdir()
    return folder


_TEST = "test_pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(160, 128), keep_ratio=True), "
_DETECTION = """
_base_ = {base!r}
data = dict(type='CocoDataset', data_root={data!r}, ann_file='all.json', data_prefix=dict(img='img/'), backend_args=None)
train_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True), dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs')]
test_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=(160, 128), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]
train_dataloader = dict(
    _delete_=True, batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline, **data))
val_dataloader = dict(
    _delete_=True, batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(pipeline=test_pipeline, test_mode=True, **data))
test_dataloader = val_dataloader
val_evaluator = [dict(type='CocoMetric', ann_file={data!r} + '/all.json', metric='bbox'), dict(type='BppMetric')]
test_evaluator = val_evaluator
"""
_CLASSIFICATION = """
_base_ = {base!r}
data = dict(type='CustomDataset', data_root={data!r}, with_label=True)
train_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='RandomResizedCrop', scale=64), dict(type='PackInputs')]
test_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='ResizeEdge', scale=72, edge='short'),
    dict(type='CenterCrop', crop_size=64), dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(_delete_=True, pipeline=train_pipeline, **data))
val_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(_delete_=True, pipeline=test_pipeline, **data))
test_dataloader = val_dataloader
"""
_RUN = """
model = dict(checkpoint={checkpoint!r}, test_effort=1)
train_cfg = dict(max_iters=3, val_interval=3)
test_cfg = dict(qps=[30, 40])
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=3))
env_cfg = dict(cudnn_benchmark=False)
randomness = dict(seed=0)
work_dir = {work!r}
"""


def write_config(
    path: Path, base: Path, data: Path, checkpoint: str = "none", more: str = "", *, boxes: bool
) -> Path:
    """One of our configurations on tiny data, for three steps; ``more`` is added at its end."""
    text = (_DETECTION if boxes else _CLASSIFICATION) + _RUN
    work = str(path.parent / "run")
    path.write_text(
        text.format(base=str(base), data=str(data), checkpoint=checkpoint, work=work) + more
    )
    return path


def runner_of(path: Path) -> Runner:
    """As ``tools/train.py`` makes it."""
    config = Config.fromfile(path)
    config.experiment_name = path.parent.name + path.stem
    return Runner.from_cfg(config)
