"""What networks keep besides weights tells them apart, and is the same in every process."""

from __future__ import annotations

import argparse
import functools
import itertools
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from npp.config.digests import hash_state
from npp.config.kept_values import first_difference, hash_values, kept_values


class Settings:
    """An object of somebody's own, as box coders and configurations are."""

    def __init__(self, threshold: float) -> None:
        self.threshold, self.itself = threshold, self


class Keeper(nn.Module):
    """A network with something besides weights."""

    def __init__(self, kept: Any = None) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        self.inner[1].kept = kept

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.inner(x)
        return y


def _digest(kept: Any) -> str | None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Keeper(kept)
    return hash_values([network], network)


def _told(kept: Any) -> dict[str, str]:
    network = Keeper(kept)
    found = kept_values([network], network)
    assert found is not None
    return found.values


def _linear(value: float) -> nn.Module:
    network = nn.Linear(2, 2)
    nn.init.constant_(network.weight, value)
    nn.init.zeros_(network.bias)
    return network


@pytest.mark.parametrize(
    "make",
    [
        lambda value: value,
        lambda value: f"{value}",
        lambda value: {"b": [1, (value, None)], "a": 2},
        lambda value: {value, 7},
        lambda value: torch.full((2,), value),
        lambda value: np.full(2, value),
        lambda value: np.float32(value),
        lambda value: np.array([{"a": value}], dtype=object),
        lambda value: Settings(value),
        lambda value: argparse.Namespace(iou=value),
        lambda value: functools.partial(F.leaky_relu, negative_slope=value),
        lambda value: [_linear(value)],
        lambda value: {"parts": {"head": nn.Dropout(value / 10)}},
        lambda value: F.relu if value == 1 else F.gelu,
        lambda value: nn.ReLU if value == 1 else nn.GELU,
    ],
)
def test_values_of_every_kind_tell_networks_apart(make: Callable[[float], Any]) -> None:
    assert _digest(make(1.0)) == _digest(make(1.0)) != _digest(make(2.0))
    told = [_told(make(value)) for value in (1.0, 1.0, 2.0)]
    assert first_difference(told[0], told[1]) is None
    difference = first_difference(told[0], told[2])
    assert difference is not None and difference.startswith("inner.1.kept")


def test_the_first_difference_is_told_in_a_short_form() -> None:
    one, other = ({"a": ["x" * 90 + end, 1], "b": end} for end in "pq")
    difference = first_difference(_told(one), _told(other))
    assert difference is not None and len(difference) < 200
    assert difference.startswith(f"inner.1.kept.'a'.0 '{'x' * 59}... (")
    assert first_difference(_told({"a": 1}), _told({"b": 1})) == "inner.1.kept.'b' nothing, not 1"
    assert first_difference(_told([1, 2]), _told([1])) == "inner.1.kept.1 2, not nothing"


def test_few_of_many_values_are_told_and_all_count() -> None:
    many = list(range(5000))
    assert len(_told(many)) == 2000 and _digest(many) != _digest([*many[:-1], -1])


def test_tables_are_the_same_in_any_order() -> None:
    assert _digest({"a": 1, "b": 2}) == _digest({"b": 2, "a": 1}) != _digest({"a": 2, "b": 1})


@pytest.mark.parametrize("kept", [logging.getLogger("npp"), threading.Lock(), lambda: 1])
def test_what_is_of_one_process_does_not_count(kept: Any) -> None:
    assert _digest(kept) == _digest(type(kept)(kept.name) if isinstance(kept, logging.Logger) else kept)


def test_buffers_that_are_not_stored_count_and_the_mode_and_hooks_do_not() -> None:
    network = Keeper()
    network.inner.register_buffer("gain", torch.ones(3), persistent=False)
    weights, values = hash_state(network), hash_values([network], network)
    network.train(not network.training)
    network.register_forward_hook(lambda *_: None)
    assert hash_values([network], network) == values
    assert isinstance(network.inner.gain, torch.Tensor)
    network.inner.gain.mul_(0.5)
    assert hash_state(network) == weights
    assert hash_values([network], network) != values


def test_weights_do_not_count_twice() -> None:
    network = Keeper()
    values = hash_values([network], network)
    nn.init.zeros_(next(network.parameters()))
    assert hash_values([network], network) == values


def test_networks_of_files_have_no_values() -> None:
    network = Keeper()
    for name in ("efficientnet-lite0", "onnx:a.onnx", "torchvision:resnet18", "fastestdet:a.onnx"):
        assert hash_values(["classification", {"model": name}], network) is None
    assert hash_values(["python:a:Task", {"network": "onnx:a.onnx"}], network) is not None


def test_thresholds_of_torchvisions_detectors_count() -> None:
    detection = pytest.importorskip("torchvision.models.detection", reason="the networks are torchvision's")
    network = detection.fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None)
    digests = {hash_values([network], network)}
    network.roi_heads.nms_thresh = 0.05
    digests.add(hash_values([network], network))
    network.roi_heads.box_coder.weights = (1.0, 1.0, 1.0, 1.0)
    digests.add(hash_values([network], network))
    network.roi_heads.detections_per_img = 3
    digests.add(hash_values([network], network))
    network.roi_heads.score_thresh = 0.5
    digests.add(hash_values([network], network))
    assert len(digests) == 5


def test_values_are_the_same_in_every_process() -> None:
    program = (
        "import logging, threading, torch; import test_kept_values as t; "
        "print(t._digest({'a': {'x', 'y', 'zz'}, 'b': t.Settings(.5), 'c': t.F.gelu, 'd': [t._linear(2.0)], "
        "'e': lambda: 1, 'f': logging.getLogger('a'), ('g', object): threading.Lock(), "
        "'h': torch.Generator()}))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parent,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in "12"
    }
    assert len(printed) == 1


class _Closed(dict[str, int]):
    """As a file that was closed."""

    def items(self) -> Any:
        raise OSError("closed")


def _chain(length: int) -> Any:
    nodes = [Settings(0.0) for _ in range(length)]
    for node, following in itertools.pairwise(nodes):
        node.itself = following
    return nodes[0]


def _twins(levels: int) -> Any:
    twins: Any = ([1.0],)
    for _ in range(levels):
        twins = (twins, twins)
    return twins


@pytest.mark.parametrize("kept", [_chain(5000), _twins(60), _Closed(a=1)])
def test_what_is_deep_shared_or_closed_is_no_hindrance(kept: Any) -> None:
    assert _digest(kept) == _digest(kept)


@pytest.mark.parametrize("make", [torch.device, str, lambda name: {"device": torch.device(name)}])
def test_a_run_may_go_on_with_another_device(make: Callable[[str], Any]) -> None:
    assert _digest(make("cpu")) == _digest(make("cuda:1")) != _digest("another text")


def test_what_torch_compile_notes_of_a_process_does_not_count() -> None:
    network = Keeper()
    before = hash_values([network], network)
    network._torchdynamo_wrapper_id = id(network)
    assert hash_values([network], network) == before
