"""Networks of torchvision by name."""

from __future__ import annotations

import inspect
from contextlib import nullcontext
from typing import Any

from torch import nn

from npp.checks import did_you_mean
from npp.extras import require
from npp.tasks.folding import for_judging
from npp.tasks.input_format import InputFormat
from npp.tasks.model_zoos import explained_download, is_weights_file, no_such_model, take_weights
from npp.tasks.name_prefixes import Loaded

# Networks whose weights need another scale, to which they convert pictures themselves if told.
_OWN_SCALE = ("googlenet", "inception_v3")


def _format_of(transforms: Any) -> InputFormat:
    """The input format of torchvision's preset after scaling to [0, 1]; detectors normalise inside."""
    if not hasattr(transforms, "mean"):
        return InputFormat()
    crop = getattr(transforms, "crop_size", None)
    return InputFormat(tuple(transforms.mean), tuple(transforms.std), crop[0] if crop else None)


def load(rest: str) -> Loaded:
    """A network by ``NAME[:WEIGHTS]``, and its input format.

    Raises:
        ValueError: torchvision has no such model, the model no such weights, or the file no weights for it.
        OSError: the file cannot be read, or the weights cannot be downloaded.
        ModuleNotFoundError: torchvision is missing.
    """
    name, _, weights = rest.partition(":")
    models = require("torchvision.models", f"torchvision:{name}")
    if name not in models.list_models():
        raise ValueError(no_such_model("torchvision", name, "torchvision.models", models))
    presets = models.get_model_weights(name)
    if weights and weights != "none" and not is_weights_file(weights) and not hasattr(presets, weights):
        allowed = [*presets.__members__, "none"]
        raise ValueError(
            f"torchvision:{name} has no weights {weights!r}; allowed are {', '.join(allowed)}, a .pth file"
            f"{did_you_mean(weights, allowed)}"
        )
    downloaded = weights if weights != "none" and not is_weights_file(weights) else None
    preset = presets[downloaded] if downloaded else presets.DEFAULT
    settings: dict[str, Any] = {"weights": preset if weights == "" or downloaded else None}
    builder = inspect.signature(models.get_model_builder(name))
    if settings["weights"] is None and "weights_backbone" in builder.parameters:
        settings["weights_backbone"] = None
    if is_weights_file(weights) and name in _OWN_SCALE:
        # As with the weights that torchvision names; first weights, which take long, are not needed.
        settings |= {"transform_input": True, "init_weights": False}
    with explained_download(f"torchvision:{name}") if settings["weights"] else nullcontext():
        network: nn.Module = models.get_model(name, **settings)
    if is_weights_file(weights):
        take_weights(network, weights)
    return for_judging(network), _format_of(preset.transforms())
