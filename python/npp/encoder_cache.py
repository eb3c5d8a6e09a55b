"""The idle encoders that are kept for the next picture of their kind."""

from __future__ import annotations

from npp import _bpg


def clear_encoder_cache() -> None:
    """Closes all idle encoders and gives their memory back."""
    _bpg.clear_encoders()


def set_encoder_cache_limit(pixels: int) -> None:
    """Bounds the encoders that stay open between calls.

    Args:
        pixels: pictures that idle encoders are kept for, together; a picture counts as at least 65,536.
            0 keeps none. The default is 8,388,608 (a hundred encoders of 256x256 or smaller).

    Raises:
        ValueError: negative.
    """
    if pixels < 0:
        raise ValueError(f"pixels must be 0 or more, not {pixels}")
    _bpg.set_encoder_limit(pixels)
