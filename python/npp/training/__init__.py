"""Training of preprocessors through the real codec, with Lightning; needs the extra ``npp[train]``.

What is exported is imported when it is first touched: configurations can be built and read without Lightning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from npp.lazy import exported_when_touched

if TYPE_CHECKING:
    from npp.training.train_config import (
        BaselineConfig,
        CodecConfig,
        DataConfig,
        LossConfig,
        OptimiserConfig,
        PreprocessorConfig,
        TaskConfig,
        TradeOffConfig,
        TrainConfig,
        TrainerConfig,
        ValidationConfig,
        load_config,
    )
    from npp.training.training_run import train_preprocessor
else:
    _CONFIG = (
        "BaselineConfig",
        "CodecConfig",
        "DataConfig",
        "LossConfig",
        "OptimiserConfig",
        "PreprocessorConfig",
        "TaskConfig",
        "TradeOffConfig",
        "TrainConfig",
        "TrainerConfig",
        "ValidationConfig",
        "load_config",
    )
    __getattr__, __dir__ = exported_when_touched(
        __name__, {**dict.fromkeys(_CONFIG, "train_config"), "train_preprocessor": "training_run"}
    )

__all__ = [
    "BaselineConfig",
    "CodecConfig",
    "DataConfig",
    "LossConfig",
    "OptimiserConfig",
    "PreprocessorConfig",
    "TaskConfig",
    "TradeOffConfig",
    "TrainConfig",
    "TrainerConfig",
    "ValidationConfig",
    "load_config",
    "train_preprocessor",
]
