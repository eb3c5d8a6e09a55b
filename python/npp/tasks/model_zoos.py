"""What torchvision and timm have in common: lists of models, and weights by download or from a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import safetensors.torch
from torch import nn

from npp.checks import did_you_mean
from npp.weight_files import read_torch_file


def is_weights_file(weights: str) -> bool:
    """Whether a name of weights is that of a file."""
    return weights.endswith((".pth", ".pt", ".bin", ".safetensors"))


def take_weights(network: nn.Module, path: str) -> None:
    """Gives a network the weights of a file, torch's or safetensors.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or has weights of another network.
    """
    try:
        if path.endswith(".safetensors"):
            state: Any = safetensors.torch.load_file(path)
        else:
            state = read_torch_file(path)
        network.load_state_dict(state)
    except (OSError, MemoryError):
        raise  # which are not what the file holds
    except Exception as error:  # of damaged files torch says anything, from KeyError to UnpicklingError
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} has no weights for {type(network).__name__}: {reason}") from None


@contextmanager
def explained_download(spec: str) -> Iterator[None]:
    """What hinders a package from downloading weights is told with what they are of, and the way without."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"the weights of {spec} could not be downloaded ({error}); {spec}:FILE.pth takes them from a "
            f"file, {spec}:none goes without"
        ) from error


def no_such_model(package: str, name: str, path: str, models: Any) -> str:
    """What a package's list of models says of a name that it does not have."""
    hint = did_you_mean(name, models.list_models())
    return f"{package} has no model {name!r}; {path}.list_models() names them{hint}"
