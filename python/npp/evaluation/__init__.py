"""Rate-accuracy curves and what they say."""

from npp.evaluation.bd_rate import (
    BDInterval,
    ResampledBDRate,
    bd_rate,
    bootstrap_bd_rate,
    monotone,
    overlap,
    resample_bd_rate,
)

__all__ = [
    "BDInterval",
    "ResampledBDRate",
    "bd_rate",
    "bootstrap_bd_rate",
    "monotone",
    "overlap",
    "resample_bd_rate",
]
