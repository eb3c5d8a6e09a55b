"""BPG's own curves in a training's folder: the worth of a bit, and the anchor of validations."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from npp.config.kept_values import KeptValues
from npp.evaluation.installed_versions import versions
from npp.recipes import Recipe
from npp.tasks import Task
from npp.training.baseline import Coder, Curve, load_curves, measure, save_curves, sloped_qps
from npp.training.draws import Photos
from npp.training.random_losses import warn_of_random_losses
from npp.training.recipe_model import bare_recipe
from npp.training.run_identity import digest_of_files, digest_of_tasks, short_digests, sources_of, values_of
from npp.training.train_config import TrainConfig

#: The parts of the photos, each with a curve and targets of its own.
TRAINING, VALIDATION = "training", "validation"
_QUICK_PHOTOS = 8
_LOOKED_AT = 2  # photos, to see whether answers are random


class BaselineCurves:
    """The curves of the codec alone: one of the photos that train, one of those that validate.

    Args:
        config: all settings.
        photos: where the curves are measured.
        tasks: by label.
    """

    def __init__(self, config: TrainConfig, photos: Photos, tasks: Mapping[str, Task]) -> None:
        self._config, self._photos, self._tasks = config, photos, tasks

    @property
    def path(self) -> Path:
        """The file that holds the curves."""
        return Path(self._config.out) / "baseline.json"

    @cached_property
    def networks(self) -> dict[str, str]:
        """Digests of the tasks' weights by label."""
        return digest_of_tasks(self._tasks)

    @cached_property
    def values(self) -> dict[str, KeptValues]:
        """The values that custom networks keep besides their weights, by label of the task."""
        return values_of(self._config, self._tasks)

    @cached_property
    def _files(self) -> dict[str, str]:
        parts = {TRAINING: self._photos.baseline, VALIDATION: self._photos.validation}
        return {part: digest_of_files(paths) for part, paths in parts.items()}

    @cached_property
    def _sources(self) -> dict[str, str]:
        return sources_of(self._config, installed=True)

    @property
    def _qps(self) -> dict[str, list[int]]:
        trained = sloped_qps(self._config.trade_off.choices, self._config.baseline.points)
        return {TRAINING: trained, VALIDATION: list(self._config.validation.qps)}

    def _conditions(self, quick: bool) -> dict[str, Any]:
        """Everything that the curves depend on."""
        all_settings = self._config.as_mapping()
        conditions = {
            name: all_settings[name] for name in ("data", "tasks", "codec", "scale", "baseline")
        } | {
            "qps": self._qps,
            "photos": self._files,
            "networks": self.networks,
            "sources": self._sources,
            "versions": versions(),
            "precision": self._config.trainer.precision,
            "quick": quick,
        }
        # Left out where there are no such networks, so that files of older versions still fit.
        return conditions | ({"values": short_digests(self.values)} if self.values else {})

    def load(self, *, quick: bool) -> dict[str, Curve] | None:
        """The curves by part; ``None`` where the folder has none that were measured as they would be now.

        Args:
            quick: whether they are those of a trial run, of few photos.
        """
        return load_curves(self.path, self._conditions(quick))

    def measure(self, device: torch.device, *, quick: bool) -> None:
        """Measures the curves and writes them into the folder; warns of tasks whose losses are random.

        Args:
            device: where the tasks' networks are.
            quick: see :meth:`load`.
        """
        few = _QUICK_PHOTOS if quick else None
        parts = {TRAINING: self._photos.baseline[:few], VALIDATION: self._photos.validation[:few]}
        few_images = self._config.data.load(parts[TRAINING][:_LOOKED_AT]).to(device)
        warn_of_random_losses(self._tasks, few_images)
        # What a bit is worth depends on where on its curve the codec works, and so on the scale. Savings are
        # given against pictures that are coded at their own size.
        bare = {TRAINING: bare_recipe(self._config), VALIDATION: bare_recipe(self._config, scale=1)}
        curves = {
            part: measure(
                self._photos.centres(paths), self._tasks, self._qps[part], self.coder(bare[part]), device
            )
            for part, paths in parts.items()
        }
        save_curves(self.path, curves, self._conditions(quick))

    def coder(self, recipe: Recipe) -> Coder:
        """A function that codes pictures with a recipe and as many codec threads as the settings say."""
        return partial(recipe.compress, threads=self._config.codec.threads)
