"""Lightning's module that trains a recipe through the real codec, validates it and logs both."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import lightning
import torch
from torch import Tensor, nn

from npp._bpg import EncodeError
from npp.config.yaml_files import ConfigError
from npp.gradient.in_parts import part_slices
from npp.photos.finding import warn_unreadable
from npp.recipes import Recipe
from npp.tasks import Task
from npp.training.baseline import Curve, Sums, add_points, curve_bd_rate, task_losses
from npp.training.baseline_curves import TRAINING, VALIDATION, BaselineCurves
from npp.training.checkpoints import take_best_along
from npp.training.configured_tasks import build_tasks
from npp.training.draws import Photos, Sample
from npp.training.objective import LossWeights, Terms, total_loss
from npp.training.rate_fit import Baseline
from npp.training.recipe_model import (
    PreparedBatch,
    TrainedBatch,
    build_recipe,
    change_strip,
    code_batch,
    code_in_parts,
    prepare,
    trained_parts,
)
from npp.training.run_identity import (
    check_identity,
    check_step_size,
    identity_of_steps,
    identity_of_validation,
)
from npp.training.schedule import build_optimiser, build_schedule, set_rates
from npp.training.step_in_parts import loss_scale, total_in_parts
from npp.training.target_cache import TargetCache
from npp.training.train_config import TrainConfig
from npp.training.training_failure import TrainingFailedError, check_weights_finite
from npp.training.weight_average import averaged

#: The beginning of the names of weights that checkpoints leave out.
TASKS = "tasks."
_STEP, _IDENTITY, _VALIDATED = "pictures_a_step", "training", "validation"


class RecipeModule(lightning.LightningModule):
    """Trains a :class:`npp.Recipe` on the total of :func:`npp.training.objective.total_loss`.

    Each picture has its own qp. Bits and decoded pictures are the real codec's, the map's rounding included;
    their gradients are the surrogate's. An exponential average of the weights is validated and kept.

    Args:
        config: all settings.
        photos: the photos; BPG's own curves are measured on some of them.
    """

    def __init__(self, config: TrainConfig, photos: Photos) -> None:
        super().__init__()
        self.config = config
        self._photos = photos
        self.model = build_recipe(config)
        self.ema = averaged(self.model, config.optimiser.ema)
        self.tasks = nn.ModuleDict(build_tasks(dict(zip(config.labels, config.tasks, strict=True))))
        self._curves = BaselineCurves(config, photos, self.by_label)
        self.weights = LossWeights(len(self.tasks))
        self._base: Tensor
        self.register_buffer("_base", torch.full_like(self.weights.norm, math.nan), persistent=False)
        keep = config.data.cache_targets
        self._targets = {part: TargetCache(self.by_label, keep=keep) for part in (TRAINING, VALIDATION)}
        self._surrogate = config.codec.build_surrogate()
        self._rates: list[float] = []
        self._damaged: set[int] = set()
        self._sums: Sums | None = None
        self._anchor: Curve | None = None

    @property
    def by_label(self) -> dict[str, Task]:
        """The tasks by label."""
        return cast("dict[str, Task]", dict(self.tasks.items()))

    @property
    def averaged(self) -> Recipe:
        """The recipe with the averaged weights."""
        return cast(Recipe, self.ema.module)

    def average_anew(self) -> None:
        """Starts the average anew, with the weights as they are now."""
        self.ema = averaged(self.model, self.config.optimiser.ema)

    # BPG's own curves

    def _quick(self) -> bool:
        return bool(self.trainer.fast_dev_run)  # type: ignore[attr-defined]

    def prepare_data(self) -> None:
        """Measures BPG's own curves unless the run's folder has them; one process of a machine does it."""
        if self._curves.load(quick=self._quick()) is None:
            device = self.trainer.strategy.root_device
            self.tasks.to(device)
            with self._precision():
                self._curves.measure(device, quick=self._quick())

    def _precision(self) -> AbstractContextManager[Any]:
        """The precision of validations, in which curves are measured too so that the two compare."""
        mixed = self.config.trainer.precision.endswith("mixed")
        return self.trainer.precision_plugin.forward_context() if mixed else nullcontext()

    def setup(self, stage: str) -> None:
        """Computes the coefficients of the losses from the measured curves; Lightning calls this.

        Raises:
            ConfigError: there are no such curves, or none that coefficients follow from.
        """
        curves = self._curves.load(quick=self._quick())
        if curves is None:
            raise ConfigError(
                f"{self._curves.path} is not there, or of other photos, files or versions: is out on a disk "
                "that all machines share, and is the same on all?"
            )
        try:
            baseline = Baseline(curves[TRAINING])
        except ValueError as error:
            raise ConfigError(f"baseline: {error}") from None
        shares = dict(zip(self.config.labels, (task.weight for task in self.config.tasks), strict=True))
        self.weights.set(baseline, shares, self.config.trade_off, self.config.loss)
        qps = self.config.trade_off.choices
        self._base[qps] = torch.as_tensor(baseline.bpp(qps)).to(self._base)
        self._anchor = curves[VALIDATION]
        # Now, with sources as they were imported: an edit must not end the run at its first checkpoint.
        self._identity  # noqa: B018

    # Training

    def on_train_start(self) -> None:
        """Sets the rates of the configuration, which a checkpoint of other settings may have overwritten."""
        schedule = cast("torch.optim.lr_scheduler.LambdaLR", self.lr_schedulers())
        set_rates(schedule, self.config.optimiser, self.global_step, self._rates)

    @contextmanager
    def _broken_weights_named(self) -> Iterator[None]:
        """Turns the codec's refusal of NaN into an error about the weights, which made it.

        Raises:
            TrainingFailedError: the codec was given NaN.
        """
        try:
            yield
        except EncodeError as error:
            if "NaN" not in str(error):
                raise
            raise TrainingFailedError(
                f"what the weights after step {self.global_step} make of a picture are not finite numbers: "
                "a lower optimiser.learning_rate or optimiser.clip may help"
            ) from error

    def total(self, batch: Sample, scale: Tensor | None = None) -> tuple[Tensor, Terms]:
        """Computes the mean total of a batch, with its gradient, and the terms of each picture.

        Args:
            batch: the pictures and their qps.
            scale: see :func:`~npp.training.step_in_parts.total_in_parts`; 1 by default.
        """
        targets = self._targets[TRAINING].of(batch.x, batch.photo)
        parts = self.config.trainer.parts
        with self._broken_weights_named():
            ready = prepare(self.model, batch.x, batch.qp)
            if parts > 1:
                scale = ready.x.new_ones(()) if scale is None else scale
                return total_in_parts(ready, lambda given: self._terms(batch, given, targets, parts), scale)
            (terms,) = self._terms(batch, ready, targets, 1)
            return terms.total.mean(), terms

    def _terms(
        self, batch: Sample, ready: PreparedBatch, targets: Mapping[str, Any], parts: int
    ) -> Iterator[Terms]:
        """Yields the terms of each picture, with gradients, a part of the batch at a time."""
        table, config = self.weights, self.config
        coded_parts = code_in_parts(
            self.model,
            ready,
            batch.qp,
            parts=parts,
            surrogate=self._surrogate,
            threads=config.codec.threads,
        )
        for where, coded in zip(part_slices(len(batch.x), parts), coded_parts, strict=True):
            wanted = {label: values[where] for label, values in targets.items()}
            losses = task_losses(self.by_label, coded.x_hat, wanted)
            qp = batch.qp[where]
            yield total_loss(
                batch.x[where], coded, losses, table.coefficients[qp], table.norm[qp], config.loss
            )

    def _coded(self, recipe: Recipe, x: Tensor, qp: Tensor) -> TrainedBatch:
        with self._broken_weights_named():
            return code_batch(recipe, x, qp, surrogate=self._surrogate, threads=self.config.codec.threads)

    def on_train_batch_start(self, batch: Sample, batch_idx: int) -> None:
        """Seeds what is random in networks and surrogates by the step, also after a restart."""
        place = self.global_step * self.trainer.world_size + self.global_rank
        torch.manual_seed((self.config.seed << 32) + place)
        for photo in set(batch.damaged.tolist()) - self._damaged - {-1}:
            self._damaged.add(photo)
            warn_unreadable(self._photos.training[photo])

    def training_step(self, batch: Sample, batch_idx: int) -> Tensor:
        """Computes and logs the mean total of one batch."""
        scale = loss_scale(self.trainer, self.device) if self.config.trainer.parts > 1 else None
        total, terms = self.total(batch, scale)
        values = {f"train/{label}": terms.losses[:, i].mean() for i, label in enumerate(self.tasks)}
        values |= {"train/bpp": terms.bpp.mean(), "train/mse": terms.mse.mean()}
        if self.model.allocator is not None:
            values["train/map"] = terms.energy.mean().sqrt()
        values["train/bpp_to_baseline"] = (terms.bpp / self._base[batch.qp]).mean()
        self.log_dict({name: value.detach() for name, value in values.items()})
        self.log("train/total", total.detach(), prog_bar=True)
        return total

    def optimizer_step(self, *arguments: Any, **named: Any) -> None:
        """Takes an optimiser step, then updates the average."""
        super().optimizer_step(*arguments, **named)
        self.ema.update_parameters(self.model)

    def configure_optimizers(self) -> Any:
        """Builds AdamW and its schedule: a warm-up and a cosine."""
        optimiser = build_optimiser(trained_parts(self.model, self.config), self.config.optimiser)
        self._rates = [group["lr"] for group in optimiser.param_groups]
        schedule = build_schedule(optimiser, self.config.optimiser)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    # Validation

    def on_validation_epoch_start(self) -> None:
        """Clears the sums, after a check of the averaged weights."""
        check_weights_finite(self.averaged, f"the averaged weights after step {self.global_step}")
        self.ema.eval()
        self._sums = Sums(self.config.validation.qps, list(self.tasks), self.device)

    def validation_step(self, batch: Sample, batch_idx: int) -> None:
        """Codes one batch at every qp with the averaged weights."""
        assert self._sums is not None
        targets = self._targets[VALIDATION].of(batch.x, batch.photo)
        qps = list(self.config.validation.qps)
        with self._broken_weights_named():
            add_points(self._sums, batch.x, targets, self.by_label, qps, self._curves.coder(self.averaged))
        if batch_idx == 0 and self.trainer.is_global_zero and self.logger is not None:
            self._show(batch.x[: self.config.validation.pictures], qps[len(qps) // 2])

    def _show(self, x: Tensor, qp: int) -> None:
        """Logs a picture strip of some photos at a qp."""
        if len(x):
            coded = self._coded(self.averaged, x, torch.full((len(x),), qp, device=x.device))
            picture = change_strip(x, coded).float().cpu()
            writer: Any = cast(Any, self.logger).experiment
            writer.add_image(f"pictures/qp{qp}", picture, self.global_step)

    def on_validation_epoch_end(self) -> None:
        """Logs the curve and its BD-rate against BPG alone."""
        assert self._sums is not None
        assert self._anchor is not None
        if self.trainer.world_size > 1:
            self._sums.values = cast(Tensor, self.trainer.strategy.reduce(self._sums.values, reduce_op="sum"))
        curve = self._sums.curve()
        rates = {label: curve_bd_rate(self._anchor, curve, label) for label in self.tasks}
        values = {f"val/bd_rate_{label}": rate for label, rate in rates.items()} if len(rates) > 1 else {}
        values |= {f"val/{label}": _mean(losses) for label, losses in curve.losses.items()}
        values["val/bpp"] = _mean(curve.bpp)
        values["val/bpp_to_baseline"] = _mean(
            [now / before for now, before in zip(curve.bpp, self._anchor.bpp, strict=True)]
        )
        self.log_dict(values)
        self.log("val/bd_rate", _mean(list(rates.values())), prog_bar=True)

    # Checkpoints: the tasks' networks are frozen, and come from elsewhere

    @cached_property
    def _identity(self) -> dict[str, Any]:
        return identity_of_steps(
            self.config, self._photos, self.model, self._curves.networks, self._curves.values
        )

    @cached_property
    def _validated(self) -> str:
        return identity_of_validation(self.config, self._photos, self._curves.networks)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the tasks' networks out of a checkpoint, and notes the identity of the run in it."""
        state = checkpoint["state_dict"]
        checkpoint[_STEP] = self.config.optimiser.batch * self.trainer.world_size
        checkpoint[_IDENTITY], checkpoint[_VALIDATED] = self._identity, self._validated
        checkpoint["state_dict"] = {k: v for k, v in state.items() if not k.startswith(TASKS)}

    def check_continued(self, checkpoint: Mapping[str, Any], path: Path, processes: int) -> None:
        """Raises ConfigError unless these steps can follow those of a checkpoint.

        It may be of another training, or its steps may have taken another number of pictures.
        """
        check_identity(checkpoint.get(_IDENTITY, {}), self._identity, path)
        check_step_size(checkpoint.get(_STEP), self.config.optimiser.batch, processes)

    def on_load_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """Puts the tasks' networks into a checkpoint as they are now, and lets a finished run go on.

        Raises:
            ConfigError: see :meth:`check_continued`.
        """
        path = Path(str(self.trainer.ckpt_path))
        self.check_continued(checkpoint, path, self.trainer.world_size)
        same = checkpoint.get(_VALIDATED, self._validated) == self._validated
        take_best_along(self.trainer, checkpoint["callbacks"], path.parent if same else None)
        if self.config.trainer.precision == "64-true":
            self.double()  # Lightning does it only later, and weights would be rounded on their way in
        own = {k: v for k, v in self.state_dict().items() if k.startswith(TASKS)}
        checkpoint["state_dict"].update(own)
        checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"] = False


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
