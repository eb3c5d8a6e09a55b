"""Exceptions of the codec. All of them are also ``ValueError``."""

from npp._bpg import BPGError, DecodeError, EncodeError, UnsupportedError

__all__ = ["BPGError", "DecodeError", "EncodeError", "UnsupportedError"]
