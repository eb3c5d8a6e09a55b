"""A folder of pictures for commands and engines to work on."""

from picture_folder import folder

__all__ = ["folder"]
