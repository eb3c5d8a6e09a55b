"""Random crops of a folder's photos, for the learned proxy."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from npp.photos.finding import find_photos, warn_unreadable
from npp.photos.loading import open_covering, to_tensor
from npp.photos.photo_set import load_or_next

_VALIDATION_EVERY = 20


class CropDataset(Dataset[Tensor]):
    """A dataset of square crops (3, crop, crop) in [0, 1]: random and mirrored in training, else central.

    A photo that cannot be read is replaced by the next one that can.
    """

    def __init__(self, paths: list[Path], crop: int, train: bool) -> None:
        self._paths = paths
        self._crop = crop
        self._train = train

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Tensor:
        opened = partial(open_covering, size=(self._crop, self._crop), shrink=False)
        picture, shown = load_or_next(self._paths, index, opened)
        if shown != index:
            warn_unreadable(self._paths[index])
        spare_x, spare_y = picture.width - self._crop, picture.height - self._crop
        if self._train:
            left, top = (int(torch.randint(spare + 1, ())) for spare in (spare_x, spare_y))
        else:
            left, top = spare_x // 2, spare_y // 2
        sample = to_tensor(picture.crop((left, top, left + self._crop, top + self._crop)))
        return sample.flip(2) if self._train and torch.rand(()) < 0.5 else sample


class PhotoCrops(lightning.LightningDataModule):
    """The photos of a folder, of which every 20th is for validation.

    Args:
        folder: the folder, searched recursively.
        crop: width and height of the crops.
        batch: pictures of a step.
        workers: processes that read.
    """

    def __init__(self, folder: Path, crop: int = 128, batch: int = 8, workers: int = 0) -> None:
        super().__init__()
        paths = find_photos(folder)
        validation = paths[::_VALIDATION_EVERY]
        training = [path for i, path in enumerate(paths) if i % _VALIDATION_EVERY] or validation
        self._training = CropDataset(training, crop, train=True)
        self._validation = CropDataset(validation, crop, train=False)
        self._batch = batch
        self._workers = workers

    def train_dataloader(self) -> DataLoader[Tensor]:
        """Loads crops for training, shuffled, in whole batches where there are enough photos."""
        return DataLoader(
            self._training,
            batch_size=self._batch,
            shuffle=True,
            drop_last=len(self._training) >= self._batch,
            num_workers=self._workers,
            persistent_workers=self._workers > 0,
        )

    def val_dataloader(self) -> DataLoader[Tensor]:
        """Loads crops for validation, in order."""
        return DataLoader(self._validation, batch_size=self._batch, num_workers=self._workers)
