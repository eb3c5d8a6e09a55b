"""BPG and recipes in MMDetection 3, MMPretrain and other packages on mmengine; see docs/frameworks.md.

``custom_imports = dict(imports=["npp.integrations.openmmlab"])`` in a configuration registers what is
exported here. Needs mmengine and mmcv, and the package whose models are used: the extra ``npp[openmmlab]``.

Importing it also lets torch read the logs in mmengine's checkpoints, without which no run goes on.
"""

from __future__ import annotations

from typing import Any

from npp.extras import require
from npp.integrations.openmmlab.bpg_round_trip import BPGRoundTrip
from npp.integrations.openmmlab.bpp_metric import BppMetric
from npp.integrations.openmmlab.coded_model import CodedModel
from npp.integrations.openmmlab.qp_sweep import QPSweepLoop
from npp.integrations.openmmlab.recipe_hook import RecipeHook
from npp.integrations.openmmlab.slope_hook import SlopeHook
from npp.tasks.openmmlab_models import allow_checkpoints

__all__ = ["BPGRoundTrip", "BppMetric", "CodedModel", "QPSweepLoop", "RecipeHook", "SlopeHook"]


def _register() -> None:
    """Registers the classes in mmengine's own registries, in which every package looks last."""
    registries: Any = require("mmengine.registry", __name__)
    registries.MODELS.register_module(module=CodedModel)
    registries.TRANSFORMS.register_module(module=BPGRoundTrip)
    registries.METRICS.register_module(module=BppMetric)
    registries.LOOPS.register_module(module=QPSweepLoop)
    for hook in (RecipeHook, SlopeHook):
        registries.HOOKS.register_module(module=hook)


_register()
allow_checkpoints()
