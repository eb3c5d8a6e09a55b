"""Rate-accuracy curves and comparisons of them; whole evaluations need the extra ``npp[eval]``.

BD-rates need torch and numpy alone. The rest is imported when it is first touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from npp.evaluation.bd_rate import bd_rate, monotone, overlap
from npp.evaluation.bd_rate_bootstrap import BDInterval, ResampledBDRate, bootstrap_bd_rate, resample_bd_rate
from npp.lazy import exported_when_touched

if TYPE_CHECKING:
    from npp.evaluation.arms import ArmConfig
    from npp.evaluation.evaluate_config import Analysis, EvaluateConfig, load_evaluation, parse_config
    from npp.evaluation.evaluation_run import Evaluation, evaluate
    from npp.evaluation.judges import JudgeConfig
    from npp.evaluation.labelled_photos import LabelledPhotos
else:
    __getattr__, __dir__ = exported_when_touched(
        __name__,
        {
            "Analysis": "evaluate_config",
            "ArmConfig": "arms",
            "EvaluateConfig": "evaluate_config",
            "Evaluation": "evaluation_run",
            "JudgeConfig": "judges",
            "LabelledPhotos": "labelled_photos",
            "evaluate": "evaluation_run",
            "load_evaluation": "evaluate_config",
            "parse_config": "evaluate_config",
        },
    )

__all__ = [
    "Analysis",
    "ArmConfig",
    "BDInterval",
    "EvaluateConfig",
    "Evaluation",
    "JudgeConfig",
    "LabelledPhotos",
    "ResampledBDRate",
    "bd_rate",
    "bootstrap_bd_rate",
    "evaluate",
    "load_evaluation",
    "monotone",
    "overlap",
    "parse_config",
    "resample_bd_rate",
]
