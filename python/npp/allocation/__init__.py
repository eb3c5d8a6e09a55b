"""Bits where the task needs them: over the blocks of a picture, and over the pictures of a set."""

from npp.allocation.allocator import Allocator
from npp.allocation.block_importance import importance
from npp.allocation.feature_allocator import FeatureAllocator, LayerFeatures
from npp.allocation.maps import qp_map
from npp.allocation.qp_curves import LossCurve, RateCurve
from npp.allocation.regions import box_importance, mask_importance, weight_for
from npp.allocation.shared_budget import SharedBudget, SharedStep
from npp.allocation.sharing import SharedBits, expected_sensitivity, share_bits

__all__ = [
    "Allocator",
    "FeatureAllocator",
    "LayerFeatures",
    "LossCurve",
    "RateCurve",
    "SharedBits",
    "SharedBudget",
    "SharedStep",
    "box_importance",
    "expected_sensitivity",
    "importance",
    "mask_importance",
    "qp_map",
    "share_bits",
    "weight_for",
]
