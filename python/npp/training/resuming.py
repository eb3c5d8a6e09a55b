"""Checks of checkpoints to resume from, and handling of Lightning's errors and of Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import nn

from npp.config.yaml_files import ConfigError
from npp.training.lightning_noise import mute_lightning
from npp.weight_files import read_torch_file


def _read(path: Path) -> dict[str, Any]:
    """Reads a checkpoint of a training.

    Raises:
        FileNotFoundError: there is no file.
        ConfigError: it is no checkpoint.
    """
    if not path.is_file():
        raise FileNotFoundError(f"resume: there is no checkpoint {path}")
    try:
        checkpoint = read_torch_file(path)
    except (OSError, ValueError):
        checkpoint = None
    if not isinstance(checkpoint, dict) or not {"state_dict", "global_step", "loops"} <= set(checkpoint):
        raise ConfigError(f"resume: {path} is no checkpoint of a training, as checkpoints/last.ckpt is")
    return checkpoint


def check_checkpoint(
    path: Path | str,
    module: nn.Module,
    steps: int,
    *,
    without: str = "",
    accept: Callable[[dict[str, Any]], None] | None = None,
) -> int:
    """Raises an error unless a training can go on from a file.

    Args:
        path: the checkpoint.
        module: the module that will be trained.
        steps: the number of steps of the whole run.
        without: the beginning of names in ``module`` that checkpoints do not hold.
        accept: called with a checkpoint of such a network; raises where it is of another training.

    Returns:
        The number of steps that the checkpoint has done.

    Raises:
        FileNotFoundError: no such file.
        ConfigError: it is no checkpoint, or one of another network, or of a longer run.
    """
    checkpoint = _read(Path(path))
    stored: dict[str, Any] = checkpoint["state_dict"]
    wanted = module.state_dict()
    for name in [name for name in wanted if without and name.startswith(without)]:
        del wanted[name]
    for name in [*wanted, *stored]:
        if name not in wanted or name not in stored:
            where = "the checkpoint lacks" if name in wanted else "only the checkpoint has"
            raise ConfigError(f"resume: {path} is of another network: {where} {name}")
        sizes = tuple(stored[name].shape), tuple(wanted[name].shape)
        if sizes[0] != sizes[1]:
            raise ConfigError(
                f"resume: {path} is of another size of network: {name} is {sizes[0]} there, {sizes[1]} here"
            )
    done = int(checkpoint["global_step"])
    if done > steps:
        raise ConfigError(f"resume: {path} has done {done} steps, more than the {steps} of the whole run")
    if accept is not None:
        accept(checkpoint)
    return done


@contextmanager
def lightning_errors() -> Iterator[None]:
    """Turns what Lightning refuses into an error of the configuration.

    Raises:
        ConfigError: Lightning refused a setting.
    """
    try:
        with mute_lightning():
            yield
    except (MisconfigurationException, ModuleNotFoundError, TypeError, ValueError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name:
            raise
        raise ConfigError(f"trainer: {' '.join(str(error).split())}") from None


@contextmanager
def interruptible(trainer: lightning.Trainer) -> Iterator[None]:
    """Keeps Ctrl-C a KeyboardInterrupt, for which Lightning exits with code 1 and then ignores further ones.

    Raises:
        KeyboardInterrupt: the run was interrupted.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        with mute_lightning():
            yield
    except SystemExit:
        if trainer.interrupted:
            raise KeyboardInterrupt from None
        raise
    finally:
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, handler)
