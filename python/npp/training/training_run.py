"""A whole training run: ``npp train CONFIG.yaml``."""

from __future__ import annotations

import dataclasses
import math
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger

from npp.config.surroundings import float32_by_default, modules_below, need, resolve_accelerator
from npp.files import write_file
from npp.recipes import Recipe
from npp.training.draws import Photos
from npp.training.lightning_module import TASKS, RecipeModule
from npp.training.resuming import check_checkpoint, interruptible, lightning_errors
from npp.training.schedule import MONITOR, AtomicCheckpointIO, check_finite, checkpoint_callbacks
from npp.training.train_config import TrainConfig

_RECIPE = "recipe.safetensors"
_FILTER = "preprocessor.safetensors"


def _even_interval(steps: int, every: int) -> int:
    """The longest interval of at most ``every`` steps that divides the run evenly, but for a remainder."""
    return max(1, steps // math.ceil(steps / every))


def _save_config(config: TrainConfig, path: Path) -> None:
    import yaml

    text = yaml.safe_dump(config.as_mapping(), sort_keys=False, allow_unicode=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, text.encode(), force=True)


def build_trainer(config: TrainConfig, accelerator: str, *, fast_dev_run: bool = False) -> lightning.Trainer:
    """Lightning's trainer as a configuration says.

    Raises:
        ConfigError: Lightning refuses it.
    """
    out, given = Path(config.out), config.trainer
    callbacks: list[Callback] = []
    if not fast_dev_run:
        callbacks += [
            *checkpoint_callbacks(out / "checkpoints", given.checkpoint_every),
            LearningRateMonitor(),
        ]
    if given.progress and find_spec("rich"):
        callbacks.append(RichProgressBar())
    with lightning_errors():
        return lightning.Trainer(
            accelerator=accelerator,
            devices=given.devices,
            num_nodes=given.nodes,
            strategy=given.strategy,
            precision=given.precision,
            deterministic=given.deterministic,
            # The data module goes over the photos as often as the steps need: one epoch is the run.
            max_epochs=1,
            max_steps=config.optimiser.steps,
            gradient_clip_val=config.optimiser.clip or None,
            val_check_interval=_even_interval(config.optimiser.steps, config.validation.every),
            num_sanity_val_steps=0,
            log_every_n_steps=min(given.log_every, config.optimiser.steps),
            logger=False if fast_dev_run else TensorBoardLogger(out, name="logs", version=""),
            callbacks=callbacks,
            plugins=[AtomicCheckpointIO()],
            use_distributed_sampler=False,
            enable_progress_bar=given.progress,
            enable_model_summary=False,
            enable_checkpointing=not fast_dev_run,
            fast_dev_run=fast_dev_run,
        )


def _kept(module: RecipeModule, trainer: lightning.Trainer, keep: str) -> Recipe:
    """The averaged weights: the best by validation where one of them could tell, or the last."""
    best: Any = trainer.checkpoint_callback
    if best is not None and keep == "best":
        score = best.best_model_score
        if score is not None and bool(torch.isfinite(score)):
            state = torch.load(best.best_model_path, map_location="cpu", weights_only=True)["state_dict"]
            own = "ema."
            module.ema.load_state_dict(
                {k.removeprefix(own): v for k, v in state.items() if k.startswith(own)}
            )
        else:
            warnings.warn(
                f"no validation has a {MONITOR}, so the last weights are kept, not the best: BPG's curve and "
                "the recipe's do not overlap; more validation.qps or photos may help",
                stacklevel=2,
            )
    check_finite(module.averaged, "the averaged weights")
    return module.averaged.eval()


def train_recipe(
    config: TrainConfig, *, resume: Path | str | None = None, fast_dev_run: bool = False
) -> Path:
    """Trains a recipe: its filter, its map of quantiser offsets, or both together.

    Args:
        config: see :class:`npp.training.train_config.TrainConfig`.
        resume: a checkpoint to go on from; on the same number of devices the run then ends with the
            weights of one that was never interrupted. A finished run goes on where ``optimiser.steps`` is
            more than it had; from then on its learning rate is that of the longer run.
        fast_dev_run: one step and one validation batch, without logs and checkpoints, in a folder of its
            own below ``out``.

    Returns:
        Path of the recipe with the averaged weights, for :meth:`npp.Recipe.load`. A filter that was trained
        is beside it too, as ``preprocessor.safetensors`` for :meth:`npp.Preprocessor.load`.

    Raises:
        ConfigError: the configuration does not fit the data, a task, the network, the computer or the
            checkpoint; a ValueError.
        FileNotFoundError: no such checkpoint.
        ModuleNotFoundError: a package is missing.
        TrainingFailedError: the weights are not finite.
        KeyboardInterrupt: Ctrl-C; ``out/checkpoints/last.ckpt`` is what to go on from.
    """
    if not fast_dev_run:
        need("a training's log", "tensorboard")
    accelerator = resolve_accelerator(config.trainer.accelerator, config.trainer.devices)
    if fast_dev_run:
        # What an earlier run left in the folder stays.
        config = dataclasses.replace(config, out=str(Path(config.out) / "fast-dev-run"))
    with modules_below(config.modules), float32_by_default():
        return _run(config, accelerator, resume, fast_dev_run)


def _run(config: TrainConfig, accelerator: str, resume: Path | str | None, fast_dev_run: bool) -> Path:
    lightning.seed_everything(config.seed, workers=True)
    photos = Photos(config)
    module = RecipeModule(config, photos)
    trainer = build_trainer(config, accelerator, fast_dev_run=fast_dev_run)
    steps = config.optimiser.steps
    done = 0 if resume is None else check_checkpoint(resume, module, steps, without=TASKS)
    out = Path(config.out)
    if trainer.is_global_zero:
        _save_config(config, out / "config.yaml")
        if done == steps:
            warnings.warn(f"{resume} has done all {steps} steps: nothing is left to train", stacklevel=2)
    with warnings.catch_warnings(), interruptible(trainer):
        # That the tasks' networks stay in eval mode is the point of them.
        warnings.filterwarnings("ignore", message=".*in eval mode at the start of training")
        trainer.fit(module, photos, ckpt_path=resume)
    if trainer.is_global_zero:
        recipe = _kept(module, trainer, config.trainer.keep).cpu()
        recipe.save(out / _RECIPE)
        if recipe.preprocessor is not None and config.preprocessor is not None and config.preprocessor.train:
            recipe.preprocessor.save(out / _FILTER)
    return out / _RECIPE
