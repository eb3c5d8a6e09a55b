"""Tiny data and configurations for the tests of npp.integrations.openmmlab, after mmcv's stand-in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.datasets import CocoDataset
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmpretrain.structures import DataSample
from PIL import Image

from npp.tasks.openmmlab_models import read_model_config

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "openmmlab"
#: The stock configuration below each of ours, by the name of our file.
BASES = {
    path.stem: re.findall(r'^_base_ = "(.+)"$', path.read_text(), re.MULTILINE)[0]
    for path in sorted(CONFIGS.glob("*.py"))
}
FCOS = "mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py"
RETINANET = "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"
RESNET = "mmpretrain::resnet/resnet50_8xb32_in1k.py"
_SIZES = ((120, 160), (144, 128), (120, 160), (144, 128))  # heights and widths


def lively(name: str) -> tuple[str, Any]:
    """The package and the ``model`` of a stock configuration; a detector finds something without training."""
    model = read_model_config(name).model
    if "roi_head" in model:
        model.test_cfg.rpn.update(nms_pre=50, max_per_img=20)
        model.test_cfg.rcnn.update(score_thr=0.0, max_per_img=20)
        model.roi_head.bbox_roi_extractor.roi_layer.use_torchvision = True
    elif "bbox_head" in model:
        model.test_cfg.update(score_thr=0.0, nms_pre=30)
    return name.partition("::")[0], model


def raw_pictures(photo: np.ndarray) -> list[torch.Tensor]:
    """Three pictures of two sizes as a pipeline loads them: uint8, BGR, (3, H, W)."""
    bgr = torch.from_numpy(np.ascontiguousarray(photo[..., ::-1])).permute(2, 0, 1)
    return [bgr[:, :72, :80].contiguous(), bgr[:, :64, :96].contiguous(), bgr[:, 8:, 16:96].contiguous()]


def boxed(pictures: list[torch.Tensor]) -> list[DetDataSample]:
    """A sample of MMDetection for each, with two boxes."""
    samples = []
    for number, picture in enumerate(pictures):
        size = tuple(picture.shape[-2:])
        known = {"img_id": number, "img_shape": size, "ori_shape": size, "scale_factor": (1.0, 1.0)}
        sample = DetDataSample(metainfo=known)
        boxes = torch.tensor([[4.0, 4.0, 40.0, 36.0], [20.0, 10.0, 70.0, 60.0]])
        sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([number, 7]))
        samples.append(sample)
    return samples


def labelled(pictures: list[torch.Tensor]) -> list[DataSample]:
    """A sample of MMPretrain for each, with its class."""
    return [DataSample().set_gt_label(number) for number in range(len(pictures))]


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
    names = CocoDataset.METAINFO["classes"]
    categories = [{"id": place + 1, "name": name} for place, name in enumerate(names)]
    content = {"images": images, "annotations": boxes, "categories": categories}
    (folder / "all.json").write_text(json.dumps(content))
    return folder


def write_classes(photo: np.ndarray, folder: Path) -> Path:
    """Two classes of two pictures each, a folder a class."""
    for number, path in enumerate(write_photos(photo, folder / "new")):
        place = folder / f"class{number % 2}" / path.name
        place.parent.mkdir(exist_ok=True)
        path.rename(place)
    (folder / "new").rmdir()
    return folder


_DETECTION = """
_base_ = {base!r}
data = dict(
    type='CocoDataset', data_root={data!r}, ann_file='all.json', data_prefix=dict(img='img/'),
    backend_args=None)
keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
train_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomFlip', prob=0.5), dict(type='PackDetInputs')]
test_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=(160, 128), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True), dict(type='PackDetInputs', meta_keys=keys)]
train_dataloader = dict(
    _delete_=True, batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline, **data))
val_dataloader = dict(
    _delete_=True, batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(pipeline=test_pipeline, test_mode=True, **data))
test_dataloader = val_dataloader
coco_metric = dict(type='CocoMetric', ann_file={data!r} + '/all.json', metric='bbox')
val_evaluator = [coco_metric, dict(type='BppMetric')]
test_evaluator = val_evaluator
"""
_CLASSIFICATION = """
_base_ = {base!r}
data = dict(type='CustomDataset', data_root={data!r}, with_label=True)
test_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='ResizeEdge', scale=72, edge='short'),
    dict(type='CenterCrop', crop_size=64), dict(type='PackInputs')]
one_process = dict(batch_size=2, num_workers=0, persistent_workers=False)
dataset = dict(_delete_=True, pipeline=test_pipeline, **data)
train_dataloader = dict(dataset=dataset, sampler=dict(shuffle=False), **one_process)
val_dataloader = dict(dataset=dataset, **one_process)
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
#: Every place is a detection, and few places are.
LIVELY = "model['model'] = dict(test_cfg=dict(score_thr=0.0, nms_pre=50, max_per_img=20))\n"
#: The same for two stages, with torchvision's operation instead of mmcv's compiled one.
LIVELY_STAGES = """
rpn = dict(nms_pre=50, max_per_img=20)
model['model'] = dict(
    roi_head=dict(bbox_roi_extractor=dict(roi_layer=dict(use_torchvision=True))),
    train_cfg=dict(rpn_proposal=rpn), test_cfg=dict(rpn=rpn, rcnn=dict(score_thr=0.0, max_per_img=20)))
"""


def write_config(path: Path, name: str, data: Path, checkpoint: str = "none", more: str = "") -> Path:
    """One of our configurations on tiny data, for three steps; ``more`` is added at its end."""
    text = (_DETECTION if (data / "all.json").exists() else _CLASSIFICATION) + _RUN
    base, work = str(CONFIGS / f"{name}.py"), str(path.parent / "run")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.format(base=base, data=str(data), checkpoint=checkpoint, work=work) + more)
    return path


def write_stock_config(path: Path, base: str, data: Path) -> Path:
    """A configuration that knows nothing of npp: a detector of MMDetection on tiny data."""
    plain = "val_evaluator = coco_metric\ntest_evaluator = val_evaluator\n"
    few = "model = dict(test_cfg=dict(score_thr=0.0, nms_pre=50, max_per_img=20))\n"
    path.write_text(_DETECTION.format(base=base, data=str(data)) + plain + few)
    return path


def runner_of(path: Path, **settings: Any) -> Runner:
    """As ``tools/train.py`` makes it."""
    config = Config.fromfile(path)
    config.experiment_name = "_".join(path.parts[-3:]).removesuffix(".py")
    config.merge_from_dict(settings)
    return Runner.from_cfg(config)
