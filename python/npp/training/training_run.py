"""A whole training run: ``npp train CONFIG.yaml``."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher
from torch import Tensor

from npp.config.surroundings import modules_below, resolve_accelerator
from npp.config.yaml_files import ConfigError, write_yaml
from npp.evaluation.json_values import write_json
from npp.extras import need
from npp.progress import Progress, Stage, no_stages
from npp.recipes import Recipe
from npp.torch_defaults import plain_defaults
from npp.training.checkpoints import MONITOR, AtomicCheckpointIO, checkpoint_callbacks
from npp.training.choice_config import ChoiceConfig
from npp.training.draws import Photos
from npp.training.first_process import waited_for
from npp.training.lightning_module import TASKS, RecipeModule
from npp.training.pretraining import check_teacher, pretrain
from npp.training.recipe_choice import choose_recipe, rounds_of
from npp.training.resuming import check_checkpoint, interruptible, lightning_errors
from npp.training.shared_pretraining import Begin, begin_together
from npp.training.train_config import TrainConfig
from npp.training.training_failure import check_weights_finite

_RECIPE = "recipe.safetensors"
_FILTER = "preprocessor.safetensors"
_PRETRAINED, _PRETRAINING = "pretrained.safetensors", "pretraining.json"
_CHOICE = "choice.json"
_QUICK_PHOTOS = 2  # to choose on in a trial run


def _even_interval(steps: int, every: int) -> int:
    """The longest interval of at most ``every`` steps that divides the run evenly, but for a remainder."""
    return max(1, steps // math.ceil(steps / every))


def build_trainer(config: TrainConfig, accelerator: str, *, fast_dev_run: bool = False) -> lightning.Trainer:
    """Builds Lightning's trainer as a configuration says.

    Raises:
        ConfigError: Lightning refuses it, or its processes would be spawned or forked.
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
        trainer = lightning.Trainer(
            accelerator=accelerator,
            devices=given.devices,
            num_nodes=given.nodes,
            strategy=given.strategy,
            precision=given.precision,
            deterministic=given.deterministic,
            # The data module repeats the photos as often as the steps need, so that the run is one epoch.
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
    _check_processes(trainer, given.strategy)
    return trainer


def _check_processes(trainer: lightning.Trainer, strategy: str) -> None:
    """Raises ConfigError where processes would be spawned or forked.

    Their callbacks and their averaged weights are copies, of which this process would see nothing.
    """
    if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
        raise ConfigError(
            f"trainer.strategy must not spawn or fork this process, as {strategy!r} does here, for the best "
            "weights would be lost; ddp starts processes of their own, from a script or the command npp "
            "(in a notebook, trainer.devices=1 trains in the notebook's process)"
        )


def _kept(module: RecipeModule, trainer: lightning.Trainer, keep: str) -> Recipe:
    """The recipe with averaged weights: the best ones where a validation has a BD-rate, or the last ones."""
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
    check_weights_finite(module.averaged, "the averaged weights")
    return module.averaged.eval()


def train_recipe(
    config: TrainConfig,
    *,
    resume: Path | str | None = None,
    fast_dev_run: bool = False,
    stage: Stage = no_stages,
) -> Path:
    """Trains a recipe: its filter, its map of quantiser offsets, or both together.

    With ``config.choose`` the size and the map's strength are chosen after that, on the photos that validate;
    with no steps nothing is trained before, but for a filter's pretraining.

    Args:
        config: see :class:`npp.training.train_config.TrainConfig`.
        resume: a checkpoint to go on from; on the same number of devices the run then ends with the
            weights of one that was never interrupted. A finished run goes on where ``optimiser.steps`` is
            more than it had; from then on its learning rate is that of the longer run.
        fast_dev_run: one step of each training and one validation batch, without logs and checkpoints, in a
            folder of its own below ``out``.
        stage: called for stages before and after the training; Lightning shows the training itself.

    Returns:
        Path of the recipe with the averaged weights, for :meth:`npp.Recipe.load`. A filter that was trained
        is beside it too, as ``preprocessor.safetensors`` for :meth:`npp.Preprocessor.load`, and the figures
        that something was chosen by as ``choice.json``. ``pretrained.safetensors`` is the filter after its
        pretraining, ``pretraining.json`` the error that was left.

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
    if resume is None:
        check_teacher(config)
    if fast_dev_run:
        config = _quick(config)
    with modules_below(config.modules), plain_defaults():
        lightning.seed_everything(config.seed, workers=True)
        photos = Photos(config)
        module = RecipeModule(config, photos)
        path = Path(config.out) / _RECIPE
        begin = partial(_pretrained, config, photos, module, stage)
        if config.optimiser.steps:
            trainer = build_trainer(config, accelerator, fast_dev_run=fast_dev_run)
            device = trainer.strategy.root_device
            recipe = _trained(config, photos, module, trainer, resume, begin)
            together: AbstractContextManager[None] = waited_for(trainer)
        else:
            device = first_device(accelerator, config.trainer.devices)
            recipe = _untrained(config, module, resume, partial(begin, device))
            together = nullcontext()
        with together:
            if recipe is not None:
                _save(recipe, config)
            if recipe is not None and config.choose is not None:
                paths = photos.chosen_with(config.choose.photos)[: _QUICK_PHOTOS if fast_dev_run else None]
                chosen = _chosen(
                    recipe.to(device),
                    config.choose,
                    module.to(device),
                    photos.centres(paths),
                    stage("choosing size and map", len(paths) * rounds_of(recipe, config.choose)),
                )
                _as_used(chosen, config).save(path)
        return path


def _quick(config: TrainConfig) -> TrainConfig:
    """The configuration of a trial run: one step of pretraining, in a folder of its own."""
    section = config.preprocessor
    if section is not None and section.pretraining.steps:
        short = dataclasses.replace(section.pretraining, steps=1)
        config = dataclasses.replace(config, preprocessor=dataclasses.replace(section, pretraining=short))
    return dataclasses.replace(config, out=str(Path(config.out) / "fast-dev-run"))


def made_by(config: TrainConfig, recipe: Path) -> Path:
    """The main file of a run: the filter's own where only a filter was trained, else the recipe's.

    Args:
        config: the run's.
        recipe: the path that :func:`train_recipe` returned.
    """
    more = (config.allocator, config.restorer, config.choose)
    alone = all(part is None for part in more) and config.scale == 1
    section = config.preprocessor
    return recipe.with_name(_FILTER) if alone and section is not None and section.train else recipe


def _as_used(recipe: Recipe, config: TrainConfig) -> Recipe:
    """The recipe with the codec options for files, whose effort may be higher than in training."""
    return recipe.changed(options=config.codec.recipe_options)


def _save(recipe: Recipe, config: TrainConfig) -> None:
    """Writes the recipe, and its filter beside it where that was trained."""
    out, section = Path(config.out), config.preprocessor
    _as_used(recipe, config).save(out / _RECIPE)
    if recipe.preprocessor is not None and section is not None and section.train:
        recipe.preprocessor.save(out / _FILTER)


def _untrained(
    config: TrainConfig, module: RecipeModule, resume: Path | str | None, begin: Callable[[], None]
) -> Recipe:
    """The recipe as it is before a training; ``begin`` is called first unless a checkpoint is given."""
    if resume is not None:
        check_checkpoint(resume, module, 0, without=TASKS)
    write_yaml(Path(config.out) / "config.yaml", config.as_mapping())
    if resume is None:
        begin()
    return module.model.eval()


def _chosen(
    recipe: Recipe, choices: ChoiceConfig, module: RecipeModule, batches: Iterable[Tensor], progress: Progress
) -> Recipe:
    """Chooses size and map of a recipe, writes the figures to a file and returns the chosen recipe."""
    config = module.config
    found = choose_recipe(
        recipe,
        (x.to(module.device) for x in batches),
        module.by_label,
        choices,
        qps=config.validation.qps,
        threads=config.codec.threads,
        progress=progress,
    )
    write_json(Path(config.out) / _CHOICE, found.as_mapping())
    return found.recipe.cpu()


def first_device(accelerator: str, devices: int | str) -> torch.device:
    """The device of a run without Lightning: the first of those that the configuration names."""
    if accelerator not in ("cuda", "gpu"):
        return torch.device("cpu")
    first, comma, _ = str(devices).partition(",")
    return torch.device(f"cuda:{int(first)}" if comma else "cuda")


def _pretrains(config: TrainConfig) -> bool:
    """Whether a configuration asks for a pretraining of the filter."""
    return config.preprocessor is not None and config.preprocessor.pretraining.steps > 0


def _pretrained(
    config: TrainConfig,
    photos: Photos,
    module: RecipeModule,
    stage: Stage,
    device: torch.device,
) -> None:
    """Pretrains the filter on a device, where the configuration asks for it, and writes the result."""
    preprocessor, chosen = module.model.preprocessor, config.preprocessor
    if preprocessor is None or chosen is None or not _pretrains(config):
        return
    progress = stage("pretraining the filter", chosen.pretraining.steps)
    left = pretrain(preprocessor, photos, config, device, progress)
    module.average_anew()
    preprocessor.save(Path(config.out) / _PRETRAINED)
    write_json(Path(config.out) / _PRETRAINING, left.as_mapping())


def _steps_done(resume: Path, module: RecipeModule, trainer: lightning.Trainer) -> int:
    """The number of steps of a checkpoint; refuses one of another training before any file is replaced."""
    processes = trainer.num_nodes * trainer.num_devices
    return check_checkpoint(
        resume,
        module,
        module.config.optimiser.steps,
        without=TASKS,
        accept=lambda checkpoint: module.check_continued(checkpoint, resume, processes),
    )


def _trained(
    config: TrainConfig,
    photos: Photos,
    module: RecipeModule,
    trainer: lightning.Trainer,
    resume: Path | str | None,
    begin: Begin,
) -> Recipe | None:
    """Trains the recipe and returns it; ``None`` in all processes but one.

    ``begin`` is called first where there is a pretraining, unless a checkpoint is given.
    """
    steps = config.optimiser.steps
    photos.check_shared(trainer.num_nodes * trainer.num_devices)
    done = 0 if resume is None else _steps_done(Path(resume), module, trainer)
    out = Path(config.out)
    if trainer.is_global_zero:
        write_yaml(out / "config.yaml", config.as_mapping())
        if done == steps:
            warnings.warn(f"{resume} has done all {steps} steps: nothing is left to train", stacklevel=2)
    if resume is None and _pretrains(config):
        begin_together(trainer, begin)
    with interruptible(trainer):
        trainer.fit(module, photos, ckpt_path=resume)
    return _kept(module, trainer, config.trainer.keep).cpu() if trainer.is_global_zero else None
