"""Loads and runs a training of any kind, as the key ``trains`` of its configuration says."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from npp.checks import did_you_mean
from npp.config.surroundings import folder_of
from npp.config.typed import fill
from npp.config.yaml_files import ConfigError, read_config
from npp.progress import Stage, no_stages
from npp.training.allocator_config import DistillationConfig
from npp.training.train_config import TrainConfig

_KINDS: dict[str, type[TrainConfig] | type[DistillationConfig]] = {
    "recipe": TrainConfig,
    "allocator": DistillationConfig,
}


def load_training(path: Path | str, overrides: Iterable[str] = ()) -> TrainConfig | DistillationConfig:
    """A configuration of any training from YAML; without ``trains`` it is a recipe's.

    Args:
        path, overrides: see :func:`npp.training.load_config`.

    Raises:
        ConfigError: another ``trains``, an unknown key or a wrong value. It is a ValueError.
        OSError: the file cannot be read.
    """
    values = {"modules": folder_of(path), **read_config(path, overrides)}
    trains = values.get("trains", "recipe")
    if not isinstance(trains, str) or trains not in _KINDS:
        raise ConfigError(
            f"trains must be {' or '.join(_KINDS)}, not {trains!r}{did_you_mean(trains, _KINDS)}"
        )
    return fill(_KINDS[trains], values)


def trial_done(config: TrainConfig | DistillationConfig) -> str:
    """A message: what a run of ``fast_dev_run`` did, where its files are, and what the whole run would do."""
    if isinstance(config, TrainConfig):
        preprocessor, steps = config.preprocessor, config.optimiser.steps
        pretrains = preprocessor is not None and preprocessor.pretraining.steps
        done = ["one step of the pretraining"] if pretrains else []
        done += ["one step of the training", "one batch of validation"] if steps else []
        done += ["size and map chosen on two photos"] if config.choose is not None else []
        whole = (
            [f"{preprocessor.pretraining.steps} steps of pretraining"] if preprocessor and pretrains else []
        )
        whole += [f"{steps} steps"] if steps else []
    else:
        done = ["labels for two pictures of each source", "one step of the training"]
        whole = [f"labels for {config.labels.count} pictures", f"{config.training.optimiser.steps} steps"]
    what = ", ".join(done) or "the parts were put together, and nothing was trained"
    rest = f" ({', '.join(whole)})" if whole else ""
    return (
        f"the trial went through: {what}. What it made lies in {Path(config.out) / 'fast-dev-run'} and shows "
        f"that all is there, no more; without --fast-dev-run the whole run{rest} goes to {config.out}"
    )


def run_training(
    config: TrainConfig | DistillationConfig,
    *,
    resume: Path | str | None = None,
    fast_dev_run: bool = False,
    stage: Stage = no_stages,
) -> Path:
    """Trains what a configuration says.

    Args:
        config: a recipe's (:func:`npp.training.train_recipe`) or an allocator's
            (:func:`npp.training.distil_allocator`).
        resume: a checkpoint of a recipe's training; that of an allocator goes on by itself.
        fast_dev_run: a trial run of seconds, to see that all is there.
        stage: called for each stage of the work.

    Returns:
        Path of the weights.

    Raises:
        ConfigError: ``resume`` with an allocator; and as the two functions say.
    """
    if isinstance(config, TrainConfig):
        from npp.training.training_run import train_recipe

        return train_recipe(config, resume=resume, fast_dev_run=fast_dev_run, stage=stage)
    if resume is not None:
        raise ConfigError("resume: the training of an allocator goes on by itself from what is in out")
    from npp.training.allocator_run import distil_allocator

    return distil_allocator(config, fast_dev_run=fast_dev_run, stage=stage)
