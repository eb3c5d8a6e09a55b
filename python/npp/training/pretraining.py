"""A filter learns to give the picture back, before it is trained through the codec.

The published network begins with random weights: the picture that it makes of a photo is noise, and what a
codec and a task say of noise teaches nothing. Its authors begin with weights that reproduce the photo.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from npp.preprocessing import Preprocessor
from npp.training.draws import Draws, Photos
from npp.training.schedule import TrainingFailedError
from npp.training.train_config import TrainConfig

# Its draws shall not be those that the training through the codec begins with.
_SEED_OFFSET = 7919
_AVERAGED = 20


def pretrain(preprocessor: Preprocessor, photos: Photos, config: TrainConfig, device: torch.device) -> float:
    """Trains a filter on its mean squared error to the picture, at qps from the configuration's range.

    Args:
        preprocessor: changed in place; moved to ``device`` for the while and back to the CPU.
        photos: the training's.
        config: its section ``preprocessor.pretraining``, ``data``, ``trade_off`` and ``seed`` are used.
        device: where to work.

    Returns:
        Mean squared error of the last steps, pixels in [0, 1].

    Raises:
        TrainingFailedError: it is not a finite number.
    """
    assert config.preprocessor is not None
    chosen = config.preprocessor.pretraining
    draws = Draws(photos.training, config.data, config.trade_off.choices, config.seed + _SEED_OFFSET)
    loader = DataLoader(
        draws,
        sampler=range(chosen.steps * chosen.batch),
        batch_size=chosen.batch,
        num_workers=config.data.workers,
    )
    preprocessor.to(device).train()
    optimiser = torch.optim.AdamW(preprocessor.parameters(), lr=chosen.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, chosen.steps)
    errors: list[Tensor] = []
    for batch in loader:
        x = batch.x.to(device)
        error = (preprocessor(x, batch.qp.to(device)) - x).square().mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        schedule.step()
        errors = [*errors[1 - _AVERAGED :], error.detach()]
    mean = float(torch.stack(errors).mean())
    if not mean < float("inf"):
        raise TrainingFailedError(
            f"the pretraining's error after {chosen.steps} steps is {mean}: a lower "
            "preprocessor.pretraining.learning_rate may help"
        )
    preprocessor.cpu()
    return mean
