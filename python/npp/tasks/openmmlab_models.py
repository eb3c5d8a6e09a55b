"""Models of MMDetection, MMPretrain and their kin: from a configuration and weights to a network."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from npp.extras import require

#: Instead of a checkpoint: random weights, and nothing is downloaded.
UNTRAINED = "none"


def _statistic(owner: Any, name: str) -> Any:
    """What a checkpoint may ask of a class by name: the four functions of a log's history, nothing else."""
    history = require("mmengine.logging", "a checkpoint of mmengine").HistoryBuffer
    if owner is not history or name not in ("min", "max", "mean", "current"):
        raise ValueError(f"the checkpoint asks for {name!r} of {owner!r}, which no log of mmengine has")
    return getattr(history, name)


def allow_checkpoints() -> None:
    """Lets torch read what mmengine puts into its checkpoints beside tensors: its log, numbers as arrays.

    ``torch.load`` refuses them by default since torch 2.6. Nothing of it can run code: where a checkpoint
    names ``getattr``, torch is given a function that finds the statistics of a log alone.
    """
    if torch.__version__ < "2.6":
        return
    import numpy as np

    history = require("mmengine.logging", "a checkpoint of mmengine").HistoryBuffer
    arrays: Any = np.zeros(1).__reduce__()[0], np.ndarray, np.dtype, np.float64(0).__reduce__()[0]
    kinds: set[Any] = {type(np.dtype(code)) for code in "?bhilqBHILQefd"}
    statistic: Any = (_statistic, "builtins.getattr")
    torch.serialization.add_safe_globals([history, statistic, *arrays, *kinds])


def _packaged(package: str, name: str) -> Path:
    """Where an installed package keeps a configuration: within it, or beside it in a working copy.

    mmengine's own search also reads lists of all models, which takes many seconds.
    """
    require(package, f"{package}::{name}")
    inside = Path(require("mmengine.utils", package).get_installed_path(package))
    paths = [inside / ".mim" / "configs" / name, inside.parent / "configs" / name]
    return next((path for path in paths if path.is_file()), paths[0])


def read_model_config(name: str) -> Any:
    """A configuration.

    Args:
        name: a ``.py`` file, or ``PACKAGE::NAME`` of one that comes with an installed package.

    Returns:
        mmengine's ``Config``; its ``model`` has the data preprocessor that some packages keep beside it, and
        ``default_scope`` says the package.

    Raises:
        FileNotFoundError: there is no such file.
        ModuleNotFoundError: mmengine or the package is missing; the message tells what to install.
    """
    package, mark, rest = name.partition("::")
    path = _packaged(package, rest) if mark else Path(name)
    config = require("mmengine.config", name).Config.fromfile(str(path))
    if mark:
        config.setdefault("default_scope", package)
    beside = config.get("data_preprocessor")
    if beside is not None:
        config.model.setdefault("data_preprocessor", beside)
    return config


def _forget_downloads(model: nn.Module) -> None:
    modules: Any = model.modules()
    for module in modules:
        settings = getattr(module, "init_cfg", None)
        if isinstance(settings, Mapping) and settings.get("type") == "Pretrained":
            module.init_cfg = None


@contextmanager
def _without_log() -> Iterator[None]:
    """mmengine tells of every weight that it initialises."""
    logger = require("mmengine.logging", "a model of OpenMMLab").MMLogger.get_current_instance()
    before = logger.level
    logger.setLevel("WARNING")
    try:
        yield
    finally:
        logger.setLevel(before)


def load_weights(model: nn.Module, checkpoint: str) -> None:
    """Puts the weights of a checkpoint of mmengine, or of plain ones, into a model.

    Args:
        model: changed in place.
        checkpoint: a file, or an address as mmengine knows them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it lacks weights of the model, or they have other shapes.
    """
    loader = require("mmengine.runner", "a checkpoint").CheckpointLoader
    allow_checkpoints()
    stored = loader.load_checkpoint(checkpoint, map_location="cpu")
    state = stored.get("state_dict", stored)
    plain = {re.sub(r"^module\.", "", name): value for name, value in state.items()}
    try:
        missing = model.load_state_dict(plain, strict=False).missing_keys
    except RuntimeError as error:
        raise ValueError(f"checkpoint {checkpoint} does not fit the model: {error}") from None
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing:
        raise ValueError(
            f"checkpoint {checkpoint} does not fit the model: it lacks {', '.join(missing[:3])}"
            + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        )


def build_model(config: Mapping[str, Any], checkpoint: str | None, scope: str | None = None) -> nn.Module:
    """A model with its weights.

    Args:
        config: its ``model``.
        checkpoint: see :func:`load_weights`. ``None`` initialises it as its configuration says, which may
            download a backbone; :data:`UNTRAINED` leaves that out.
        scope: the package whose names come first; by default the one that is at work.

    Raises:
        As :func:`load_weights`; KeyError: a type that is not registered.
    """
    registry = require("mmengine.registry", "a model of OpenMMLab")
    with registry.DefaultScope.overwrite_default_scope(scope):
        model: nn.Module = registry.MODELS.build(copy.deepcopy(config))
        if checkpoint == UNTRAINED:
            _forget_downloads(model)
        if checkpoint in (None, UNTRAINED):
            initialise: Any = model
            with _without_log():
                initialise.init_weights()
        else:
            load_weights(model, str(checkpoint))
    return model
