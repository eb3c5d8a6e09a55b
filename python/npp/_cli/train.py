"""``npp train``: the trainings that the extra npp[train] brings."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from npp._cli.errors import USAGE

app = typer.Typer(name="train", help="Trains the networks of npp (needs npp[train]).", no_args_is_help=True)

_PUBLISHED_SIZE = 192


class _Objective(str, Enum):
    distil = "distil"
    published = "published"


@app.callback()
def _group() -> None:
    """Keeps ``proxy`` a command of its own while it is the only one."""


@app.command()
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
    try:
        from npp.surrogates.hyperprior import HyperpriorConfig
        from npp.training.proxy import train_proxy
    except ModuleNotFoundError as error:
        typer.echo(f"npp: training needs {error.name}: pip install 'npp[train]'", err=True)
        raise typer.Exit(USAGE) from None
    config = HyperpriorConfig(width, latent, stages, objective is _Objective.distil, residual)
    try:
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
            devices=int(devices) if devices.isdigit() else devices,
            accelerator=accelerator,
            precision=precision,
            seed=seed,
            resume=resume,
            progress=not quiet,
        )
    except ValueError as error:
        typer.echo(f"npp: {error}", err=True)
        raise typer.Exit(USAGE) from None
    typer.echo(str(weights))
