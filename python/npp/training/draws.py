"""Photos for the preprocessor's training, drawn so that a run can be continued exactly.

Everything random about the k-th picture of a run follows from the seed and k alone: which photo, which part
of it, its qp. A run that goes on from a checkpoint only has to know k.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from npp.config.yaml_files import ConfigError
from npp.photos.loading import open_covering, to_tensor
from npp.photos.photo_set import PhotoSet, in_hashed_order, load_or_next, readable
from npp.training.train_config import DataConfig, TrainConfig

# Parts of the seed, by which orders and draws have different random numbers.
_ORDER, _DRAW = 0, 1


class Sample(NamedTuple):
    """A batch, or one picture of it without N.

    Attributes:
        x: (N, 3, H, W) in [0, 1].
        qp: (N,) whole numbers.
        photo: (N,) the index of the photo.
        damaged: (N,) the index of a photo that cannot be read, in whose place this one came; else -1.
    """

    x: Tensor
    qp: Tensor
    photo: Tensor
    damaged: Tensor


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> Any:
    """The order of the photos in an epoch."""
    return np.random.default_rng([seed, _ORDER, epoch]).permutation(count)


def _cut(path: Path, data: DataConfig, random: np.random.Generator) -> Tensor:
    """Cuts a random part (3, height, width) out of a photo, mirrored half of the times."""
    assert data.shape is not None
    height, width = data.shape
    image = open_covering(path, data.shape, shrink=data.mode == "resize")
    left = int(random.integers(image.width - width + 1))
    top = int(random.integers(image.height - height + 1))
    x = to_tensor(image.crop((left, top, left + width, top + height)))
    return x.flip(2) if random.random() < 0.5 else x


class Draws(Dataset[Sample]):
    """A dataset whose entry k is the k-th picture of a run.

    Args:
        paths: the photos; each comes once before one comes again. One that cannot be read is replaced by the
            next one that can.
        data: says their size and augmentation.
        qps: the qps that are drawn, all with equal probability.
        seed: the run's.
    """

    def __init__(self, paths: Sequence[Path], data: DataConfig, qps: Sequence[int], seed: int) -> None:
        self._paths = list(paths)
        self._data = data
        self._qps = list(qps)
        self._seed = seed

    def __getitem__(self, k: int) -> Sample:
        epoch, place = divmod(k, len(self._paths))
        photo = int(_order(self._seed, epoch, len(self._paths))[place])
        random = np.random.default_rng([self._seed, _DRAW, k])
        qp = self._qps[int(random.integers(len(self._qps)))]

        def load(path: Path) -> Tensor:
            return _cut(path, self._data, random) if self._data.augment else self._data.load_one(path)

        x, shown = load_or_next(self._paths, photo, load)
        damaged = photo if shown != photo else -1
        return Sample(x, torch.tensor(qp), torch.tensor(shown), torch.tensor(damaged))


class Centres(Dataset[Sample]):
    """A dataset of the centres of photos, in order; their qp is 0, for the user of the dataset chooses it."""

    def __init__(self, paths: Sequence[Path], data: DataConfig) -> None:
        self._paths = list(paths)
        self._data = data

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, photo: int) -> Sample:
        x = self._data.load_one(self._paths[photo])
        return Sample(x, torch.tensor(0), torch.tensor(photo), torch.tensor(-1))


class _Places(Sampler[int]):
    """Yields ``first``, ``first + stride`` and so on, ``count`` numbers less the ``done`` first ones.

    Its length counts the done ones too, as Lightning expects it of a resumed run.
    """

    def __init__(self, first: int, stride: int, count: int, done: int = 0) -> None:
        self._range = range(first, first + stride * count, stride)
        self._done = done

    def __len__(self) -> int:
        return len(self._range)

    def __iter__(self) -> Iterator[int]:
        return iter(self._range[self._done :])


class _Loader(DataLoader[Sample]):
    """A loader that tells Lightning that it can be resumed; its place follows from the trainer's step."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


def _held_out(config: TrainConfig) -> PhotoSet:
    """The photos for validation, which are like those of the training but of the part ``val``."""
    shared = {field.name: getattr(config.data, field.name) for field in fields(PhotoSet)}
    return PhotoSet(**{**shared, "part": "val", "limit": config.validation.photos})


class Photos(lightning.LightningDataModule):
    """The photos of a configuration.

    Raises:
        ConfigError: there are no photos, none of them in a part, or none that can be read.

    Attributes:
        training: the photos to train on; one that cannot be read is replaced when it is drawn.
        validation: the held-out photos.
        baseline: those of the training photos on which BPG's own curve is measured.
    """

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self._config = config
        held_out = _held_out(config)
        try:
            self.training = config.data.training_paths()
            self.validation = sorted(held_out.readable_paths())
            # Spread over the folders, which often are classes.
            hashed = in_hashed_order(self.training)
            self.baseline = readable(hashed, config.baseline.photos, config.data.load_one)
        except ValueError as error:
            raise ConfigError(f"data.{error}") from None

    def chosen_with(self, count: int | None) -> list[Path]:
        """At most so many of the photos that validate, spread over the folders."""
        return in_hashed_order(self.validation)[:count]

    def centres(self, paths: Sequence[Path]) -> Iterator[Tensor]:
        """Batches (N, 3, H, W) of the photos' centres."""
        loader = DataLoader(Centres(paths, self._config.data), batch_size=self._config.validation.batch)
        return (batch.x for batch in loader)

    def check_shared(self, processes: int) -> None:
        """Raises ConfigError unless each of so many processes has a photo to validate with."""
        count = len(self.validation)
        if count < processes:
            raise ConfigError(
                f"validation.photos: the part 'val' has {count} here, and the run {processes} devices; each "
                "needs at least one"
            )

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0

    @property
    def _world(self) -> int:
        return self.trainer.world_size if self.trainer else 1

    def train_dataloader(self) -> DataLoader[Sample]:
        """Loads the whole run, or what a checkpoint left of it; devices take turns at the pictures."""
        config = self._config
        done = self.trainer.global_step if self.trainer else 0
        batch, steps = config.optimiser.batch, config.optimiser.steps
        return _Loader(
            Draws(self.training, config.data, config.trade_off.choices, config.seed),
            sampler=_Places(self._rank, self._world, steps * batch, done * batch),
            batch_size=batch,
            num_workers=config.data.workers,
            persistent_workers=config.data.workers > 0,
        )

    def val_dataloader(self) -> DataLoader[Sample]:
        """Loads the photos that validate, each on one device."""
        count = len(range(self._rank, len(self.validation), self._world))
        return DataLoader(
            Centres(self.validation, self._config.data),
            sampler=_Places(self._rank, self._world, count),
            batch_size=self._config.validation.batch,
            num_workers=self._config.data.workers,
            persistent_workers=self._config.data.workers > 0,
        )
