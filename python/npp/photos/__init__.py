"""Photos for training and evaluation: finding, splitting, loading and cutting them."""

from npp.photos.finding import find_photos, split
from npp.photos.loading import load_photo, open_photo, photo_size, to_tensor
from npp.photos.photo_set import PhotoSet, PhotoWarning

__all__ = [
    "PhotoSet",
    "PhotoWarning",
    "find_photos",
    "load_photo",
    "open_photo",
    "photo_size",
    "split",
    "to_tensor",
]
