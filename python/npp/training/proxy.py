"""Trains the learned proxy: as published, or tied to BPG by distillation."""

from __future__ import annotations

import math
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast

import lightning
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from npp.checks import MOST_PICTURES, MOST_PROCESSES, number, number_above, one_of, whole
from npp.codec.options import MAX_EFFORT
from npp.config.surroundings import resolve_accelerator
from npp.extras import need
from npp.gradient.pairing import Compressed, compress
from npp.gradient.surrogates.hyperprior import Hyperprior, HyperpriorConfig, nats, save_hyperprior
from npp.torch_defaults import plain_defaults
from npp.training.checkpoints import AtomicCheckpointIO
from npp.training.first_process import waited_for
from npp.training.proxy_data import PhotoCrops
from npp.training.resuming import check_checkpoint, interruptible, lightning_errors
from npp.training.schedule import build_schedule, set_rates
from npp.training.train_config import LAST_SEED, OptimiserConfig
from npp.training.training_failure import check_weights_finite

Objective = Literal["distil", "published"]
_PEAK_SQUARED = 255.0**2
_LEAST_ERROR = 1e-5  # BPG's mean squared error counts as this at least, about 50 dB
_QPS = 22, 47  # least and greatest of a distilled run
_MOST_STEPS = LAST_SEED
_MOST = MappingProxyType({"batch": MOST_PICTURES, "crop": 4096, "workers": MOST_PROCESSES, "seed": LAST_SEED})
_NOISY_PART = 0.3  # the part of a distilled run, at its beginning, with noise instead of rounding


def total_bpp(likelihoods: dict[str, Tensor], pixels: int) -> Tensor:
    """The bits a pixel (N,) of latents with these likelihoods, (N, C, H, W) each."""
    return nats(likelihoods) / (math.log(2) * pixels)


class ProxyModule(lightning.LightningModule):
    """Trains a :class:`Hyperprior`.

    ``"published"`` minimises bpp + distortion_weight · 255² MSE(x, x_hat), the learned codec's own
    trade-off. ``"distil"`` draws a qp for each picture, codes it with BPG, and minimises the error of
    x_hat as a part of BPG's own error, plus |log bpp - log real bpp|. The bits of a flat picture's file are
    added to the network's, so that the size of the crops matters less. After the first part of the run
    rounding takes the place of noise, as when the network is used: at a high qp most latents round to 0,
    while noisy ones have far more bits.

    Args:
        config: the sizes of the network.
        objective: see above.
        learning_rate: that of Adam, above 0; it falls to 0 along a cosine over the run.
        distortion_weight: the weight of the error in the published objective, 0 or more.
        effort: the codec's effort while distilling, 0 to 9.
    """

    def __init__(
        self,
        config: HyperpriorConfig,
        objective: Objective = "distil",
        learning_rate: float = 1e-3,
        distortion_weight: float = 0.01,
        effort: int = 0,
    ) -> None:
        super().__init__()
        one_of("objective", objective, ("distil", "published"))
        if (objective == "distil") != config.conditioned:
            raise ValueError(
                "objective 'distil' needs a network conditioned on the qp, 'published' one that is not"
            )
        self.model = Hyperprior(config)
        self.objective = objective
        self.learning_rate = number_above("learning_rate", learning_rate, 0)
        self.distortion_weight = number("distortion_weight", distortion_weight, 0, math.inf)
        self.effort = whole("effort", effort, 0, MAX_EFFORT)
        self._least: dict[tuple[int, ...], float] = {}

    def _published(self, x: Tensor) -> dict[str, Tensor]:
        out = self.model(x)
        bpp = total_bpp(out["likelihoods"], x.shape[-2] * x.shape[-1]).mean()
        error = (out["x_hat"] - x).square().mean()
        loss = bpp + self.distortion_weight * _PEAK_SQUARED * error
        return {"loss": loss, "bpp": bpp, "psnr": -10 * error.log10()}

    def _distilled(self, x: Tensor, qp: Tensor) -> dict[str, Tensor]:
        real = self._real(x, qp)
        out = self.model(x, qp.to(x.dtype))
        bpp = total_bpp(out["likelihoods"], x.shape[-2] * x.shape[-1])
        error = (out["x_hat"] - real.x_hat).square().mean((1, 2, 3))
        own = (real.x_hat - x).square().mean((1, 2, 3)).clamp_min(_LEAST_ERROR)
        rate = ((bpp + self._least_bpp(x.shape)).log() - real.bpp.log()).abs().mean()
        part = (error / own).mean()
        psnr = -10 * error.clamp_min(1e-12).log10().mean()
        return {"loss": part + rate, "part": part, "rate": rate, "psnr": psnr}

    def _real(self, x: Tensor, qp: Tensor) -> Compressed:
        with torch.no_grad():
            return compress(x, qp.to(torch.int64), effort=self.effort)

    def _least_bpp(self, shape: torch.Size) -> float:
        """The bits a pixel of a flat picture's file."""
        size = tuple(shape[1:])
        if size not in self._least:
            flat = torch.full((1, *size), 0.5)
            self._least[size] = float(compress(flat, _QPS[1], effort=self.effort).bpp)
        return self._least[size]

    def _losses(self, x: Tensor, qp: Tensor) -> dict[str, Tensor]:
        return self._distilled(x, qp) if self.objective == "distil" else self._published(x)

    def _rounds(self) -> bool:
        """Whether the latents are rounded at this step of training."""
        begin = _NOISY_PART * int(self.trainer.estimated_stepping_batches)
        return self.objective == "distil" and self.global_step >= begin

    def training_step(self, x: Tensor, index: int) -> Tensor:
        """Computes and logs the losses of a batch (N, 3, H, W)."""
        self.model.train(not self._rounds())
        low, high = _QPS
        losses = self._losses(x, torch.randint(low, high + 1, (len(x),), device=x.device))
        self.log_dict({f"train/{name}": value for name, value in losses.items()}, prog_bar=True)
        return losses["loss"]

    def validation_step(self, x: Tensor, index: int) -> None:
        """Computes and logs the losses of a batch whose pictures are spread over the qps."""
        low, high = _QPS
        place = torch.arange(len(x), device=x.device) / max(1, len(x) - 1)
        losses = self._losses(x, (low + place * (high - low)).round())
        self.log_dict({f"val/{name}": value for name, value in losses.items()}, prog_bar=True, sync_dist=True)

    def _schedule(self) -> OptimiserConfig:
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        return OptimiserConfig(steps=steps, learning_rate=self.learning_rate, warmup=0, final=0)

    def configure_optimizers(self) -> Any:
        """Builds Adam and a cosine over the run."""
        optimizer = torch.optim.Adam(self.model.parameters(), lr=self.learning_rate)
        schedule = build_schedule(optimizer, self._schedule())
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        """Sets the rate of the settings, which a checkpoint of a shorter run may have overwritten."""
        schedule = cast("torch.optim.lr_scheduler.LambdaLR", self.lr_schedulers())
        set_rates(schedule, self._schedule(), self.global_step)


