"""Names ``PREFIX:REST`` of networks, and the modules that load them, by the prefix."""

from __future__ import annotations

import importlib
from typing import Protocol, cast

from torch import nn

from npp.tasks.input_format import InputFormat

Loaded = tuple[nn.Module, InputFormat]

# The modules import what they are named after only when a name is asked for.
_LOADERS = {
    "torchvision": "npp.tasks.torchvision_networks",
    "timm": "npp.tasks.timm_networks",
    "onnx": "npp.tasks.onnx_files",
}
# By the package that the networks are from, which is the prefix of their names too.
_ADAPTERS = {
    "mmdet": "npp.tasks.mmdet_detector",
    "transformers": "npp.tasks.hugging_face",
    "ultralytics": "npp.tasks.yolo",
}
#: What a name looks like, for messages.
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
    """A module that loads networks, ready to judge."""

    def load(self, rest: str) -> Loaded:
        """A network by what stands behind the prefix, and the input that it wants."""


class Adapter(Protocol):
    """A module for networks of a package that come by name or as they are, and are made fit for a task."""

    def load(self, rest: str) -> Loaded:
        """The package's own network by what stands behind the prefix, and the input that it wants."""

    def is_network(self, network: nn.Module) -> bool:
        """Whether this is one that the package understands, rather than any module of it."""

    def format_of(self, network: nn.Module) -> InputFormat:
        """What is known of the input of a network that somebody made; ``input`` may change it."""

    def plain_network(self, network: nn.Module) -> nn.Module:
        """The network with logits as its output, for tasks other than detection.

        Raises:
            ValueError: it has none.
        """

    def detector(self, network: nn.Module, format: InputFormat) -> nn.Module:  # noqa: A002
        """The network behind the interface of :class:`npp.tasks.Detector`.

        Raises:
            ValueError: it is no detector.
        """


def _adapter(package: str) -> Adapter | None:
    return cast(Adapter, importlib.import_module(_ADAPTERS[package])) if package in _ADAPTERS else None


def loader_of_name(model: str) -> tuple[Loader, str] | None:
    """The module that loads this name, and the rest of the name; ``None`` where it is another kind."""
    prefix, _, rest = model.partition(":")
    if prefix not in _LOADERS or not rest:
        return None
    return cast(Loader, importlib.import_module(_LOADERS[prefix])), rest


def adapter_of_name(model: str) -> tuple[Adapter, str] | None:
    """The package's module, and the rest of the name; ``None`` where it is another kind."""
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
