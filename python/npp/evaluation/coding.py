"""A batch of photos on its way through an arm, from the scale to what the networks are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from npp.codec.qp_maps import map_size
from npp.codec.round_trip import start_round_trip
from npp.config.digests import hash_file
from npp.evaluation.arms import Arm
from npp.evaluation.block_maps import BlockOffsets, Scene
from npp.evaluation.judges import Judge
from npp.evaluation.part_store import part_digest
from npp.evaluation.prefilters import Refine
from npp.evaluation.real_labels import UNLABELLED, RealLabels
from npp.gradient.refinement import Refined
from npp.photos.finding import name_below
from npp.photos.photo_set import PhotoSet
from npp.recipes.picture_floats import shown
from npp.recipes.scale import enlarge, shrink
from npp.recipes.size_extension import SIZE_BYTES
from npp.restoration import Restorer
from npp.tasks import Task
from npp.tasks.nested_outputs import mapped


class Batch:
    """Photos of one size; pixels and the networks' clean outputs are computed when first used.

    Args:
        photos: the set that loads them.
        paths: paths of the photos.
        device: device of the pictures.
        labels: real labels; a reader only gets the regions of the photos.
    """

    def __init__(
        self,
        photos: PhotoSet,
        paths: Sequence[Path],
        device: torch.device,
        labels: RealLabels = UNLABELLED,
    ) -> None:
        self._photos, self._paths, self._device, self._labels = photos, list(paths), device, labels
        self._targets: dict[str, list[Any]] = {}
        self._in_memory: dict[str, list[Any]] = {}

    def __len__(self) -> int:
        return len(self._paths)

    @cached_property
    def images(self) -> Tensor:
        """The pictures (N, 3, H, W), floats in [0, 1]."""
        return self._photos.load(self._paths).to(self._device)

    def task(self, network: Judge) -> Task:
        """A network's task for these photos."""
        return self._labels.task(network, self._paths)

    def targets(self, network: Judge) -> list[Any]:
        """A network's own output on the clean photos."""
        if network.label not in self._targets:
            self._targets[network.label] = self.task(network).targets(self.images)
        return self._targets[network.label]

    def targets_in_memory(self, network: Judge) -> list[Any]:
        """A network's own output on the clean photos, on the CPU like predictions from the store."""
        if network.label not in self._in_memory:
            self._in_memory[network.label] = to_cpu(self.targets(network))
        return self._in_memory[network.label]

    def release(self) -> None:
        """Frees pictures and outputs, which are computed again when needed."""
        self._targets.clear()
        self._in_memory.clear()
        self.__dict__.pop("images", None)

    @property
    def paths(self) -> list[Path]:
        """The paths of the photos."""
        return self._paths

    @property
    def names(self) -> list[str]:
        """The names of the photos in results and messages."""
        return [name_below(self._photos.folder, path) for path in self._paths]

    @cached_property
    def key(self) -> str:
        """A hash of all that determines the pixels, and of the kind of device."""
        files = [hash_file(path) for path in self._paths]
        return part_digest([files, self._photos.shape, self._photos.mode, self._device.type])


@dataclass(frozen=True)
class ArmFiles:
    """A batch coded by an arm; all pictures have the size of the originals.

    Attributes:
        filtered: (N, 3, H, W) the encoded pictures, enlarged if they were scaled.
        x_hat: (N, 3, H, W) the pictures that networks get: decoded, restored, and enlarged if scaled.
        sizes: (N,) bytes of the files.
        offsets: the map, ``None`` without one.
    """

    filtered: Tensor
    x_hat: Tensor
    sizes: Tensor
    offsets: BlockOffsets | None


def _looking_at(
    loss: Callable[[Tensor], Tensor], size: tuple[int, int], restorer: Restorer | None
) -> Callable[[Tensor], Tensor]:
    """The loss as a function of decoded pictures, which are first restored and enlarged."""
    return lambda pictures: loss(shown(pictures, size, restorer))


def _searched(refined: Refined, start: BlockOffsets | None) -> BlockOffsets | None:
    """The map after refining; zeros for a picture without one."""
    if refined.qp_map is None:
        return None
    blank = torch.zeros(map_size(*refined.x.shape[-2:]))
    maps = torch.stack([blank if offsets is None else offsets.float().cpu() for offsets in refined.qp_map])
    return BlockOffsets(maps, None if start is None else start.sensitivity)


def code_batch(batch: Batch, arm: Arm, qp: int, networks: Sequence[Judge], threads: int | None) -> ArmFiles:
    """Codes a batch with an arm. Refining uses the seen networks, maps may use any."""
    size = batch.images.shape[2], batch.images.shape[3]
    by_label = {judge.label: judge for judge in networks}

    def losses() -> list[Callable[[Tensor], Tensor]]:
        bound = (batch.task(judge).bind(batch.targets(judge)) for judge in networks if judge.seen)
        return [_looking_at(loss, size, arm.restorer) for loss in bound]

    def targets(label: str) -> list[Any]:
        return batch.targets(by_label[label])

    def offsets_of(pictures: Tensor) -> BlockOffsets | None:
        scene = Scene(pictures, qp, arm.options, size, targets, threads)
        return None if arm.qp_map is None else arm.qp_map(scene)

    small = batch.images if arm.scale is None else shrink(batch.images, arm.scale.size(qp, *size))
    if isinstance(arm.prefilter, Refine):
        start = offsets_of(small)
        maps = None if start is None else start.qp_map
        refined = arm.prefilter.refined(small, qp, losses, arm.options, maps)
        filtered, offsets = refined.x, _searched(refined, start)
    else:
        filtered = arm.prefilter(small, qp)
        offsets = offsets_of(filtered)
    qp_map = None if offsets is None else offsets.qp_map
    trip = start_round_trip(filtered, qp, arm.options, threads, qp_map=qp_map, waits=True)
    x_hat, _, files = trip.result()
    # A recipe's file of a scaled picture also stores the original size; the files here do not.
    size_bytes = SIZE_BYTES if small.shape[-2:] != size else 0
    sizes = torch.tensor([len(file) + size_bytes for file in files])
    return ArmFiles(enlarge(filtered, size), shown(x_hat, size, arm.restorer), sizes, offsets)


def to_cpu(value: Any) -> Any:
    """Nested lists and dicts with their tensors copied to the CPU, so that bases of views can be freed."""
    return mapped(value, lambda tensor: tensor.detach().to("cpu", copy=True))
