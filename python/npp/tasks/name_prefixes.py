"""The modules that load networks of names ``PREFIX:REST``, by prefix."""

from __future__ import annotations

import importlib
from typing import Protocol, cast

from torch import nn

from npp.tasks.input_format import InputFormat

Loaded = tuple[nn.Module, InputFormat]

# The modules import their packages only when a network is loaded.
_LOADERS = {
    "torchvision": "npp.tasks.torchvision_networks",
    "timm": "npp.tasks.timm_networks",
    "onnx": "npp.tasks.onnx_files",
}
# By package, whose name is also the prefix.
_ADAPTERS = {
    "mmdet": "npp.tasks.mmdet_detector",
    "transformers": "npp.tasks.hugging_face",
    "ultralytics": "npp.tasks.yolo",
}
#: The forms of names, for messages.
FORMS = {
    "torchvision": "torchvision:NAME[:WEIGHTS]",
    "timm": "timm:NAME[:WEIGHTS]",
    "mmdet": "mmdet:CONFIG[:CHECKPOINT]",
    "transformers": "transformers:NAME_OR_PATH",
    "ultralytics": "ultralytics:WEIGHTS_OR_YAML",
    "onnx": "onnx:PATH",
    "python": "python:package.module:function",
}


class Loader(Protocol):
    """A module that loads networks for tasks."""

    def load(self, rest: str) -> Loaded:
        """A network by the part of its name after the prefix, and its input format."""


class Adapter(Protocol):
    """A module that adapts networks of a package, given by name or as modules, to tasks."""

    def load(self, rest: str) -> Loaded:
        """The package's own network by the part of its name after the prefix, and its input format."""

    def is_network(self, network: nn.Module) -> bool:
        """Whether this is a whole network of the package, and not just any of its modules."""

    def format_of(self, network: nn.Module) -> InputFormat:
        """The input format of a given network as far as it is known; ``input`` may change it."""

    def plain_network(self, network: nn.Module) -> nn.Module:
        """The network with logits as its output, for tasks other than detection.

        Raises:
            ValueError: the network has none.
        """

    def detector(self, network: nn.Module, format: InputFormat) -> nn.Module:  # noqa: A002
        """The network behind the interface of :class:`npp.tasks.Detector`.

        Raises:
            ValueError: the network is no detector.
        """


def _adapter(package: str) -> Adapter | None:
    return cast(Adapter, importlib.import_module(_ADAPTERS[package])) if package in _ADAPTERS else None


def loader_of_name(model: str) -> tuple[Loader, str] | None:
    """The module that loads this name, and the rest of the name; ``None`` if there is none."""
    prefix, _, rest = model.partition(":")
    if prefix not in _LOADERS or not rest:
        return None
    return cast(Loader, importlib.import_module(_LOADERS[prefix])), rest


def adapter_of_name(model: str) -> tuple[Adapter, str] | None:
    """The package's module, and the rest of the name; ``None`` if there is none."""
    package, _, rest = model.partition(":")
    adapter = _adapter(package) if rest else None
    return None if adapter is None else (adapter, rest)


def adapter_of_network(network: nn.Module) -> Adapter | None:
    """The module for a network of one of these packages; ``None`` for all others."""
    for kind in type(network).__mro__:
        adapter = _adapter(kind.__module__.partition(".")[0])
        if adapter is not None:
            return adapter if adapter.is_network(network) else None
    return None
