"""Somebody's own filter in front of the codec, which a function of theirs gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from npp.checks import kind_of
from npp.config.digests import hash_files, hash_state, note_modules
from npp.config.kept_values import hash_values
from npp.evaluation.prefilter import Prefilter
from npp.tasks.python_objects import imported


class OwnFilter(Prefilter):
    """What a function gives: called with pictures (N, 3, H, W) in [0, 1] and a qp, it filters them.

    A network that it gives is used in evaluation mode.

    Args:
        path: ``package.module:function``, which is called without arguments.
        device: where a network is put.

    Raises:
        ValueError, ModuleNotFoundError: there is no such function, or what it gives cannot be called.
        ConfigError: the module has changed since it was imported.
    """

    def __init__(self, path: str, device: torch.device) -> None:
        self._path = path
        self._spec = f"python:{path}"
        filtering = imported(path)()
        note_modules([self._spec])
        if not callable(filtering):
            raise ValueError(f"{self._spec} must give what filters pictures, not {kind_of(filtering)}")
        is_network = isinstance(filtering, nn.Module)
        self._filter: Callable[[Tensor, int], Any] = filtering.eval().to(device) if is_network else filtering

    def identity(self, qp: int) -> Any:
        """Hashes of the module's file and, of a network, of its weights and what it keeps besides."""
        identity: dict[str, Any] = {"python": self._path, "files": hash_files([self._spec])}
        if isinstance(self._filter, nn.Module):
            identity["weights"] = hash_state(self._filter)
            identity["values"] = hash_values([self._spec], self._filter)
        return identity

    @torch.no_grad()
    def __call__(self, images: Tensor, qp: int) -> Tensor:
        """Filtered pictures.

        Raises:
            ValueError: these are no pictures of the same shape, or have NaN or infinite samples.
        """
        filtered = self._filter(images.clone(), qp)
        shape = tuple(images.shape)
        if not isinstance(filtered, Tensor) or tuple(filtered.shape) != shape:
            given = tuple(filtered.shape) if isinstance(filtered, Tensor) else kind_of(filtered)
            raise ValueError(f"{self._spec} must give pictures of shape {shape}, not {given}")
        if not filtered.is_floating_point() or not bool(filtered.isfinite().all()):
            what = "NaN or infinite samples" if filtered.is_floating_point() else str(filtered.dtype)
            raise ValueError(f"{self._spec} must give floats in [0, 1], not {what}")
        return filtered.to(images)
