"""InceptionV3 as npm's package describes it, in the judge of configs/evaluate-recipes-other-family.yaml."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

MODULE = Path(__file__).resolve().parents[2] / "configs" / "nsfwjs_inception.py"


def judge() -> ModuleType:
    spec = importlib.util.spec_from_file_location("nsfwjs_inception", MODULE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def layer(kind: str, name: str, *inputs: str, **config: Any) -> dict[str, Any]:
    nodes = [[[one, 0, 0, {}] for one in inputs]] if inputs else []
    return {"name": name, "class_name": kind, "config": {"name": name, **config}, "inbound_nodes": nodes}


LAYERS = [
    layer("InputLayer", "in"),
    layer("Conv2D", "conv", "in", strides=[2, 2], padding="valid"),
    layer("BatchNormalization", "norm", "conv", epsilon=0.001, scale=False),
    layer("Activation", "act", "norm", activation="relu"),
    layer("Conv2D", "wide", "act", strides=[1, 1], padding="same"),
    layer("BatchNormalization", "wide_norm", "wide", epsilon=0.25, scale=False),
    layer("AveragePooling2D", "around", "act", pool_size=[3, 3], strides=[1, 1], padding="same"),
    layer("Concatenate", "both", "wide_norm", "around"),
    layer("MaxPooling2D", "most", "both", pool_size=[3, 3], strides=[2, 2], padding="valid"),
    layer("AveragePooling2D", "mean", "most", pool_size=[8, 8], strides=[8, 8], padding="valid"),
    layer("Flatten", "flat", "mean"),
    layer("Dense", "kinds", "flat", units=5),
]
SHAPES = {
    "conv/kernel": (3, 3, 3, 4),
    "norm/beta": (4,),
    "norm/moving_mean": (4,),
    "norm/moving_variance": (4,),
    "wide/kernel": (1, 7, 4, 2),
    "wide_norm/beta": (2,),
    "wide_norm/moving_mean": (2,),
    "wide_norm/moving_variance": (2,),
}


def javascript(value: Any) -> str:
    """As a minifier writes it: no quotation marks around keys, no 0 before a point, !0 for true."""
    text = re.sub(r'"(\w+)":', r"\1:", json.dumps(value, separators=(",", ":")))
    return re.sub(r"(?<![\d])0\.", ".", text).replace("true", "!0").replace("false", "!1")


def package(folder: Path) -> dict[str, Tensor]:
    """A small network in the package's form, in two shards; its weights, as they are there."""
    rng = np.random.default_rng(0)
    entries, data, weights = [], b"", {}
    for number, (name, shape) in enumerate(SHAPES.items()):
        levels = rng.integers(0, 256, shape, dtype=np.uint8)
        least, scale = (0.5, 0.01) if "variance" in name else (-0.25, 0.002 + number * 1e-4)
        quantization = {"min": least, "scale": scale, "dtype": "uint8"}
        entries.append({"name": name, "shape": shape, "dtype": "float32", "quantization": quantization})
        data += levels.tobytes()
        weights[name] = torch.from_numpy(levels.astype(np.float32) * scale + least)
    models = folder / "dist" / "models" / "inception_v3"
    models.mkdir(parents=True)
    topology = {"model_config": {"class_name": "Model", "config": {"layers": LAYERS}}}
    described = {"modelTopology": topology, "weightsManifest": [{"weights": entries}]}
    before, after = "!function(a){exports=a()}({1:[function(a,n){n.exports=", "},{}]},{},[1]);"
    (models / "model.min.js").write_text(before + javascript(described) + after)
    for number, part in enumerate((data[:50], data[50:]), 1):
        text = f'{before}"{base64.b64encode(part).decode()}"{after}'
        (models / f"group1-shard{number}of2.min.js").write_text(text)
    return weights


def expected(x: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """The same layer by layer, the normalisations by themselves."""

    def normalised(y: Tensor, name: str, epsilon: float) -> Tensor:
        mean, variance, beta = (weights[f"{name}/{of}"] for of in ("moving_mean", "moving_variance", "beta"))
        return F.batch_norm(y, mean, variance, bias=beta, eps=epsilon)

    y = F.interpolate(x, (299, 299), mode="bilinear", align_corners=True)
    y = F.conv2d(y, weights["conv/kernel"].permute(3, 2, 0, 1), stride=2)
    y = normalised(y, "norm", 0.001).relu()
    wide = F.conv2d(y, weights["wide/kernel"].permute(3, 2, 0, 1), padding=(0, 3))
    around = F.unfold(F.pad(y, (1, 1, 1, 1), value=torch.nan), 3).unflatten(1, (4, 9)).nanmean(2)
    both = torch.cat([normalised(wide, "wide_norm", 0.25), around.unflatten(2, y.shape[2:])], 1)
    pooled = F.max_pool2d(both, 3, 2)
    places = pooled[:, :, :72, :72].unflatten(3, (9, 8)).unflatten(2, (9, 8)).mean((3, 5))
    return F.normalize(places.permute(0, 2, 3, 1).flatten(1), dim=1)


def test_the_judge_computes_what_the_package_describes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = package(tmp_path)
    monkeypatch.setenv("NPP_NSFWJS", str(tmp_path))
    x = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    found = judge().features()(x)
    assert found.shape == (2, 9 * 9 * 6)
    torch.testing.assert_close(found, expected(x, weights))


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPP_NSFWJS", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"nowhere.*NPP_NSFWJS"):
        judge().features()
