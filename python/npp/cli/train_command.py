"""``npp train``: the trainings that the extra npp[train] brings."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from npp.cli.command_table import HELP_OPTIONS
from npp.cli.run_errors import explained
from npp.cli.stage_bars import stage_bars
from npp.cli.streams import say

_DEFAULT = "preprocessor"


class _DefaultCommand(TyperGroup):
    """What is not the name of a command is the default command's: ``npp train CONFIG.yaml``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [_DEFAULT, *args]
        return list(super().parse_args(ctx, args))


app = typer.Typer(
    name="train",
    cls=_DefaultCommand,
    help="Trains the networks of npp (needs npp[train]). npp train CONFIG.yaml [--out DIR] "
    "[--resume CHECKPOINT] [--devices N] [--seed S] [--set KEY=VALUE] [--fast-dev-run] trains what "
    "it describes: a recipe (a filter, a map of quantiser offsets, or both) or an allocator. "
    "npp train preprocessor --help explains these options.",
    no_args_is_help=True,
    add_completion=False,
    context_settings=HELP_OPTIONS,
    rich_markup_mode=None,
)
_PUBLISHED_SIZE = 192
_PRETRAINED = "pretrained.safetensors"


class _Objective(str, Enum):
    distil = "distil"
    published = "published"


def _how_to_go_on(out: Path | None, begun: float, resume: Path | None) -> str:
    """Of a run that was stopped; a checkpoint that an earlier run has left in its folder is not its own.

    Where it has none yet, one that went on begins again where it began.
    """
    names = ("checkpoints/last.ckpt", _PRETRAINED)
    checkpoints = [] if out is None else [out / name for name in names if _is_younger(out / name, begun)]
    if not checkpoints and resume is not None:
        return f"there is no new checkpoint yet; --resume {resume} goes on from where this run began"
    if not checkpoints:
        return "there is no checkpoint yet"
    if checkpoints[0].name == _PRETRAINED:
        option = f"--set 'preprocessor={{start: {checkpoints[0]}}}'"
        return f"there is no checkpoint yet; {option} spares the pretraining, which is done"
    return f"--resume {checkpoints[0]} goes on from there"


def _is_younger(file: Path, begun: float) -> bool:
    return file.is_file() and file.stat().st_mtime >= begun


def _device_setting(devices: str) -> int | str:
    """What ``--devices`` says as the setting has it: a number, or the text as it is."""
    return int(devices) if re.fullmatch(r"-?[0-9]{1,9}", devices) else devices


def _as_yaml(value: object) -> str:
    """A value as YAML reads it; text by the numbers of its letters, for names of files may hold any."""
    if isinstance(value, str):
        # What is given beside the file is meant as it is: nothing of it is filled in.
        letters = "".join(f"\\U{ord(letter):08x}" for letter in value.replace("$", "$$"))
        return f'"{letters}"'
    return json.dumps(value)


def _assignments(changes: list[str], options: Mapping[str, object]) -> list[str]:
    """The options that were given as ``--set`` has them, after those of ``--set``."""
    return changes + [f"{key}={_as_yaml(value)}" for key, value in options.items() if value is not None]


@app.command(_DEFAULT, short_help="What CONFIG.yaml describes; the default.")
def preprocessor(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="Settings; see docs/training.md.")],
    out: Annotated[Path | None, typer.Option(help="Folder for weights, checkpoints and logs.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Checkpoint to go on from.")] = None,
    devices: Annotated[str | None, typer.Option(help="How many, or auto.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, as optimiser.steps=100; repeat."),
    ] = None,
    fast_dev_run: Annotated[
        bool, typer.Option("--fast-dev-run", help="One step and one validation, to see that all is there.")
    ] = False,
) -> None:
    """Trains what a configuration says, a recipe or an allocator; the default: npp train CONFIG.yaml."""
    folder, alone, begun = out, False, time.time()

    def how_to_go_on() -> str:
        return "the same command goes on from here" if alone else _how_to_go_on(folder, begun, resume)

    with explained("train", how_to_go_on, config):
        from npp.training.any_training import load_training, run_training, trial_done
        from npp.training.train_config import TrainConfig
        from npp.training.training_run import made_by

        count = None if devices is None else _device_setting(devices)
        options = {"out": None if out is None else str(out), "trainer.devices": count, "seed": seed}
        settings = load_training(config, _assignments(changes or [], options))
        folder = Path(settings.out)
        alone = not isinstance(settings, TrainConfig)
        quiet = isinstance(settings, TrainConfig) and not settings.trainer.progress
        with stage_bars(quiet) as stage:
            weights = run_training(settings, resume=resume, fast_dev_run=fast_dev_run, stage=stage)
        if isinstance(settings, TrainConfig):
            weights = made_by(settings, weights)
    if fast_dev_run:
        say(f"npp: {trial_done(settings)}")
    typer.echo(str(weights))


@app.command(short_help="The learned proxy, one of the surrogates.")
def proxy(
    data: Annotated[Path, typer.Option(help="Folder of photos, searched recursively.")],
    out: Annotated[Path, typer.Option(help="Checkpoints, TensorBoard logs and hyperprior.pt.")] = Path(
        "runs/proxy"
    ),
    objective: Annotated[_Objective, typer.Option(help="Tied to BPG, or rate + λ·MSE.")] = _Objective.distil,
    width: Annotated[int, typer.Option(help="Channels N of the transforms.")] = _PUBLISHED_SIZE,
    latent: Annotated[int, typer.Option(help="Channels M of the latent.")] = _PUBLISHED_SIZE,
    stages: Annotated[int, typer.Option(help="Halvings of the size before the latent.")] = 4,
    residual: Annotated[bool, typer.Option(help="Predict x_hat - x instead of x_hat.")] = False,
    steps: Annotated[int, typer.Option(help="Optimiser steps.")] = 100_000,
    batch: Annotated[int, typer.Option(help="Pictures of a step.")] = 8,
    crop: Annotated[int, typer.Option(help="Their width and height.")] = 128,
    learning_rate: Annotated[float, typer.Option(help="Of Adam, at the start.")] = 1e-3,
    distortion_weight: Annotated[float, typer.Option(help="λ of the published objective.")] = 0.01,
    effort: Annotated[int, typer.Option(help="The codec's, while distilling.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that read photos.")] = 0,
    devices: Annotated[str, typer.Option(help="How many, or auto.")] = "auto",
    accelerator: Annotated[str, typer.Option(help="cpu, cuda, auto, ...")] = "auto",
    precision: Annotated[str, typer.Option(help="As Lightning names it.")] = "32-true",
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    resume: Annotated[Path | None, typer.Option(help="Checkpoint to go on from.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Trains the learned proxy: rate + λ·MSE as published, or distilled on real BPG outputs."""
    begun = time.time()
    with explained("train", lambda: _how_to_go_on(out, begun, resume)):
        from npp.gradient.surrogates.hyperprior import HyperpriorConfig
        from npp.training.proxy import train_proxy

        config = HyperpriorConfig(width, latent, stages, objective is _Objective.distil, residual)
        weights = train_proxy(
            data,
            out,
            objective=objective.value,
            config=config,
            steps=steps,
            batch=batch,
            crop=crop,
            learning_rate=learning_rate,
            distortion_weight=distortion_weight,
            effort=effort,
            workers=workers,
            devices=_device_setting(devices),
            accelerator=accelerator,
            precision=precision,
            seed=seed,
            resume=resume,
            progress=not quiet,
        )
    typer.echo(str(weights))
