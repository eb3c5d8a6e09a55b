"""Networks of timm by name."""

from __future__ import annotations

from contextlib import nullcontext

from torch import nn

from npp.extras import require
from npp.tasks.folding import for_judging
from npp.tasks.input_format import InputFormat
from npp.tasks.model_zoos import explained_download, is_weights_file, no_such_model, take_weights
from npp.tasks.name_prefixes import Loaded


def load(rest: str) -> Loaded:
    """A network by ``NAME[:WEIGHTS]``, and its input format.

    Raises:
        ValueError: timm has no such model, WEIGHTS is neither ``none`` nor a file, or the file has no weights
            for the model.
        OSError: the file cannot be read, or the weights cannot be downloaded.
        ModuleNotFoundError: timm is missing.
    """
    name, _, weights = rest.partition(":")
    timm = require("timm", f"timm:{name}")
    if weights and weights != "none" and not is_weights_file(weights):
        raise ValueError(f"timm:{name} has no weights {weights!r}; allowed are none and a .pth file")
    if not timm.is_model(name):
        raise ValueError(no_such_model("timm", name, "timm", timm))
    with explained_download(f"timm:{name}") if not weights else nullcontext():
        network: nn.Module = timm.create_model(name, pretrained=not weights)
    if is_weights_file(weights):
        take_weights(network, weights)
    config = timm.data.resolve_data_config({}, model=network)
    height, width = config["input_size"][1:]
    return for_judging(network), InputFormat(tuple(config["mean"]), tuple(config["std"]), (height, width))
