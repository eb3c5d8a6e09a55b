"""What is added to the documentation's trainings and evaluations so that they take seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

#: What makes a training or an evaluation take seconds; everything else is as the page or its file has it.
_TRAINING = (
    "data.size=64", "data.fractions=[0.5,0.5,0]", "baseline.photos=2", "baseline.points=4",
    "optimiser.steps=2", "optimiser.batch=2", "optimiser.warmup=1", "validation.every=1",
    "validation.photos=2", "validation.qps=[28,36,44]", "validation.batch=2",
    "trainer.accelerator=cpu", "trainer.devices=1", "trainer.checkpoint_every=1", "trainer.progress=false",
)  # fmt: skip
_ALLOCATOR = (
    "labels.count=4", "labels.size=64", "labels.longest=[64,80]", "training.optimiser.steps=2",
    "training.optimiser.batch=2", "training.optimiser.warmup=1",
)  # fmt: skip
_EVALUATION = (
    "data.fractions=[0.5,0.5,0]", "data.part=train", "blur_sigmas=[0,0.7]", "scale_factors=[1,0.5]",
    "share_qps=[]", "analysis.samples=20", "threads=1", "device=cpu",
)  # fmt: skip
_NETWORKS: dict[str, dict[str, Any]] = {
    "classification": {"model": "python:doc_networks:classifier"},
    "match": {"model": "python:doc_networks:classifier", "layers": ["0"]},
    "segmentation": {"model": "python:doc_networks:segmenter"},
    "recognition": {"model": "python:doc_networks:reader", "alphabet": "abc"},
    "detection": {"model": "python:doc_networks:detector", "cells": {}},
}


def _with_small_networks(tasks: list[dict[str, Any]], **added: Any) -> str:
    """Descriptions of tasks whose networks are those of the tests, under the same labels."""
    found = []
    for task in tasks:
        kept = {key: task[key] for key in ("name", "label", "weight", "quality", "optional") if key in task}
        if added:
            kept = {"label": task["model"]} | kept | added
        found.append(kept | _NETWORKS[task["name"]])
    return json.dumps(found)


def small(words: list[str]) -> list[str]:
    """Words to add to a command, so that it takes seconds and needs no network that is not there."""
    if words[:2] == ["train", "proxy"]:
        return ["--steps", "2", "--crop", "32", "--width", "8", "--latent", "8"]
    if words[0] not in ("train", "evaluate"):
        return []
    values = yaml.safe_load(Path(words[1]).read_text())
    if words[0] == "evaluate":
        sizes = ["data.size=64"] if values["data"].get("mode") != "full" else ["data.annotations=null"]
        networks = [
            f"{key}={_with_small_networks(values[key], metrics=False)}"
            for key in ("seen", "unseen")
            if key in values
        ]
        if "masks" in values["data"]:
            sizes.append("data.mask_classes={1: 1}")
        steps = [
            f"arms.{number}.prefilter.refine.steps=1"
            for number, arm in enumerate(values.get("arms", []))
            if "refine" in (arm.get("prefilter") or {})
        ]
        settings = [*_EVALUATION, *sizes, *networks, *steps]
    elif values.get("trains") == "allocator":
        parts = [f"photos.{number}.fractions=[0.5,0.5,0]" for number in range(len(values["photos"]))]
        settings = [*_ALLOCATOR, *parts, f"tasks={_with_small_networks(values['tasks'])}"]
    else:
        pretrained = "pretraining" in (values.get("preprocessor") or {})
        steps = ["preprocessor.pretraining.steps=2"] if pretrained else []
        settings = [*_TRAINING, *steps, f"tasks={_with_small_networks(values['tasks'])}"]
    return [word for setting in settings for word in ("--set", setting)]
