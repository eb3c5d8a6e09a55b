"""Packages whose networks have a module of their own here: by a name ``PREFIX:REST``, or as they are."""

from __future__ import annotations

import importlib
from typing import Protocol, cast

from torch import nn

from npp.tasks.input_format import InputFormat

# By the package that the networks are from, which is the prefix of their names too. The modules import the
# package only when a name is asked for.
_ADAPTERS = {
    "mmdet": "npp.tasks.mmdet_detector",
    "transformers": "npp.tasks.hugging_face",
    "ultralytics": "npp.tasks.yolo",
}
# What a name looks like, for messages.
FORMS = {
    "mmdet": "mmdet:CONFIG[:CHECKPOINT]",
    "transformers": "transformers:NAME_OR_PATH",
    "ultralytics": "ultralytics:WEIGHTS_OR_YAML",
}


class Adapter(Protocol):
    """What such a module offers."""

    def load(self, rest: str) -> tuple[nn.Module, InputFormat]:
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


def adapter_of_name(model: str) -> tuple[Adapter, str] | None:
    """The module that loads this name, and the rest of the name; ``None`` where it is another kind."""
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
