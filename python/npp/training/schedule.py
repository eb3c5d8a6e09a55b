"""The optimiser, its learning rate, the average of the weights, and what is written of them on the way."""

from __future__ import annotations

import math
import shutil
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from npp.files import atomic_write
from npp.training.train_config import OptimiserConfig


def rate_factor(step: int, config: OptimiserConfig) -> float:
    """Part of the learning rate at a step: a straight rise, then a cosine down to ``final``."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    place = min(1.0, (step - config.warmup) / max(1, config.steps - config.warmup))
    return config.final + (1 - config.final) * (1 + math.cos(math.pi * place)) / 2


def build_optimiser(parts: Sequence[tuple[nn.Module, float]], config: OptimiserConfig) -> torch.optim.AdamW:
    """AdamW; single numbers, as biases and scales are, do not decay.

    Args:
        parts: what is trained, with the share of the learning rate that each has.
        config: the rest.
    """
    groups = []
    for part, rate in parts:
        trained = [parameter for parameter in part.parameters() if parameter.requires_grad]
        for decay, chosen in (
            (config.weight_decay, [p for p in trained if p.ndim > 1]),
            (0.0, [p for p in trained if p.ndim <= 1]),
        ):
            if chosen:
                groups.append({"params": chosen, "weight_decay": decay, "lr": config.learning_rate * rate})
    return torch.optim.AdamW(groups)


def build_schedule(
    optimiser: torch.optim.Optimizer, config: OptimiserConfig
) -> torch.optim.lr_scheduler.LambdaLR:
    """A warm-up and a cosine over all steps of the configuration."""
    return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_factor(step, config))


def set_rates(
    schedule: torch.optim.lr_scheduler.LambdaLR,
    config: OptimiserConfig,
    step: int,
    rates: Sequence[float] | None = None,
) -> None:
    """Gives a schedule and its optimiser the learning rates and the decay that a configuration has at a step.

    A run that goes on with more steps is then on the longer run's cosine from its first step on.

    Args:
        schedule: what is changed.
        config: whose rates and decay.
        step: where the run is.
        rates: of each group of the optimiser the highest learning rate; the configuration's by default.
    """
    groups = schedule.optimizer.param_groups
    schedule.base_lrs = list(rates or [config.learning_rate for _ in groups])
    for group, rate in zip(groups, schedule.base_lrs, strict=True):
        group["initial_lr"] = rate
        group["lr"] = rate * rate_factor(step, config)
        if group["weight_decay"]:
            group["weight_decay"] = config.weight_decay


class TrainingFailedError(ArithmeticError):
    """A training has led nowhere: there are no weights to keep."""


def check_finite(module: nn.Module, name: str) -> None:
    """Looks for infinite or missing values among weights.

    Raises:
        TrainingFailedError: there are some.
    """
    for parameter in module.parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise TrainingFailedError(
                f"{name} are not finite: a lower optimiser.learning_rate or optimiser.clip may help"
            )


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """An exponential average of a model's weights; buffers are the model's own.

    Early on it is shorter, so that the first weights do not stay in it for the length of the run:
    after n steps at most (1 + n) / (10 + n) of it is old.
    """

    return AveragedModel(model, multi_avg_fn=partial(_average, decay=decay)).requires_grad_(False)


@torch.no_grad()
def _average(old: Any, new: Any, count: Tensor | int, decay: float) -> None:
    # All weights at once, and the count is read once: to read it waits for a GPU.
    n = int(count)
    torch._foreach_lerp_(old, new, 1 - min(decay, (1 + n) / (10 + n)))


MONITOR = "val/bd_rate"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the old file and takes its name when all is on the disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """See Lightning's class of the same method.

        Raises:
            OSError: it cannot be written; the old file is as it was.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target, force=True) as file:
            torch.save(checkpoint, file)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
        """Reads tensors and plain values only; a file that wants to run code is refused."""
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)


class LastCheckpoint(Checkpoint):
    """Writes ``last.ckpt`` every so many steps and after each validation.

    Where a step is followed by a validation it waits for that one: what goes on from the file must know
    which weights were best so far.

    Args:
        folder: where it is.
        every: steps.
    """

    def __init__(self, folder: Path, every: int) -> None:
        self._path = folder / "last.ckpt"
        self._every = every

    def on_train_batch_end(self, trainer: Trainer, *arguments: Any, **named: Any) -> None:
        """See Lightning."""
        step = trainer.global_step
        # The last step too: what Lightning would write after the run says that its only epoch is over.
        due = step % self._every == 0 or step == trainer.max_steps
        if due and step % int(trainer.val_check_batch or 1):
            trainer.save_checkpoint(self._path)

    def on_validation_end(self, trainer: Trainer, *arguments: Any, **named: Any) -> None:
        """See Lightning."""
        trainer.save_checkpoint(self._path)


def checkpoint_callbacks(folder: Path, every: int) -> list[Checkpoint]:
    """``best.ckpt`` by :data:`MONITOR`, and then :class:`LastCheckpoint`."""
    best = ModelCheckpoint(
        folder,
        filename="best",
        monitor=MONITOR,
        mode="min",
        auto_insert_metric_name=False,
        enable_version_counter=False,
    )
    return [best, LastCheckpoint(folder, every)]


def take_best_along(trainer: Trainer, callbacks: dict[str, Any], folder: Path | None) -> None:
    """Makes a run that goes on in another place know its best weights so far.

    Args:
        trainer: of the run that goes on.
        callbacks: what the checkpoint says of Lightning's callbacks; changed in place.
        folder: where the checkpoint lies, with ``best.ckpt`` beside it; ``None`` where its validations cannot
            be compared with those that follow.
    """
    best: Any = trainer.checkpoint_callback
    known = callbacks.get(best.state_key) if isinstance(best, ModelCheckpoint) else None
    if not known or not known["best_model_path"]:
        return
    source = None if folder is None else folder / Path(known["best_model_path"]).name
    if source is None or not source.is_file():
        warnings.warn(
            "the best weights before this checkpoint are forgotten: "
            + ("they are not beside it" if folder else "another validation has chosen them"),
            stacklevel=2,
        )
        del callbacks[best.state_key]
        return
    target = Path(best.dirpath) / source.name
    if trainer.is_global_zero and source.resolve() != target.resolve():
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as given, atomic_write(target, force=True) as taken:
            shutil.copyfileobj(given, taken)
    trainer.strategy.barrier()
    score = known["best_model_score"]
    known |= {"dirpath": best.dirpath, "best_model_path": str(target), "kth_best_model_path": str(target)}
    known["best_k_models"] = {str(target): score}
