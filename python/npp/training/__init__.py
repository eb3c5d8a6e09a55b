"""Training of recipes through the real codec, with Lightning; needs the extra ``npp[train]``.

Exports are imported at their first use, so that configurations can be built and read without Lightning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from npp.lazy import exported_when_touched

if TYPE_CHECKING:
    from npp.training.allocator_config import (
        AllocatorStartConfig,
        DistillationConfig,
        DistilOptimiserConfig,
        DistilSettings,
        LabelTaskConfig,
        PhotoSource,
    )
    from npp.training.allocator_labels import LabelSettings
    from npp.training.allocator_run import distil_allocator, train_allocator
    from npp.training.choice_config import ChoiceConfig, ScaleChoices
    from npp.training.parts_config import (
        AllocatorConfig,
        CodecConfig,
        PreprocessorConfig,
        PretrainingConfig,
        RestorerConfig,
    )
    from npp.training.recipe_choice import ChosenRecipe, choose_recipe
    from npp.training.train_config import (
        BaselineConfig,
        DataConfig,
        LossConfig,
        OptimiserConfig,
        TaskConfig,
        TradeOffConfig,
        TrainConfig,
        TrainerConfig,
        ValidationConfig,
        load_config,
    )
    from npp.training.training_dispatch import load_training, run_training
    from npp.training.training_run import train_recipe
else:
    _PARTS = ("AllocatorConfig", "CodecConfig", "PreprocessorConfig", "PretrainingConfig", "RestorerConfig")
    _ALLOCATOR = (
        "AllocatorStartConfig",
        "DistilOptimiserConfig",
        "DistilSettings",
        "DistillationConfig",
        "LabelTaskConfig",
        "PhotoSource",
    )
    _CONFIG = (
        "BaselineConfig",
        "DataConfig",
        "LossConfig",
        "OptimiserConfig",
        "TaskConfig",
        "TradeOffConfig",
        "TrainConfig",
        "TrainerConfig",
        "ValidationConfig",
        "load_config",
    )
    __getattr__, __dir__ = exported_when_touched(
        __name__,
        {
            **dict.fromkeys(_PARTS, "parts_config"),
            **dict.fromkeys(("ChoiceConfig", "ScaleChoices"), "choice_config"),
            **dict.fromkeys(_CONFIG, "train_config"),
            **dict.fromkeys(_ALLOCATOR, "allocator_config"),
            **dict.fromkeys(("load_training", "run_training"), "training_dispatch"),
            "ChosenRecipe": "recipe_choice",
            "LabelSettings": "allocator_labels",
            "choose_recipe": "recipe_choice",
            "distil_allocator": "allocator_run",
            "train_allocator": "allocator_run",
            "train_recipe": "training_run",
        },
    )

__all__ = [
    "AllocatorConfig",
    "AllocatorStartConfig",
    "BaselineConfig",
    "ChoiceConfig",
    "ChosenRecipe",
    "CodecConfig",
    "DataConfig",
    "DistilOptimiserConfig",
    "DistilSettings",
    "DistillationConfig",
    "LabelSettings",
    "LabelTaskConfig",
    "LossConfig",
    "OptimiserConfig",
    "PhotoSource",
    "PreprocessorConfig",
    "PretrainingConfig",
    "RestorerConfig",
    "ScaleChoices",
    "TaskConfig",
    "TradeOffConfig",
    "TrainConfig",
    "TrainerConfig",
    "ValidationConfig",
    "choose_recipe",
    "distil_allocator",
    "load_config",
    "load_training",
    "run_training",
    "train_allocator",
    "train_recipe",
]
