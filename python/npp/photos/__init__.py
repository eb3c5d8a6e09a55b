"""Photos for training and evaluation: finding, splitting, loading and cutting them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from npp.lazy import exported_when_touched

if TYPE_CHECKING:
    from npp.photos.finding import PhotoWarning, find_photos, split
    from npp.photos.loading import load_photo, open_photo, photo_size, to_tensor
    from npp.photos.photo_set import PhotoSet
else:
    __getattr__, __dir__ = exported_when_touched(
        __name__,
        {
            "find_photos": "finding",
            "split": "finding",
            "load_photo": "loading",
            "open_photo": "loading",
            "photo_size": "loading",
            "to_tensor": "loading",
            "PhotoSet": "photo_set",
            "PhotoWarning": "finding",
        },
    )

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
