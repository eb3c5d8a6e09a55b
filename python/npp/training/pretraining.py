"""Pretrains a filter before the codec takes part: to reproduce the picture or to imitate another filter.

The published network begins with random weights: it makes noise of a photo, and a codec and a task teach
nothing on noise. Its authors begin with weights that reproduce the photo. A small filter can begin by
imitating a large one that was trained already, which is quick since no codec and no task take part.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from lightning.fabric.plugins.precision import MixedPrecision, Precision
from torch import Tensor
from torch.utils.data import DataLoader

from npp.config.yaml_files import ConfigError
from npp.preprocessing import Preprocessor
from npp.progress import Progress
from npp.recipes.part_loading import filter_of
from npp.training.draws import Draws, Photos
from npp.training.train_config import TrainConfig
from npp.training.training_failure import TrainingFailedError

# So that it draws other pictures than the training through the codec begins with.
_SEED_OFFSET = 7919
_AVERAGED = 20
# Added to the mean square of a teacher's change: less does not show in an 8-bit sample.
_LEAST_CHANGE = 1e-5


@dataclass(frozen=True)
class Pretrained:
    """The result of a pretraining.

    Attributes:
        steps: the number of its steps.
        error: the mean over the last steps. Without a teacher the mean squared error to the picture, pixels
            in [0, 1]; with one the mean squared error to its picture, over the mean square of its change.
        teacher: the recipe whose filter was imitated.
    """

    steps: int
    error: float
    teacher: str | None = None

    def as_mapping(self) -> dict[str, Any]:
        """The content of ``pretraining.json``."""
        if self.teacher is None:
            return {"steps": self.steps, "mse": self.error}
        return {"steps": self.steps, "teacher": self.teacher, "relative_mse": self.error}


def load_teacher(name_or_path: str) -> Preprocessor:
    """Loads the filter of a recipe that is imitated.

    Raises:
        ConfigError: there is no such recipe, or it has no filter.
    """
    try:
        return filter_of("it", name_or_path).requires_grad_(False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"preprocessor.pretraining.teacher: {error}") from None


def check_teacher(config: TrainConfig) -> None:
    """Raises ConfigError unless the teacher can be loaded, before files of an earlier run are replaced."""
    chosen = None if config.preprocessor is None else config.preprocessor.pretraining
    if chosen is not None and chosen.steps and chosen.teacher is not None:
        load_teacher(chosen.teacher)


def _begin_as(preprocessor: Preprocessor, teacher: Preprocessor) -> None:
    """Copies the teacher's weights of the same names and shapes, where both are networks of one kind."""
    if preprocessor.network != teacher.network:
        return
    own, other = preprocessor.filter.state_dict(), teacher.filter.state_dict()
    alike = {n: value for n, value in other.items() if n in own and own[n].shape == value.shape}
    preprocessor.filter.load_state_dict({**own, **alike})


def _error(preprocessor: Preprocessor, teacher: Preprocessor | None, x: Tensor, qp: Tensor) -> Tensor:
    """The error that is minimised: see :class:`Pretrained`."""
    filtered: Tensor = preprocessor(x, qp)
    if teacher is None:
        return (filtered - x).square().mean()
    with torch.no_grad():
        wanted: Tensor = teacher(x, qp)
    missed, change = ((a - wanted).square().flatten(1).mean(1) for a in (filtered, x))
    return (missed / (change + _LEAST_CHANGE)).mean()


def _precision(name: str, device: torch.device) -> Precision:
    """Lightning's plugin that mixes precisions where the training does, else one that does nothing."""
    if name in ("16-mixed", "bf16-mixed"):
        return MixedPrecision(cast(Any, name), device.type)
    return Precision()


def _errors(
    preprocessor: Preprocessor, teacher: Preprocessor | None, photos: Photos, config: TrainConfig
) -> Iterator[Tensor]:
    """Trains by AdamW and yields the error of each step, without its gradient."""
    assert config.preprocessor is not None
    settings, device = config.preprocessor.pretraining, next(preprocessor.parameters()).device
    draws = Draws(photos.training, config.data, config.trade_off.choices, config.seed + _SEED_OFFSET)
    loader = DataLoader(
        draws,
        sampler=range(settings.steps * settings.batch),
        batch_size=settings.batch,
        num_workers=config.data.workers,
    )
    precision = _precision(config.trainer.precision, device)
    optimiser = torch.optim.AdamW(preprocessor.parameters(), lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps)
    for batch in loader:
        with precision.forward_context():
            error = _error(preprocessor, teacher, batch.x.to(device), batch.qp.to(device))
        optimiser.zero_grad()
        precision.backward(error, preprocessor)
        precision.optimizer_step(optimiser)
        schedule.step()
        yield error.detach()


def pretrain(
    preprocessor: Preprocessor,
    photos: Photos,
    config: TrainConfig,
    device: torch.device,
    progress: Progress,
) -> Pretrained:
    """Trains a filter on its error to the picture or to a teacher's, at qps from the configuration's range.

    Args:
        preprocessor: changed in place; moved to ``device`` and afterwards back to the CPU.
        photos: the training's.
        config: its ``preprocessor.pretraining``, ``data``, ``trade_off``, ``trainer.precision`` and ``seed``
            are used.
        device: the device to train on.
        progress: called with 1 after each step.

    Returns:
        The error that is left.

    Raises:
        ConfigError: the teacher cannot be loaded.
        TrainingFailedError: the error is not a finite number.
    """
    assert config.preprocessor is not None
    settings = config.preprocessor.pretraining
    teacher = None if settings.teacher is None else load_teacher(settings.teacher).to(device)
    if teacher is not None:
        _begin_as(preprocessor, teacher)
    preprocessor.to(device).train()
    last_errors: deque[Tensor] = deque(maxlen=_AVERAGED)
    for error in _errors(preprocessor, teacher, photos, config):
        last_errors.append(error)
        progress(1)
    mean = float(torch.stack(list(last_errors)).mean())
    if not mean < float("inf"):
        raise TrainingFailedError(
            f"the pretraining's error after {settings.steps} steps is {mean}: a lower "
            "preprocessor.pretraining.learning_rate may help"
        )
    preprocessor.cpu()
    return Pretrained(settings.steps, mean, settings.teacher)
