"""Common code for torchvision and timm: lists of models, and weights by download or from a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import safetensors.torch
from torch import nn

from npp.checks import did_you_mean
from npp.weight_files import read_torch_file


def is_weights_file(weights: str) -> bool:
    """Whether the name of weights is a file name."""
    return weights.endswith((".pth", ".pt", ".bin", ".safetensors"))


def take_weights(network: nn.Module, path: str) -> None:
    """Loads the weights of a file of torch or safetensors into a network.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is damaged, or has weights of another network.
    """
    try:
        if path.endswith(".safetensors"):
            state: Any = safetensors.torch.load_file(path)
        else:
            state = read_torch_file(path)
        network.load_state_dict(state)
    except (OSError, MemoryError):
        raise  # which are not what the file holds
    except Exception as error:  # torch may raise anything for damaged files, from KeyError to UnpicklingError
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} has no weights for {type(network).__name__}: {reason}") from None


@contextmanager
def explained_download(spec: str) -> Iterator[None]:
    """Explains errors of downloads within the block: names the weights, and how to do without them."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"the weights of {spec} could not be downloaded ({error}); {spec}:FILE.pth takes them from a "
            f"file, {spec}:none goes without"
        ) from error


def no_such_model(package: str, name: str, path: str, models: Any) -> str:
    """The message about a name that a package's list of models lacks."""
    hint = did_you_mean(name, models.list_models())
    return f"{package} has no model {name!r}; {path}.list_models() names them{hint}"
