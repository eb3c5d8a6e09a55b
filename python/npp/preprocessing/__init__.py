"""Filters that prepare pictures for the codec."""

from npp.preprocessing.preprocessor import Preprocessor

__all__ = ["Preprocessor"]
