"""Networks behind the decoder that give a task back what coding took from it."""

from npp.restoration.restorer import Restorer

__all__ = ["Restorer"]
