"""Rate-accuracy curves and what they say."""

from npp.evaluation.bd_rate import BDInterval, bd_rate, bootstrap_bd_rate, monotone, overlap

__all__ = ["BDInterval", "bd_rate", "bootstrap_bd_rate", "monotone", "overlap"]
