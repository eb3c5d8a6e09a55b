"""Which blocks of a picture networks need, and quantiser offsets that follow it."""

from npp.allocation.allocator import Allocator
from npp.allocation.block_importance import importance
from npp.allocation.feature_allocator import FeatureAllocator, LayerFeatures
from npp.allocation.maps import qp_map
from npp.allocation.regions import box_importance, mask_importance, weight_for

__all__ = [
    "Allocator",
    "FeatureAllocator",
    "LayerFeatures",
    "box_importance",
    "importance",
    "mask_importance",
    "qp_map",
    "weight_for",
]
