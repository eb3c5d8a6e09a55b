"""A folder of pictures for commands and engines to work on."""

from picture_folder import _signals, folder

__all__ = ["_signals", "folder"]
