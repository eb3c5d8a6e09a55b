"""The command ``npp train``: the trainings of the extra npp[train]."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from npp.cli.command_table import HELP_OPTIONS
from npp.cli.help_panels import CODEC, FILES, MACHINES, NETWORK, PAGE, REPORT, SETTINGS, PanelledCommand
from npp.cli.near_names import near_commands
from npp.cli.progress_bars import stage_bars
from npp.cli.run_errors import explained
from npp.cli.streams import say

_DEFAULT = "preprocessor"


class _DefaultCommand(TyperGroup):
    """A group with a default command, so that ``npp train CONFIG.yaml`` works."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            self._check_no_command(ctx, args[0])
            args = [_DEFAULT, *args]
        return list(super().parse_args(ctx, args))

    def _check_no_command(self, ctx: Any, word: str) -> None:
        """Fails if a word is no file but similar to the name of a command."""
        hint = near_commands(word, self.commands)
        if hint and not Path(word).suffix and not Path(word).exists():
            ctx.fail(f"There is neither a command nor a file {word!r}.{hint}")


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
    """The text that says how to continue a stopped run.

    A checkpoint of an earlier run does not count. Without a checkpoint of its own, a run that was resumed is
    to be resumed from the same one again.
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


def _speaks() -> bool:
    """Whether this process is the one that speaks, of several that train together."""
    module = sys.modules.get("npp.training.first_process")  # no process has others before it is there
    return module is None or bool(module.is_first_process())


def _tell(weights: Path) -> None:
    """The result on standard output, once."""
    if _speaks():
        typer.echo(str(weights))


def _device_setting(devices: str) -> int | str:
    """The setting for ``--devices``: a number if it is one, else the text."""
    return int(devices) if re.fullmatch(r"-?[0-9]{1,9}", devices) else devices


def _as_yaml(value: object) -> str:
    """A value as YAML; letters of text are written as escapes, for names of files may hold any."""
    if isinstance(value, str):
        # Values from the command line are taken literally: no variables are filled in.
        letters = "".join(f"\\U{ord(letter):08x}" for letter in value.replace("$", "$$"))
        return f'"{letters}"'
    return json.dumps(value)


def _assignments(changes: list[str], options: Mapping[str, object]) -> list[str]:
    """The assignments of ``--set``, followed by those of other options that were given."""
    return changes + [f"{key}={_as_yaml(value)}" for key, value in options.items() if value is not None]


@app.command(_DEFAULT, cls=PanelledCommand, short_help="What CONFIG.yaml describes; the default.")
def preprocessor(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG.yaml", help=f"Settings; {PAGE} 'Training recipes' has examples and all of them."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for weights, checkpoints and logs.", rich_help_panel=FILES)
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Checkpoint to go on from.", rich_help_panel=FILES)
    ] = None,
    devices: Annotated[str | None, typer.Option(help="How many, or auto.", rich_help_panel=MACHINES)] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random.", rich_help_panel=SETTINGS)] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a setting, as optimiser.steps=100; repeat.",
            rich_help_panel=SETTINGS,
        ),
    ] = None,
    fast_dev_run: Annotated[
        bool,
        typer.Option(
            "--fast-dev-run",
            help="One step and one validation, to see that all is there.",
            rich_help_panel=SETTINGS,
        ),
    ] = False,
) -> None:
    """Trains what a configuration says, a recipe or an allocator; the default: npp train CONFIG.yaml."""
    folder, alone, begun = out, False, time.time()

    def how_to_go_on() -> str:
        return "the same command goes on from here" if alone else _how_to_go_on(folder, begun, resume)

    with explained("train", how_to_go_on, config, speaks=_speaks):
        from npp.training.train_config import TrainConfig
        from npp.training.training_dispatch import load_training, run_training, trial_done
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
    if fast_dev_run and _speaks():
        say(f"npp: {trial_done(settings)}")
    _tell(weights)


@app.command(cls=PanelledCommand, short_help="The learned proxy, one of the surrogates.")
def proxy(
    data: Annotated[
        Path, typer.Option(help="Folder of photos, searched recursively.", rich_help_panel=FILES)
    ],
    out: Annotated[
        Path, typer.Option(help="Checkpoints, TensorBoard logs and hyperprior.pt.", rich_help_panel=FILES)
    ] = Path("runs/proxy"),
    objective: Annotated[
        _Objective, typer.Option(help="Tied to BPG, or rate + λ·MSE.", rich_help_panel=SETTINGS)
    ] = _Objective.distil,
    width: Annotated[
        int, typer.Option(help="Channels N of the transforms.", rich_help_panel=NETWORK)
    ] = _PUBLISHED_SIZE,
    latent: Annotated[
        int, typer.Option(help="Channels M of the latent.", rich_help_panel=NETWORK)
    ] = _PUBLISHED_SIZE,
    stages: Annotated[
        int, typer.Option(help="Halvings of the size before the latent.", rich_help_panel=NETWORK)
    ] = 4,
    residual: Annotated[
        bool, typer.Option(help="Predict x_hat - x instead of x_hat.", rich_help_panel=NETWORK)
    ] = False,
    steps: Annotated[int, typer.Option(help="Optimiser steps.", rich_help_panel=SETTINGS)] = 100_000,
    batch: Annotated[int, typer.Option(help="Pictures of a step.", rich_help_panel=SETTINGS)] = 8,
    crop: Annotated[int, typer.Option(help="Their width and height.", rich_help_panel=SETTINGS)] = 128,
    learning_rate: Annotated[
        float, typer.Option(help="Of Adam, at the start.", rich_help_panel=SETTINGS)
    ] = 1e-3,
    distortion_weight: Annotated[
        float, typer.Option(help="λ of the published objective.", rich_help_panel=SETTINGS)
    ] = 0.01,
    effort: Annotated[int, typer.Option(help="The codec's, while distilling.", rich_help_panel=CODEC)] = 0,
    workers: Annotated[int, typer.Option(help="Processes that read photos.", rich_help_panel=MACHINES)] = 0,
    devices: Annotated[str, typer.Option(help="How many, or auto.", rich_help_panel=MACHINES)] = "auto",
    accelerator: Annotated[str, typer.Option(help="cpu, cuda, auto, ...", rich_help_panel=MACHINES)] = "auto",
    precision: Annotated[
        str, typer.Option(help="As Lightning names it.", rich_help_panel=MACHINES)
    ] = "32-true",
    seed: Annotated[int, typer.Option(help="Of everything random.", rich_help_panel=SETTINGS)] = 0,
    resume: Annotated[
        Path | None, typer.Option(help="Checkpoint to go on from.", rich_help_panel=FILES)
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress bar.", rich_help_panel=REPORT)
    ] = False,
) -> None:
    """Trains the learned proxy: rate + λ·MSE as published, or distilled on real BPG outputs."""
    begun = time.time()
    with explained("train", lambda: _how_to_go_on(out, begun, resume), speaks=_speaks):
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
    _tell(weights)
