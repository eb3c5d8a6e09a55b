"""Models of MMDetection, MMPretrain and related packages, from configurations and checkpoints."""

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

#: Stands in place of a checkpoint for random weights without any download.
UNTRAINED = "none"


def _statistic(owner: Any, name: str) -> Any:
    """An attribute that a checkpoint may look up by name: one of four functions of a log's history."""
    history = require("mmengine.logging", "a checkpoint of mmengine").HistoryBuffer
    if owner is not history or name not in ("min", "max", "mean", "current"):
        raise ValueError(f"the checkpoint asks for {name!r} of {owner!r}, which no log of mmengine has")
    return getattr(history, name)


def allow_checkpoints() -> None:
    """Lets torch load what mmengine puts into its checkpoints besides tensors: logs and arrays.

    ``torch.load`` refuses these by default since torch 2.6. None of them can run code: for ``getattr``, which
    a checkpoint may name, torch gets a function that only finds the statistics of a log.
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
    """Path of a configuration of an installed package: within it, or beside it in a working copy.

    mmengine's own search also reads lists of all models, which takes many seconds.
    """
    require(package, f"{package}::{name}")
    inside = Path(require("mmengine.utils", package).get_installed_path(package))
    paths = [inside / ".mim" / "configs" / name, inside.parent / "configs" / name]
    return next((path for path in paths if path.is_file()), paths[0])


def read_model_config(name: str) -> Any:
    """Reads the configuration of a model.

    Args:
        name: a ``.py`` file, or ``PACKAGE::NAME`` for one that comes with an installed package.

    Returns:
        mmengine's ``Config``; its ``model`` has the data preprocessor that some packages keep beside it, and
        ``default_scope`` says the package.

    Raises:
        FileNotFoundError: there is no such file.
        ModuleNotFoundError: mmengine or the package is missing; the message says what to install.
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
    """Silences mmengine, which logs every weight that it initialises."""
    logger = require("mmengine.logging", "a model of OpenMMLab").MMLogger.get_current_instance()
    before = logger.level
    logger.setLevel("WARNING")
    try:
        yield
    finally:
        logger.setLevel(before)


def load_weights(model: nn.Module, checkpoint: str) -> None:
    """Loads a checkpoint of mmengine, or plain weights, into a model.

    Args:
        model: changed in place.
        checkpoint: a file, or an address in a form that mmengine knows.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the checkpoint lacks weights of the model, or has them in other shapes.
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
    """Builds a model with its weights.

    Args:
        config: the section ``model`` of its configuration.
        checkpoint: see :func:`load_weights`. ``None`` initialises it as its configuration says, which may
            download a backbone; :data:`UNTRAINED` leaves that out.
        scope: the package whose registry is searched first; by default the current one.

    Raises:
        As :func:`load_weights`; KeyError: a type is not registered.
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
