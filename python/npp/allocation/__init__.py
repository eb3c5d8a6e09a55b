"""Bits where the task needs them: over the blocks of a picture, and over the pictures of a set."""

from npp.allocation.sharing import RateCurve, SharedBits, rate_curves, share_bits

__all__ = ["RateCurve", "SharedBits", "rate_curves", "share_bits"]