def _check_counts(**counts: tuple[int, int]) -> None:
    """Raises ValueError unless each value is an integer from the least one given with it to its most.

    With ``steps`` -1 Lightning would train for ever.
    """
    for name, (value, least) in counts.items():
        whole(name, value, least, _MOST.get(name, _MOST_STEPS))


def _build_trainer(folder: Path, steps: int, *, progress: bool, **machine: Any) -> lightning.Trainer:
    """Builds Lightning's trainer, with checkpoints and logs in a folder.

    Args:
        folder: the folder of the run.
        steps: the number of steps of the optimiser.
        progress: whether a progress bar is shown.
        machine: Lightning's own arguments for devices and precision.

    Raises:
        ConfigError: Lightning refuses it.
    """
    checkpoints = ModelCheckpoint(
        folder / "checkpoints", monitor="val/loss", save_last=True, save_top_k=1, enable_version_counter=False
    )
    with lightning_errors():
        return lightning.Trainer(
            max_steps=steps,
            logger=TensorBoardLogger(folder, name="logs"),
            callbacks=[checkpoints, LearningRateMonitor()],
            plugins=[AtomicCheckpointIO()],
            gradient_clip_val=1.0,
            enable_progress_bar=progress,
            log_every_n_steps=10,
            **machine,
        )


@plain_defaults()
def train_proxy(
    data: Path | str,
    out: Path | str = "runs/proxy",
    *,
    objective: Objective = "distil",
    config: HyperpriorConfig | None = None,
    steps: int = 100_000,
    batch: int = 8,
    crop: int = 128,
    learning_rate: float = 1e-3,
    distortion_weight: float = 0.01,
    effort: int = 0,
    workers: int = 0,
    devices: int | str = "auto",
    accelerator: str = "auto",
    precision: str = "32-true",
    seed: int = 0,
    resume: Path | str | None = None,
    progress: bool = True,
) -> Path:
    """Trains a learned proxy on a folder of photos.

    Args:
        data: a folder of photos, searched recursively; every 20th photo is for validation.
        out: folder for checkpoints, TensorBoard logs and ``hyperprior.pt``.
        objective: ``"distil"`` (tied to BPG) or ``"published"`` (rate + λ·MSE).
        config: the network; by default the published sizes, conditioned on the qp when distilled.
        steps: optimiser steps.
        batch, crop: pictures of a step, 1 to 65,536, and their width and height, a multiple of the network's
            up to 4,096.
        learning_rate, distortion_weight, effort: see :class:`ProxyModule`.
        workers: processes that read photos, 0 to 256.
        devices, accelerator, precision: as Lightning's Trainer takes them.
        seed: seeds everything random.
        resume: a checkpoint to go on from.
        progress: show a progress bar.

    Returns:
        Path of the weights, for :func:`npp.gradient.surrogates.hyperprior.load_hyperprior`.

    Raises:
        ValueError: no photos, an argument out of range, or a checkpoint that does not fit; the message says
            which.
        ModuleNotFoundError: a package is missing.
        TrainingFailedError: the weights are not finite.
        KeyboardInterrupt: Ctrl-C; ``out/checkpoints/last.ckpt`` is what to go on from.
    """
    need("a training's log", "tensorboard")
    _check_counts(steps=(steps, 1), batch=(batch, 1), crop=(crop, 1), workers=(workers, 0), seed=(seed, 0))
    accelerator = resolve_accelerator(accelerator, devices, section="")
    lightning.seed_everything(seed, workers=True)
    network = config or HyperpriorConfig(conditioned=objective == "distil")
    module = ProxyModule(network, objective, learning_rate, distortion_weight, effort)
    if crop % module.model.multiple:
        raise ValueError(f"crop must be a multiple of {module.model.multiple}, not {crop}")
    photos = PhotoCrops(Path(data), crop, batch, workers)
    if resume is not None:
        check_checkpoint(resume, module, steps)
    folder = Path(out)
    trainer = _build_trainer(
        folder, steps, progress=progress, devices=devices, accelerator=accelerator, precision=precision
    )
    with interruptible(trainer):
        trainer.fit(module, photos, ckpt_path=resume)
        trainer.save_checkpoint(folder / "checkpoints" / "last.ckpt")  # with the last steps
    check_weights_finite(module.model, "the weights")
    weights = folder / "hyperprior.pt"
    with waited_for(trainer):
        if trainer.is_global_zero:
            save_hyperprior(module.model, weights)
    return weights
