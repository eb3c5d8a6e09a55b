"""Folders of pictures for commands and engines to work on."""

from picture_folder import folder
from shared_runs import crops

__all__ = ["crops", "folder"]
